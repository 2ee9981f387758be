"""Fails when a benchmark has become slower: by what does not depend on the machine, nor on what else it is doing.

    python -m pytest benchmarks --benchmark-json=RESULT.json    # pytest-benchmark
    python -m tools.bench_gate RESULT.json ...                  # ratios of medians of each run
    python -m tools.bench_gate --count                          # instructions, under valgrind
    python -m tools.bench_gate --count --update                 # keep these counts as the baseline

It judges two things. Ratios of medians in the same run, held against bounds in a TOML file (`--bounds`): of a case to
its like that differs in one word of its parameters (a compiled twin to its pure one), and of a case to another one that
is named (a floor, such as copying the same bytes). Of several RESULT.json each bound counts in the one where it comes
out best: what else a machine does spoils one run, and a slowdown spoils all. And the number of instructions that a case
executes, held against a baseline (`--instructions`) to within 2 %: a loss fails, a gain asks for the baseline to be
updated. Baselines are kept for each compiler, Python and kind of processor; where there is none yet, that is said, and
nothing fails.

It prints a table of what moved. A case that a bound or a baseline names and that is not there fails; a case of which
nothing is said is told. `--suggest` prints bounds for the first run, each with room for a factor of two; it needs no
bounds file, or one that names no more than the pairs.

It is for anybody's benchmarks: give it their folder, bounds and baseline; README tells how to begin. What the bounds
file holds stands in `bench_bounds.py`. The cases need names that are unique. Those whose instructions are counted
should do the same work each time: no sockets, no clock, seeded random numbers.

    python -m tools.bench_gate RESULT.json --bounds my/bounds.toml --count --benchmarks my/

The exit code is 0 when all is well, 1 when something became slower or vanished, 2 when it cannot judge, and 77, with
the reason, when only counting was asked for and cannot be done here: it takes valgrind, its header, and a C compiler.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .bench_bounds import BadInput, Bounds, matcher, no_bounds, read_bounds
from .instructions import CountingFailed, Counts, Unavailable, count, read_baselines, write_baseline

SKIPPED = 77
# What is suggested leaves room for: two cases of one run are each as much as half too slow on a busy machine.
ROOM = 2.0
# Counts that moved by less are not worth a line.
STILL = 0.002


@dataclass(frozen=True)
class Row:
    """A line of the table. `fails`: it ends in exit code 1; `told`: it is printed without `--all`."""

    case: str
    baseline: str
    now: str
    change: str
    verdict: str
    fails: bool = False
    told: bool = True


def read_medians(path: Path) -> dict[str, float]:
    """Seconds of each case, from pytest-benchmark's JSON. Raises BadInput."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise BadInput(f"{path} is not what pytest-benchmark writes with --benchmark-json: it has no list `benchmarks`")
    medians: dict[str, float] = {}
    for number, case in enumerate(content["benchmarks"]):
        try:
            name, median = str(case["name"]), float(case["stats"]["median"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path}: benchmarks[{number}] has no name or no stats.median") from error
        if not 0 < median < float("inf"):
            raise BadInput(f"{path}: {name} has a median of {median} s")
        if name in medians:
            raise BadInput(f"{path}: two cases are called {name!r}: names must be unique")
        medians[name] = median
    if not medians:
        raise BadInput(f"{path} holds no case: did any benchmark run?")
    return medians


def judge_ratios(runs: Sequence[Mapping[str, float]], bounds: Bounds) -> list[Row]:
    """A row for each bound, by the run in which it comes out best, and for each case that there is no bound for."""
    rows = []
    judged = set()
    for name, least in bounds.times_as_fast.items():
        fast, slow = bounds.twins(name)
        judged |= {fast, slow}
        rows.append(_ratio_row(runs, name, (slow, fast), f">= {least:g} x", least, floor=False))
    for reference, cases in bounds.times_the_cost_of.items():
        judged.add(reference)
        for name, most in cases.items():
            judged.add(name)
            rows.append(_ratio_row(runs, name, (name, reference), f"<= {most:g} x", most, floor=True))
    if not rows:
        raise BadInput("there is no bound to judge by: --suggest prints some")
    left_out = matcher(bounds.left_out)
    medians = {name: median for run in runs for name, median in run.items()}
    unbound = sorted(name for name in medians.keys() - judged if not left_out(name))
    rows += [Row(name, "-", f"{medians[name] * 1e6:.1f} us", "", "no bound") for name in unbound]
    unmet = [pattern for pattern in bounds.left_out if not any(map(matcher([pattern]), medians))]
    return rows + [Row(pattern, "-", "-", "", "left out, but there is no such case") for pattern in unmet]


def _ratio_row(
    runs: Sequence[Mapping[str, float]], name: str, sides: tuple[str, str], bound: str, limit: float, *, floor: bool
) -> Row:
    """`sides`: what is divided by what. `floor`: the bound is a most, and the second is named."""
    over, under = sides
    case = f"{name} : {under}" if floor else name
    missing = [side for side in sides if not all(side in medians for medians in runs)]
    if missing:
        return Row(case, bound, "-", "", f"VANISHED: there is no {' and no '.join(missing)}", fails=True)
    ratios = [medians[over] / medians[under] for medians in runs]
    now = min(ratios) if floor else max(ratios)
    fails = now > limit if floor else now < limit
    return Row(case, bound, f"{now:.2f} x", f"{now / limit - 1:+.0%}", "SLOWER" if fails else "ok", fails)


def judge_counts(counts: Counts, baseline: Mapping[str, int], tolerance: float) -> list[Row]:
    """A row for each case of either side."""
    rows = []
    for name in sorted(counts.cases.keys() | baseline.keys()):
        before, now = baseline.get(name), counts.cases.get(name)
        if before is None:
            rows.append(Row(name, "-", f"{now:,}", "", "no baseline: --update"))
        elif now is None:
            rows.append(Row(name, f"{before:,}", "-", "", "VANISHED", fails=True))
        else:
            change = now / before - 1
            verdict = "SLOWER" if change > tolerance else "faster: update the baseline" if change < -tolerance else "ok"
            told = abs(change) > STILL
            rows.append(Row(name, f"{before:,}", f"{now:,}", f"{change:+.2%}", verdict, change > tolerance, told))
    return rows


def show(title: str, rows: Sequence[Row], *, everything: bool) -> None:
    """Print the table; failures last, where they are seen."""
    shown = sorted((row for row in rows if row.told or everything), key=lambda row: (row.fails, row.verdict != "ok"))
    print(f"\n{title}")
    table = [("case", "bound", "now", "change", "verdict")]
    table += [(row.case, row.baseline, row.now, row.change, row.verdict) for row in shown]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table if shown else ():
        left, *middle, last = (
            cell.ljust(width) if index in (0, 4) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([left, *middle, last]).rstrip())
    if len(shown) < len(rows):
        print(f"{len(rows) - len(shown)} cases did not move")


def suggest(medians: Mapping[str, float], bounds: Bounds) -> None:
    """Print bounds for every pair, and for every case that is held to another one already; where there is neither, for
    every case by the cheapest. And what to count, where nothing is said of that.
    """
    tables: dict[str, dict[str, float]] = {}
    for fast in sorted(medians):
        name = fast.replace(bounds.fast, "*") if bounds.fast else fast
        if name.count("*") == 1 and (slow := bounds.twins(name)[1]) in medians:
            tables.setdefault("times_as_fast", {})[name] = medians[slow] / medians[fast] / ROOM
    floors = bounds.times_the_cost_of
    if not tables and not floors:
        left_out = matcher(bounds.left_out)
        cheapest, *others = sorted((name for name in medians if not left_out(name)), key=medians.__getitem__) or [""]
        print(
            "# Each case by the cheapest one. Better are [pairs] of cases that do the same in two ways, or a case that"
        )
        print("# does no more than what yours cannot do without, such as to copy the same bytes.")
        floors = {cheapest: dict.fromkeys(sorted(others), 0.0)}
    for reference, cases in floors.items():
        known = [name for name in cases if name in medians and reference in medians]
        found = {name: medians[name] / medians[reference] * ROOM for name in known}
        tables[f"times_the_cost_of.{_quoted(reference)}"] = found
    for title, table in tables.items():
        if table:
            print("\n".join([f"\n[{title}]", *(f"{_quoted(name)} = {bound:.2g}" for name, bound in table.items())]))
    if not bounds.counted:
        print('\n[instructions]\ncases = ["*"]')


def _quoted(name: str) -> str:
    """As TOML has it, which is as JSON has it."""
    return json.dumps(name, ensure_ascii=False)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_gate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", nargs="*", type=Path, metavar="RESULT.json", help="what pytest-benchmark wrote")
    parser.add_argument("--bounds", type=Path, default=Path("benchmarks/bounds.toml"), help="default: %(default)s")
    parser.add_argument("--count", action="store_true", help="count instructions too")
    parser.add_argument(
        "--instructions", type=Path, metavar="BASELINE", help="default: instructions.json, by the bounds"
    )
    parser.add_argument("--benchmarks", action="append", metavar="PATH", help="what to count; default: benchmarks")
    parser.add_argument("--update", action="store_true", help="write the counts to the baseline, and judge none")
    parser.add_argument("--suggest", action="store_true", help="print bounds for RESULT.json, and judge nothing")
    parser.add_argument("--all", action="store_true", help="print the cases that did not move too")
    chosen = parser.parse_args(arguments)
    chosen.count = chosen.count or chosen.update or chosen.instructions is not None
    if not chosen.result and (chosen.suggest or not chosen.count):
        parser.error("give it RESULT.json, --count, or both")
    return chosen


def gate_counts(chosen: argparse.Namespace, bounds: Bounds) -> list[Row]:
    """Count, and judge or keep the counts. Raises what counting raises."""
    if not bounds.counted:
        raise BadInput(f"{chosen.bounds}: instructions.cases names no case to count")
    file = chosen.instructions or chosen.bounds.parent / "instructions.json"
    baselines = read_baselines(file)
    counts = count(bounds, chosen.benchmarks or ["benchmarks"])
    title = f"instructions ({counts.key})"
    baseline = baselines.get(counts.key)
    if chosen.update:
        write_baseline(file, counts)
        show(title, judge_counts(counts, baseline or {}, bounds.tolerance), everything=chosen.all)
        print(f"the baseline is now these {len(counts.cases)} counts: {file}")
        return []
    if baseline is None:
        others = "".join(f"\n  {key}" for key in baselines) or " none"
        print(f"\n{title}: there is no baseline of this kind in {file}, which has:{others}")
        print("make one, from a version that is as fast as it should be, with --count --update")
        return []
    rows = judge_counts(counts, baseline, bounds.tolerance)
    show(title, rows, everything=chosen.all)
    return rows


def run(chosen: argparse.Namespace) -> int:
    """Judge what was asked for; returns the exit code. Raises BadInput or CountingFailed."""
    unwritten = chosen.suggest and not chosen.bounds.exists()
    bounds = no_bounds() if unwritten else read_bounds(chosen.bounds)
    rows: list[Row] = []
    if chosen.result:
        runs = [read_medians(result) for result in chosen.result]
        if chosen.suggest:
            suggest(runs[0], bounds)
            return 0
        rows += judge_ratios(runs, bounds)
        show("ratios of medians", rows, everything=chosen.all)
    if chosen.count:
        try:
            rows += gate_counts(chosen, bounds)
        except Unavailable as reason:
            print(f"\ninstructions were not counted: {reason}")
            if not chosen.result:
                return SKIPPED
    failed = [row for row in rows if row.fails]
    if failed:
        print(f"\nthe gate fails: {len(failed)} of {len(rows)}")
    return 1 if failed else 0


def main(arguments: Sequence[str]) -> int:
    """See above."""
    try:
        return run(options(arguments))
    except (BadInput, CountingFailed) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
