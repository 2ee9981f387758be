"""The table of `tools/coverage_report.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .coverage_own import own_patterns


class Covered(NamedTuple):
    """What some tests cover of a module; `missing` are lines, `partial` branches as "from->to"."""

    lines: int
    lines_run: int
    branches: int
    branches_run: int
    missing: tuple[int, ...] = ()
    partial: tuple[str, ...] = ()

    @property
    def percent(self) -> float:
        """Of the lines and the branches together, as coverage.py counts."""
        possible = self.lines + self.branches
        return 100.0 if not possible else 100.0 * (self.lines_run + self.branches_run) / possible

    def gaps(self) -> str:
        """Missing lines as ranges, then missing branches."""
        return ", ".join([*ranges(self.missing), *self.partial])


class Row(NamedTuple):
    """A module as the whole suite covers it, and as its own tests do."""

    module: str
    suite: Covered
    own: Covered


def ranges(numbers: Iterable[int]) -> list[str]:
    """Line numbers, those that follow one another as "first-last"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]


def total(parts: Iterable[Covered]) -> Covered:
    """All of them as one."""
    parts = list(parts)
    return Covered(
        sum(part.lines for part in parts),
        sum(part.lines_run for part in parts),
        sum(part.branches for part in parts),
        sum(part.branches_run for part in parts),
    )


def _percent(covered: Covered) -> str:
    # Never rounded up to what it is not.
    return f"{int(covered.percent * 10) / 10:.1f}"


def print_table(rows: list[Row], bar: float) -> list[str]:
    """Print it; the modules (or "total") that are under the bar."""
    groups = {
        "Python, branches": [row for row in rows if row.module.endswith(".py")],
        "Cython, lines": [row for row in rows if row.module.endswith(".pyx")],
        "C headers, lines": [row for row in rows if row.module.endswith(".h")],
    }
    width = max((len(row.module) for row in rows), default=10)
    print(f"{'module':{width}}  {'lines':>6}  {'branches':>8}  {'suite %':>7}  {'own %':>6}  missing from the suite")
    under = []
    for title, group in groups.items():
        if not group:
            continue
        for row in group:
            print(_line(row.module, row, width, row.suite.gaps()))
        whole = Row(title, total(row.suite for row in group), total(row.own for row in group))
        print(_line(title, whole, width, "") + "\n")
        under += [row.module for row in [*group, whole] if min(row.suite.percent, row.own.percent) < bar]
    for row in rows:
        if row.own.percent < bar:
            tests = " ".join(own_patterns(row.module))
            print(f"{row.module}: missing from its own tests ({tests}): {row.own.gaps()}")
    if under:
        print(f"\nunder {bar:g} %: {', '.join(under)}")
    return under


def _line(name: str, row: Row, width: int, gaps: str) -> str:
    return (
        f"{name:{width}}  {row.suite.lines:6}  {row.suite.branches:8}  {_percent(row.suite):>7}  {_percent(row.own):>6}"
        f"  {gaps}".rstrip()
    )
