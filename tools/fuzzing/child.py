"""What runs inside a fuzzing process, started by `tools.fuzzing.runner` from a tree compiled for it:

    python -m tools.fuzzing.child --edges LIBRARY --target MODULE [--instrument MODULE] FILE...
    python -m tools.fuzzing.child --edges LIBRARY --target MODULE [--instrument MODULE] --fuzz PROGRAM ARGUMENT...

The order counts: the library of edges.c before the compiled modules, the modules that are to be instrumented
before whatever imports them.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

# What edges.c forwards, in its order.
FORWARDED = ("cmp1", "cmp2", "cmp4", "cmp8", "const_cmp1", "const_cmp2", "const_cmp4", "const_cmp8", "switch")


class _Instrumented(SourceFileLoader):
    """Loads a module so that libFuzzer sees its branches and comparisons."""

    def get_code(self, fullname: str) -> CodeType | None:
        code = super().get_code(fullname)
        patched: CodeType | None = None if code is None else importlib.import_module("atheris").patch_code(code, True)
        return patched


class _Finder(MetaPathFinder):
    """As atheris' own, which takes whole packages only: what is not fuzzed would cost its time too."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Instrumented(fullname, spec.origin)
        return spec


def fuzz(name: str, edges: ctypes.CDLL, instrument: Sequence[str], arguments: Sequence[str]) -> None:
    """Run libFuzzer with its `arguments`, the first being its own name; does not return."""
    atheris: Any = importlib.import_module("atheris")
    sys.meta_path.insert(0, _Finder(instrument))
    one_input = _one_input(name)
    _connect(edges)
    atheris.Setup(list(arguments), one_input)
    # Python's own would keep libFuzzer from ending as it does.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    atheris.Fuzz()


def _one_input(name: str) -> Callable[[bytes], None]:
    # The compiled router takes the seed of its hash from there: an input is to do the same every time.
    random, os.urandom = os.urandom, bytes
    package = importlib.import_module("jetsocket").__file__
    os.urandom = random
    if package is None or Path.cwd() not in Path(package).parents:
        raise SystemExit(f"jetsocket was imported from {package}, not from {Path.cwd()}")
    one_input: Callable[[bytes], None] = importlib.import_module(name).one_input
    return one_input


def _connect(edges: ctypes.CDLL) -> None:
    """Tell edges.c where libFuzzer is."""
    fuzzer = ctypes.CDLL(importlib.import_module("atheris.core_with_libfuzzer").__file__)
    addresses = [
        ctypes.cast(getattr(fuzzer, f"__sanitizer_cov_trace_{name}"), ctypes.c_void_p).value for name in FORWARDED
    ]
    edges.connect_edges(
        fuzzer.__sanitizer_cov_8bit_counters_init,
        fuzzer.__sanitizer_cov_pcs_init,
        (ctypes.c_void_p * len(addresses))(*addresses),
    )


def replay(name: str, files: Sequence[str]) -> None:
    """Run the input of each file; the first that fails raises."""
    one_input = _one_input(name)
    for file in files:
        print(file, flush=True)
        one_input(Path(file).read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--edges", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--instrument", action="append", default=[])
    parser.add_argument("--fuzz", metavar="PROGRAM", help="the name by which libFuzzer starts itself again")
    known, rest = parser.parse_known_args()
    edges = ctypes.CDLL(known.edges, ctypes.RTLD_GLOBAL)
    if known.fuzz:
        fuzz(known.target, edges, known.instrument, [known.fuzz, *rest])
    faulthandler.enable()
    replay(known.target, rest)


if __name__ == "__main__":
    main()
