"""Which of Autobahn|Testsuite's cases are wanted, what the suite says about them, and whether that is good enough."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

# Payloads up to 8 KiB in the sections about compression, which take nearly all of the time: 385 cases of 517.
QUICK = ("1", "2", "3", "4", "5", "6", "7", "9", "10", "12.*.[1-6]", "12.*.11", "13.*.[1-6]", "13.*.11")

MISSING = "MISSING"
COLUMNS = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED", "UNIMPLEMENTED", MISSING)
_PASSED = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
_CLOSED_WELL = frozenset({"OK", "INFORMATIONAL"})


class NoSuchCaseError(ValueError):
    """A pattern that no case matches."""


def select(cases: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The cases that match any of the patterns, in their order; without patterns all.

    A pattern is a case (`1.2.3`), the beginning of its number (`12`, `12.1`), or has `*`, `?` and `[1-6]`.
    Raises NoSuchCaseError for a pattern that no case matches.
    """
    known = list(cases)
    if not patterns:
        return known
    chosen: set[str] = set()
    for pattern in patterns:
        matching = {case for case in known if fnmatchcase(case, pattern) or fnmatchcase(case, f"{pattern}.*")}
        if not matching:
            raise NoSuchCaseError(f"no case matches {pattern!r}; there are {known[0]} to {known[-1]}")
        chosen |= matching
    return [case for case in known if case in chosen]


@dataclass(frozen=True)
class Verdict:
    """What the suite says about one case."""

    case: str
    description: str
    behavior: str
    # How the connection was closed: OK, INFORMATIONAL, or what was wrong with it.
    behavior_close: str = "OK"
    # In the suite's words, where it is not OK.
    result: str = ""
    seconds: float = 0.0
    timed_out: bool = False
    # Of a NON-STRICT case: its behaviour in further runs.
    repeats: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The column of the table: what the suite does not say is no success."""
        return self.behavior if self.behavior in COLUMNS else "FAILED"

    @property
    def is_timing(self) -> bool:
        """Whether a NON-STRICT case was OK in one of its repeated runs: then it depends on when bytes arrive."""
        return "OK" in self.repeats

    def is_good(self, *, strict: bool) -> bool:
        """With `strict` a NON-STRICT case is good only where it is the suite's timing."""
        if self.behavior_close not in _CLOSED_WELL or self.timed_out:
            return False
        if not _PASSED.issuperset((self.behavior, *self.repeats)):
            return False
        return not strict or self.behavior != "NON-STRICT" or self.is_timing


def read_verdicts(
    reports: Path, agent: str, wanted: Mapping[str, str], timings: Mapping[str, Mapping[str, Any]]
) -> list[Verdict]:
    """The verdicts on `agent` in the server's report about `wanted`, descriptions by case.

    `timings` has what the client said about a case: its `seconds`, and whether it `timed_out`.
    """
    index = reports / "index.json"
    found = json.loads(index.read_text(encoding="utf-8")).get(agent, {}) if index.exists() else {}
    verdicts = []
    for case, description in wanted.items():
        timing = timings.get(case, {})
        judged = found.get(case)
        verdicts.append(
            Verdict(
                case,
                description,
                behavior=judged["behavior"] if judged else MISSING,
                behavior_close=judged["behaviorClose"] if judged else MISSING,
                result=_result(reports / judged["reportfile"]) if judged and judged["behavior"] != "OK" else "",
                seconds=timing.get("seconds", 0.0),
                timed_out=timing.get("timed_out", False),
            )
        )
    return verdicts


def _result(report: Path) -> str:
    told = json.loads(report.read_text(encoding="utf-8"))
    return f"{told['result']} {told['resultClose']}"


def _section(case: str) -> str:
    return case.partition(".")[0]


def table(verdicts: Iterable[Verdict], sections: Mapping[str, str]) -> str:
    """A line per section, and the sums."""
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        counts.setdefault(_section(verdict.case), Counter())[verdict.kind] += 1
    rows = [["section", *COLUMNS]]
    for section, count in counts.items():
        rows.append([f"{section:>3} {sections.get(section, '')}", *_cells(count)])
    rows.append([f"{'':>3} all", *_cells(sum(counts.values(), Counter()))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), *numbers)))
    return "\n".join(lines)


def _cells(count: Counter[str]) -> list[str]:
    return [str(count[column] or "-") for column in COLUMNS]


def remarks(verdicts: Iterable[Verdict]) -> str:
    """A paragraph for every case that is not OK; empty where there is none."""
    paragraphs = []
    for verdict in verdicts:
        close = "" if verdict.behavior_close in ("OK", MISSING) else f", close {verdict.behavior_close}"
        late = f", not finished in {verdict.seconds:.0f} s" if verdict.timed_out else ""
        if verdict.behavior == "OK" and not close and not late:
            continue
        again = ""
        if verdict.repeats:
            cause = "the suite's timing" if verdict.is_timing else "not timing: our behaviour"
            again = f" (again: {', '.join(verdict.repeats)}; {cause})"
        lines = [f"{verdict.case} {verdict.behavior}{close}{late}{again}"]
        lines += [line for text in (verdict.description, verdict.result) for line in _wrapped(text)]
        paragraphs.append("\n".join(lines))
    return "\n".join(paragraphs)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 114, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def as_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """The verdicts by case, for a machine."""
    return {verdict.case: {**asdict(verdict), "repeats": list(verdict.repeats)} for verdict in verdicts}
