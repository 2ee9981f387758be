"""Counts the instructions that benchmarks execute, with valgrind's callgrind, and keeps the counts.

Counts, unlike times, are the same on a busy machine and on a quiet one. They do depend on the compiler, the Python and
its C library, and on which of several code paths the processor gets: one JSON file holds a baseline for each of these
(`Counts.key`). Copying counts as many instructions as bytes where the C library leaves it to the processor (`rep
movsb`): a copy too many stands out.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .bench_bounds import BadInput, Bounds

# pytest's exit code.
NONE_COLLECTED = 5
# Blocks of memory go back where they came from, at the same cost each time. What glibc does with larger ones otherwise
# depends on their neighbours.
STEADY_MALLOC = "glibc.malloc.tcache_max=131072:glibc.malloc.tcache_count=5000"
HERE = Path(__file__).resolve().parent


class Unavailable(Exception):
    """Instructions cannot be counted here; says why."""


class CountingFailed(Exception):
    """The benchmarks did not run through; what pytest said."""


@dataclass(frozen=True)
class Counts:
    """Instructions of each case, by its name, and what they hold for."""

    key: str
    cases: Mapping[str, int]


def count(bounds: Bounds, benchmarks: Sequence[str]) -> Counts:
    """Run the cases that `bounds` names under callgrind. Raises Unavailable, CountingFailed or BadInput."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Unavailable("valgrind is not installed")
    compiler = _compiler()
    version = _compiler_version(compiler)
    with TemporaryDirectory() as area:
        folder = Path(area)
        requests = _build_requests(compiler, folder)
        output = folder / "out"
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={output}"]
        command += ["--instr-atstart=no", "--collect-atstart=no"]
        # No option of pytest-benchmark's may come from a configuration: nobody would know it.
        command += [sys.executable, "-m", "pytest", *benchmarks, "-q", "--override-ini=addopts=", "-p", "no:benchmark"]
        command += ["-p", "tools.counting", "-p", "no:cacheprovider", f"--count-requests={requests}"]
        command += [f"--count-output={output}", f"--count-into={folder / 'counts'}"]
        command += [f"--count-case={pattern}" for pattern in bounds.counted]
        command += [f"--count-not={pattern}" for pattern in bounds.uncounted]
        command += [f"--count-fact={fact}" for fact in bounds.facts]
        done = subprocess.run(
            command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode == NONE_COLLECTED:
            raise BadInput(f"no case was counted: instructions.cases matches no benchmark in {' '.join(benchmarks)}")
        if done.returncode:
            raise CountingFailed(f"the benchmarks failed under valgrind ({done.returncode}):\n{done.stdout}")
        counted = json.loads((folder / "counts").read_text(encoding="utf-8"))
        return Counts(_key(version, counted["facts"]), counted["cases"])


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    # Some fifty times as slow as without valgrind: no limit of pytest-timeout's fits both.
    return os.environ | {
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTEST_TIMEOUT": "0",
        "GLIBC_TUNABLES": STEADY_MALLOC,
    }


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def _compiler_version(compiler: list[str]) -> str:
    try:
        told = [
            subprocess.run([*compiler, option], capture_output=True, text=True, check=True).stdout.strip()
            for option in ("--version", "-dumpversion")
        ]
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"the compiler does not run: {error}") from error
    return f"{'clang' if 'clang' in told[0] else 'gcc'} {told[1].partition('.')[0]}"


def _build_requests(compiler: list[str], folder: Path) -> Path:
    library = folder / "callgrind_requests.so"
    command = [*compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(HERE / "callgrind_requests.c")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"valgrind/callgrind.h is missing or does not compile:\n{done.stdout.strip()}")
    return library


def _key(compiler: str, facts: Iterable[str]) -> str:
    """What the counts depend on beside the code."""
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    python = f"{platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]}"
    python += " PGO" if "--enable-optimizations" in configured else ""
    python += " LTO" if "--with-lto" in configured else ""
    return ", ".join((platform.machine(), *facts, compiler, python, " ".join(platform.libc_ver())))


def read_baselines(path: Path) -> dict[str, dict[str, int]]:
    """Key -> case -> instructions; nothing where there is no file yet. Raises BadInput."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path}: must be an object, of objects of instruction counts")
    for key, cases in content.items():
        if not isinstance(cases, dict) or not all(type(total) is int and total > 0 for total in cases.values()):
            raise BadInput(f"{path}: {key!r} must be an object of instruction counts")
    return content


def write_baseline(path: Path, counts: Counts) -> None:
    """Keep `counts` for their key; those of other keys stay."""
    content = read_baselines(path) | {counts.key: dict(counts.cases)}
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
