"""Runs the fuzzers, tools/fuzz_*.py: libFuzzer makes inputs, guided by what the compiled modules do with them.

    python -m tools.fuzz_frames                             until the first failure, or Ctrl-C
    python -m tools.fuzz_frames --minutes 20
    python -m tools.fuzz_frames --sanitize --runs 100000    with AddressSanitizer and UndefinedBehaviorSanitizer
    python -m tools.fuzz_frames --minimise                  the last run's inputs into tests/corpora/, as few as will do
    python -m tools.fuzz_frames FILE...                     these inputs alone, in the tree as it is; without atheris

A run begins with tests/corpora/<name>/ and the fuzzer's own seeds, and works in build/fuzz/<name>/.

Exit status: 0 where nothing failed; 1 where an input did: it is saved, and the last lines tell where; 2 for wrong
arguments, or where the fuzzer itself did not work; 77 without atheris; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..variant import PROJECT, variant
from .corpus import CORPORA, committed, fill, replace
from .process import WORK, FuzzerError, Run, child, claimed, sanitizers

SKIPPED = 77
INTERRUPTED = 130
# For one input.
TIMEOUT = 20
MEMORY_MB = 2048


@dataclass(frozen=True)
class Target:
    """What is fuzzed, in the module tools.fuzz_<name>: `one_input()` raises where all is not well.

    `seeds` gives inputs to begin with. `instrument` names the Python modules whose branches count as coverage beside
    the compiled ones: few, for it makes them slower. `words` are put into inputs now and then.
    """

    name: str
    one_input: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    instrument: tuple[str, ...] = ()
    words: tuple[bytes, ...] = ()
    max_len: int = 4096

    @property
    def module(self) -> str:
        return f"tools.fuzz_{self.name}"


@cache
def twins(room: str) -> tuple[Any, Any]:
    """The compiled and the pure module of a room: `twins("ring")` is jetsocket.hot.ring_c and ring_py."""
    return import_module(f"jetsocket.hot.{room}_c"), import_module(f"jetsocket.hot.{room}_py")


def main(target: Target, arguments: Sequence[str] | None = None) -> int:
    """What `python -m tools.fuzz_<name>` does; returns its exit status."""
    options = _parser(target).parse_args(arguments)
    try:
        if options.files:
            return _replay(target, options)
        if find_spec("atheris") is None:
            print("atheris is not installed: pip install 'jetsocket[fuzz]' (Linux on x86-64)", file=sys.stderr)
            return SKIPPED
        folder = _folder(target, options)
        with claimed(folder):
            act = _minimise if options.minimise else _fuzz
            return act(target, folder, options)
    except (FuzzerError, RuntimeError) as error:
        print(f"{target.name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{target.name}: interrupted before it began", file=sys.stderr)
        return INTERRUPTED


def _parser(target: Target) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {target.module}")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="run these inputs alone")
    parser.add_argument("--minutes", type=float, default=0.0, help="end after so many minutes")
    parser.add_argument("--runs", type=int, default=-1, help="end after so many inputs")
    parser.add_argument(
        "--seed", type=int, default=0, help="of libFuzzer's random numbers (default: another each time)"
    )
    parser.add_argument("--sanitize", action="store_true", help="compile with sanitizers; several times slower")
    parser.add_argument("--scratch", action="store_true", help="begin with the seeds alone, not with the corpus")
    parser.add_argument("--minimise", action="store_true", help="keep what the last run found worth keeping")
    parser.add_argument(
        "--tree", type=Path, help="a copy of the project that is compiled for fuzzing already (tools.variant fuzz)"
    )
    return parser


def _replay(target: Target, options: argparse.Namespace) -> int:
    files = [file.resolve() for file in options.files]
    if options.tree is None and not options.sanitize:
        if find_spec("jetsocket.hot.ring_c") is None:
            raise FuzzerError("the compiled modules are missing: python setup.py build_ext --inplace")
        faulthandler.enable(sys.__stderr__ or sys.stderr)
        return _one_by_one(target, files)
    tree, environment = _tree(target, options)
    command = [*child(target.module, (), None), *map(str, files)]
    status = subprocess.run(command, cwd=tree, env=os.environ | environment, check=False).returncode
    return 0 if status == 0 else 1


def _one_by_one(target: Target, files: Sequence[Path]) -> int:
    failed = 0
    for file in files:
        try:
            target.one_input(file.read_bytes())
        except Exception as error:  # noqa: BLE001  # any is a finding
            failed += 1
            sys.excepthook(type(error), error, error.__traceback__)
            print(f"FAILED: {file}")
        else:
            print(f"passes: {file}")
    return 1 if failed else 0


def _tree(target: Target, options: argparse.Namespace) -> tuple[Path, dict[str, str]]:
    """A tree that is compiled for fuzzing, and the environment that its modules need."""
    environment = sanitizers() if options.sanitize else {}
    if options.tree is not None:
        return options.tree.resolve(), environment
    tree = PROJECT / WORK / target.name / ("sanitized" if options.sanitize else "tree")
    variant("fuzz_sanitize" if options.sanitize else "fuzz", tree)
    return tree, environment


def _folder(target: Target, options: argparse.Namespace) -> Path:
    return (PROJECT if options.tree is None else options.tree.resolve()) / WORK / target.name


def _fuzz(target: Target, folder: Path, options: argparse.Namespace) -> int:
    tree, environment = _tree(target, options)
    run = Run(folder)
    run.prepare()
    fill(run.corpus, target.seeds())
    if not options.scratch:
        fill(run.corpus, (path.read_bytes() for path in committed(target.name)))
    seed = options.seed or secrets.randbelow(2**31) + 1
    print(f"{target.name}: seed {seed}, log {run.folder / 'log'}", flush=True)
    arguments = [
        f"-seed={seed}",
        f"-runs={options.runs}",
        f"-max_total_time={round(options.minutes * 60)}",
        f"-max_len={target.max_len}",
        f"-timeout={TIMEOUT}",
        f"-rss_limit_mb={MEMORY_MB * (2 if options.sanitize else 1)}",
        f"-artifact_prefix={run.folder / 'found'}/",
        "-reload=0",
        "-entropic_scale_per_exec_time=1",
        "-print_final_stats=1",
        *_dictionary(target, run.folder),
    ]
    run.run([*child(target.module, target.instrument, target.name), *arguments, str(run.corpus)], tree, environment)
    return _told(target, run, options)


def _dictionary(target: Target, folder: Path) -> list[str]:
    if not target.words:
        return []
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words)
    file = folder / "words"
    file.write_text("".join(lines), encoding="ascii")
    return [f"-dict={file}"]


def _told(target: Target, run: Run, options: argparse.Namespace) -> int:
    """Print what came of it; the exit status."""
    print(f"{target.name}: {run.progress(run.seconds)}, {run.seconds:.0f} s, {run.cpu_seconds / 60:.1f} CPU minutes")
    if findings := run.findings:
        print(*run.told, sep="\n")
        again = " --sanitize" if options.sanitize else ""
        tree = "" if options.tree is None else f" --tree {options.tree}"
        print(f"{target.name}: FAILED; the input: {findings[0]}")
        print(f"again: python -m {target.module}{again}{tree} {findings[0]}")
        return 1
    if run.interrupted:
        print(f"{target.name}: interrupted; nothing failed until then")
        return INTERRUPTED
    if run.status:
        print(*run.told, sep="\n")
        raise FuzzerError(f"the fuzzer ended with {run.status}")
    print(f"{target.name}: clean")
    return 0


def _minimise(target: Target, folder: Path, options: argparse.Namespace) -> int:
    """The smallest inputs that cover what seeds, the committed corpus and the last run's cover together."""
    if not (folder / "corpus").is_dir():
        raise FuzzerError(f"nothing to keep: there was no run in {folder}")
    tree, environment = _tree(target, options)
    before = folder / "corpus"
    fill(before, target.seeds())
    fill(before, (path.read_bytes() for path in committed(target.name)))
    run = Run(folder / "merge")
    run.prepare()
    # libFuzzer starts itself, through a shell and without quotes: names from the tree on, that have no blanks.
    program, merged, found = (
        os.path.relpath(path, tree) for path in (_program(target, run.folder), run.corpus, run.folder / "found")
    )
    arguments = [
        "-set_cover_merge=1",
        f"-max_len={target.max_len}",
        f"-timeout={TIMEOUT}",
        f"-artifact_prefix={found}/",
    ]
    command = [*child(target.module, target.instrument, program), *arguments, merged, os.path.relpath(before, tree)]
    run.run(command, tree, environment)
    if run.status:
        print(*run.told, sep="\n")
        raise FuzzerError(f"merging ended with {run.status}")
    inputs = [path.read_bytes() for path in run.corpus.iterdir()]
    if not inputs:
        raise FuzzerError(f"merging kept nothing, see {run.folder / 'log'}")
    files, size = replace(CORPORA / target.name, inputs)
    print(f"{target.name}: {files} inputs of {len(inputs)} kept, {size:,} bytes, in {CORPORA / target.name}")
    return 0


def _program(target: Target, folder: Path) -> Path:
    """A program that fuzzes with the arguments that it is given."""
    script = folder / "again"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(child(target.module, target.instrument, "again"))} "$@"\n')
    script.chmod(0o755)
    return script
