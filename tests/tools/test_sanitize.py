"""tools/sanitize.py: it sees every kind of fault that is planted, and is content with what has none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import sanitize
from tools.sanitize import Unavailable, finds_leaks, judged, plan, run, runtime
from tools.variant import PROJECT, variant

from .planting import planted, python

RING = "jetsocket/hot/ring_c.pyx"
# What runs against a planted fault; quick, and touches everything that one is planted in.
TESTS = ("tests/conformance/test_ring.py", "-k", "not pure and not against_a_list and not resident")
HEADER = "jetsocket/hot/arena.h"
# A header is compiled into more than one room.
ROOMS = {HEADER: "ring_c,router_c"}
FAULTS = {
    "a heap overflow by one byte": (
        HEADER,
        "chunk = (arena_chunk *)malloc(sizeof(arena_chunk) + size);",
        "chunk = (arena_chunk *)malloc(sizeof(arena_chunk) + size - 1);",
        "ERROR: AddressSanitizer: heap-buffer-overflow",
    ),
    "a use after free": (
        HEADER,
        "    arena_release_all(arena);\n    arena->allocated = ",
        "    arena->allocated = ",
        "ERROR: AddressSanitizer: heap-use-after-free",
    ),
    "a signed overflow": (
        RING,
        "        return self.ring.nbytes\n",
        "        return <int>self.ring.count + <int>0x7FFFFFFF\n",
        "runtime error: signed integer overflow",
    ),
    "a leak": (
        RING,
        "            Py_DECREF(tally)\n        ring_clear(&self.ring)\n",
        "            Py_DECREF(tally)\n",
        "leak of",
    ),
    "a reference too many": (
        RING,
        "        taken = owned(payload)\n",
        "        taken = owned(payload)\n        Py_INCREF(taken)\n",
        "leak of",
    ),
}


def available() -> bool:
    try:
        runtime()
    except Unavailable:
        return False
    return True


with_sanitizers = pytest.mark.skipif(not available(), reason="the compiler has no AddressSanitizer")


@pytest.mark.slow
@pytest.mark.timeout(300)
@with_sanitizers
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_reported(fault: str, tmp_path: Path) -> None:
    file, old, new, said = FAULTS[fault]
    folder = planted(tmp_path / "project", file, old, new, only=ROOMS.get(file, Path(file).stem), build="sanitize")
    leaks = finds_leaks(folder)
    if "leak" in said and not leaks:
        pytest.skip("LeakSanitizer does not run here")
    problems = run(folder, ["--quiet", *TESTS], leaks=leaks)
    assert any(said in problem for problem in problems), problems


@pytest.mark.slow
@pytest.mark.timeout(300)
@with_sanitizers
def test_what_has_no_fault_passes_and_reports_of_other_processes_count(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    variant("sanitize", folder)
    leaks = finds_leaks(folder)
    assert run(folder, ["--quiet", "tests/conformance/test_sieve.py"], leaks=leaks) == []
    (folder / "tests" / "test_swallowing.py").write_text(SWALLOWING, encoding="utf-8")
    (problem,) = run(folder, ["--quiet", "tests/test_swallowing.py"], leaks=leaks)
    assert "ERROR: AddressSanitizer: SEGV" in problem
    (problem,) = run(folder, ["--quiet", "tests/test_no_such_file.py"], leaks=leaks)
    assert problem.startswith("pytest ended with 4: ")


# A test that passes, whatever becomes of the process it starts.
SWALLOWING = """
import subprocess, sys

def test_nothing_of_it():
    script = "import ctypes; ctypes.string_at(8)"
    subprocess.run([sys.executable, "-c", script], capture_output=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where it is skipped for another reason")
@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("clang", "it takes gcc, on Linux"), ("no-such-compiler", "does not run"), ("echo", "has no libasan.so")],
)
def test_without_sanitizers_it_is_skipped(compiler: str, reason: str) -> None:
    told = python("-m", "tools.sanitize", CC=compiler)
    assert told.returncode == sanitize.SKIPPED == 77
    assert told.stdout.startswith("skipped: ")
    assert reason in told.stdout


def leak(count: int, place: str) -> str:
    return f"Direct leak of {count * 48} byte(s) in {count} object(s) allocated from:\n    #0 malloc\n    #1 {place}\n"


def test_of_the_leaks_only_ours_count() -> None:
    head = "\n==1==ERROR: LeakSanitizer: detected memory leaks\n\n"
    ours, few, many = leak(1, "take jetsocket/hot/ring_c.pyx:9"), leak(9, "gc_alloc"), leak(900, "gc_alloc")
    indirect = "Indirect" + ours.removeprefix("Direct")
    assert judged(head + few) == ""
    assert judged("\n".join([head + few, ours, many, few, indirect])) == f"{ours}\n{many}\n{indirect}"
    assert judged("anything else") == "anything else"


def test_what_is_left_out_exists() -> None:
    """Otherwise a name that has changed would let something in, or nothing out."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tests" / "conformance").glob("*.py"))
    for name in sanitize.EXCLUDED:
        assert name in tests
    for arguments in plan():
        for argument in arguments:
            assert not argument.startswith("tests/") or (PROJECT / argument).exists()
