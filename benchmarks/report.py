"""What a contest's figures look like: a table on the terminal, in README.md, and in JSON."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.contest import FLOOR, Figure

BASELINE = "websockets-orjson"
HEADINGS = ("client", "CPU ns a message", "messages a CPU second", "of the floor", "faster than websockets + orjson")
MARKED = re.compile(r"(<!-- benchmark-table -->\n).*?(<!-- /benchmark-table -->)", re.DOTALL)
COMPARED = ("aiohttp", "Cython", "msgspec", "orjson", "picows", "uvloop", "websockets")


def ratio(figure: Figure, other: Figure | None) -> float | None:
    """How many times the CPU time of `other` this one takes."""
    return None if other is None else figure.cpu_ns / other.cpu_ns


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    named = {figure.name: figure for figure in figures}
    found: list[tuple[str, ...]] = []
    for figure in sorted(figures, key=lambda figure: figure.cpu_ns):
        of_floor = ratio(figure, named.get(FLOOR))
        of_baseline = ratio(figure, named.get(BASELINE))
        found.append(
            (
                figure.title,
                f"{figure.cpu_ns:,.0f}",
                f"{round(1e9 / figure.cpu_ns, -3):,.0f}",
                "" if of_floor is None else f"{of_floor:,.1f} ×",
                "" if of_baseline is None else f"{1 / of_baseline:,.1f} ×",
            )
        )
    return found


def markdown(figures: Sequence[Figure]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(figures)]
    return "\n".join(lines) + "\n"


def terminal(figures: Sequence[Figure]) -> str:
    table = [HEADINGS, *rows(figures)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in table)
    )


def surroundings() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: version(name) for name in COMPARED},
    }


def write_json(path: Path, figures: Sequence[Figure], runs: int) -> None:
    document = {"surroundings": surroundings(), "runs": runs, "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def write_readme(path: Path, figures: Sequence[Figure]) -> None:
    """Replace the table between the markers. Raises ValueError when README has none."""
    text = path.read_text(encoding="utf-8")
    if not MARKED.search(text):
        raise ValueError(f"{path} has no <!-- benchmark-table --> markers")
    path.write_text(MARKED.sub(lambda match: match[1] + markdown(figures) + match[2], text), encoding="utf-8")
