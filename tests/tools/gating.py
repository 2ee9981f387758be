"""Benchmarks of nobody's, for the gate to judge: two ways to sum up, and a reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from .planting import python

CASES = """
import pytest

NUMBERS = list(range(20_000))

def by_hand(numbers):
    total = 0
    for number in numbers:
        total += number
    return total

@pytest.mark.benchmark(group="sums")
@pytest.mark.parametrize("way", [sum, by_hand], ids=["quick", "plain"])
def test_total(benchmark, way):
    assert benchmark(way, NUMBERS) == 199_990_000

def test_reference(benchmark):
    assert len(benchmark.pedantic(NUMBERS.copy, rounds=20, warmup_rounds=2)) == 20_000

def test_uncounted(benchmark):
    benchmark(len, NUMBERS)

def test_other(benchmark):
    assert benchmark.pedantic(sorted, setup=lambda: ((NUMBERS,), {}), rounds=5) == NUMBERS
"""
BOUNDS = """
[pairs]
fast = "quick"
slow = "plain"

[left_out]
"*_uncounted" = "too short to be told from nothing"

[times_as_fast]
"test_total[*]" = 1.5

[times_the_cost_of.test_reference]
"test_total[quick]" = 1000

[instructions]
cases = ["test_*"]
left_out = ["*_uncounted"]
facts = ["sys:getrecursionlimit"]
"""


def write_project(folder: Path) -> Path:
    """A project with these benchmarks and their bounds; its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "test_sums.py").write_text(CASES, encoding="utf-8")
    (folder / "bounds.toml").write_text(BOUNDS, encoding="utf-8")
    # What a user may well have, and what must not trouble the counting.
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --benchmark-disable-gc\n", encoding="utf-8")
    return folder


def gate(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    done = python("-m", "tools.bench_gate", *arguments, **environment)
    return done.returncode, done.stdout


def line(printed: str, start: str) -> str:
    """The one line of the table that begins so."""
    found = [text for text in printed.splitlines() if text.startswith(start)]
    assert len(found) == 1, printed
    return found[0]


def counted(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """As `gate()`, but where nothing can be counted the test is skipped."""
    status, printed = gate("--count", *arguments, **environment)
    if status == 77:
        pytest.skip(printed.strip())
    return status, printed
