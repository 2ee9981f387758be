"""Branch coverage of the Python, line coverage of the Cython and of the C headers, in one table.

    python -m tools.coverage_report                         the whole suite, and each module by its own tests
    python -m tools.coverage_report --python                without the compiled rooms; --cython: only those
    python -m tools.coverage_report websocket hot/ring_c    these modules by their own tests alone, which is quick

Everything runs in a copy of the project that is compiled with line tracing (`tools/variant.py`). Each module is counted
twice: as the whole suite covers it, and as its own test files do (`tools/coverage_own.py` says which these are). Exits
with 1 when a test fails, or when the total or any module is under the bar either way. Needs gcc, its gcov, and a Python
that Cython can trace lines in: 3.12 cannot.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .coverage_headers import Counts, header_counts, merged
from .coverage_own import module_named, modules, own_tests, room_of
from .coverage_python import Reader
from .coverage_runs import Area, Outcome, all_runs, play, runs_of
from .coverage_table import Covered, Row, print_table
from .variant import PROJECT

BAR = 95.0


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.coverage_report", description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", help="modules to look at, by their own tests: websocket, hot/ring_c")
    parser.add_argument("--python", action="store_true", help="the Python modules outside of the compiled rooms")
    parser.add_argument("--cython", action="store_true", help="jetsocket/hot: Cython, headers, and the pure twins")
    parser.add_argument("--fail-under", type=float, default=BAR, metavar="PERCENT")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--folder", type=Path, help="work there and leave everything; else a temporary folder")
    return parser.parse_args(arguments)


def measure(area: Area, given: argparse.Namespace) -> int:
    """Run, print, and tell the exit code."""
    chosen = [module_named(name, PROJECT) for name in given.modules]
    everything = given.python == given.cython
    if chosen:
        runs = runs_of(chosen, PROJECT)
    else:
        runs = all_runs(PROJECT, python=everything or given.python, cython=everything or given.cython)
    area.prepare({run.build for run in runs})
    outcomes = play(area, runs, given.jobs)
    rows = read(area, chosen or looked_at(area.project, given), own_only=bool(chosen))
    under = print_table(rows, given.fail_under)
    failed = [outcome for outcome in outcomes if outcome.code]
    for outcome in failed:
        tell_failure(outcome)
    return 1 if failed or under else 0


def looked_at(project: Path, given: argparse.Namespace) -> list[str]:
    """The modules that the chosen runs are about."""
    found = modules(project)
    if given.python == given.cython:
        return found
    return [module for module in found if (room_of(module) is not None) is given.cython]


def read(area: Area, wanted: list[str], *, own_only: bool) -> list[Row]:
    """A row a module."""
    reader = Reader(area)
    parts = {folder.name: header_counts(folder) for folder in sorted(area.counts.iterdir())}
    rows = []
    for module in wanted:
        tests = own_tests(module, area.project)
        if module.endswith(".h"):
            room = room_of(module)
            own = [counts for name, counts in parts.items() if name.partition("-")[0] == room]
            row = Row(module, _header(merged(list(parts.values())), module), _header(merged(own), module))
        else:
            row = Row(module, reader.covered(module), reader.covered(module, tests))
        rows.append(row._replace(suite=row.own) if own_only else row)
    return rows


def _header(counts: Counts, module: str) -> Covered:
    lines = counts.get(module, {})
    missing = tuple(sorted(number for number, count in lines.items() if not count))
    return Covered(len(lines), len(lines) - len(missing), 0, 0, missing)


def tell_failure(outcome: Outcome) -> None:
    """The end of what a failed run said."""
    lines = outcome.output.splitlines()
    print(f"\nthe run {outcome.run.name!r} ended with {outcome.code}:", *lines[-40:], sep="\n", file=sys.stderr)


def main() -> int:
    given = options()
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
        return measure(Area(given.folder.resolve()), given)
    with tempfile.TemporaryDirectory(prefix="jetsocket-coverage.") as folder:
        return measure(Area(Path(folder).resolve()), given)


if __name__ == "__main__":
    sys.exit(main())
