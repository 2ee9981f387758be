"""What a contest's figures look like: tables on the terminal and in README.md, and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.contest import FLOOR, Figure
from benchmarks.courses import COURSES, TRADES
from benchmarks.findings import Finding
from benchmarks.surroundings import sentence, surroundings

BASELINE = "websockets-orjson"
HEADINGS = (
    "client",
    "CPU ns a message",
    "wall ns a message",
    "messages a CPU second",
    "of the floor",
    "faster than websockets + orjson",
)
OTHER_HEADINGS = ("course", "client", "CPU ns a message", "messages a CPU second", "MB a CPU second", "CPU time")
# Whom the others of a course are held against, and how that one is called there.
RIVALS = {
    "tiny": ("tiny-floor", "the floor"),
    "large64k": ("large64k-floor", "the floor"),
    "large1m": ("large1m-floor", "the floor"),
    "tls": ("tls-picows", "picows"),
    "deflate": ("deflate-websockets", "websockets"),
}
MARKED = re.compile(r"(<!-- benchmark-table -->\n).*?(<!-- /benchmark-table -->)", re.DOTALL)
Table = list[tuple[str, ...]]


@dataclass
class Outcome:
    """All that a run of `python -m benchmarks` found. `left_out`: contenders, with the reason; `trials`: by name;
    `command`: what was typed.
    """

    runs: int
    figures: list[Figure] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    trials: dict[str, list[Finding]] = field(default_factory=dict)
    command: str = "python -m benchmarks"

    @property
    def missed(self) -> list[Finding]:
        """What does not keep its bound."""
        every = [*self.findings, *(finding for found in self.trials.values() for finding in found)]
        return [finding for finding in every if not finding.met]


def per_second(figure: Figure) -> str:
    """Messages a CPU second, to three digits or so."""
    count = 1e9 / figure.cpu_ns
    return f"{round(count, -3 if count >= 1e5 else 0):,.0f}"


def rows(figures: Sequence[Figure]) -> Table:
    """Of the main course, the fastest first."""
    named = {figure.name: figure.cpu_ns for figure in figures}
    floor, baseline = named.get(FLOOR), named.get(BASELINE)
    return [
        (
            figure.title,
            f"{figure.cpu_ns:,.0f}",
            f"{figure.wall_ns:,.0f}",
            per_second(figure),
            "" if floor is None else f"{figure.cpu_ns / floor:,.1f} ×",
            "" if baseline is None else f"{baseline / figure.cpu_ns:,.1f} ×",
        )
        for figure in sorted(figures, key=lambda figure: figure.cpu_ns)
        if figure.course == TRADES.name
    ]


def other_rows(figures: Sequence[Figure]) -> Table:
    """Of the other courses, each with its rival first."""
    found: Table = []
    for course, (rival, called) in RIVALS.items():
        present = [figure for figure in figures if figure.course == course]
        reference = next((figure.cpu_ns for figure in present if figure.name == rival), None)
        for figure in sorted(present, key=lambda figure: figure.name != rival):
            beside = ""
            if reference is not None and figure.name != rival:
                beside = f"{figure.cpu_ns / reference:,.2f} × {called}"
            megabytes = f"{figure.payload_bytes * 1000 / figure.cpu_ns:,.0f}"
            title = COURSES[course].title
            found.append((title, figure.title, f"{figure.cpu_ns:,.0f}", per_second(figure), megabytes, beside))
    return found


def markdown(headings: tuple[str, ...], table: Table, left: int = 1) -> str:
    """`left`: how many columns hold text."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * left + "---:|" * (len(headings) - left)]
    lines += ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join(lines) + "\n"


def aligned(headings: tuple[str, ...], table: Table, left: int = 1) -> str:
    """The same for a terminal."""
    widths = [max(len(row[column]) for row in [headings, *table]) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column >= left else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [headings, *table]
    )


def terminal(figures: Sequence[Figure]) -> str:
    """The tables of the courses that were run."""
    main, others = rows(figures), other_rows(figures)
    tables = [aligned(HEADINGS, main)] if main else []
    if others:
        tables.append(aligned(OTHER_HEADINGS, others, 2))
    return "\n\n".join(tables)


def left_out_lines(left_out: dict[str, str]) -> list[str]:
    return [f"{name}: left out, {reason}" for name, reason in left_out.items()]


def told(findings: Iterable[Finding]) -> list[dict[str, object]]:
    return [asdict(finding) | {"met": finding.met} for finding in findings]


def write_json(path: Path, outcome: Outcome) -> None:
    document = {
        "surroundings": surroundings(),
        "runs": outcome.runs,
        "figures": [asdict(figure) for figure in outcome.figures],
        "left_out": outcome.left_out,
        "findings": told(outcome.findings),
        "trials": {name: told(found) for name, found in outcome.trials.items()},
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def readme_section(outcome: Outcome, picture: str) -> str:
    """What stands between README's markers; `picture` is the path of the drawing, as README refers to it."""
    parts = [
        f"![Messages a CPU second, JetSocket and other clients]({picture})\n",
        markdown(HEADINGS, rows(outcome.figures)),
    ]
    others = other_rows(outcome.figures)
    if others:
        parts += ["On other courses:\n", markdown(OTHER_HEADINGS, others, 2)]
    most = max((figure.messages for figure in outcome.figures), default=0)
    size = f"{outcome.runs} runs of {most:,} messages, fewer for slow clients and other courses"
    parts.append(f"Made by `{outcome.command}`, median of {size}, on: {sentence()}\n")
    if outcome.left_out:
        parts.append("Left out: " + "; ".join(f"{name} {why}" for name, why in outcome.left_out.items()) + ".\n")
    return "\n".join(parts)


def write_readme(path: Path, outcome: Outcome, picture: str) -> None:
    """Replace what is between the markers. Raises ValueError when README has none."""
    text = path.read_text(encoding="utf-8")
    if not MARKED.search(text):
        raise ValueError(f"{path} has no <!-- benchmark-table --> markers")
    section = readme_section(outcome, picture)
    path.write_text(MARKED.sub(lambda match: match[1] + section + match[2], text), encoding="utf-8")
