"""Line coverage of the C headers, by gcov."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from .coverage_own import ROOM

# By header, as its path from the project's folder: how often each of its lines ran.
Counts = dict[str, dict[int, int]]


def header_counts(folder: Path) -> Counts:
    """What the processes that wrote their counts under `folder` ran of the headers. Empty where there is no gcov."""
    gcov = shutil.which("gcov")
    if gcov is None:
        return {}
    counts: Counts = {}
    for data in sorted(folder.rglob("*.gcda")):
        # GCOV_PREFIX kept the whole path under `folder`: the notes of the compiler lie at that path.
        notes = Path("/", data.relative_to(folder)).with_suffix(".gcno")
        shutil.copy2(notes, data.with_suffix(".gcno"))
        done = subprocess.run(
            [gcov, "--json-format", "--stdout", str(data)], cwd=folder, capture_output=True, text=True, check=True
        )
        _add(counts, json.loads(done.stdout))
    return counts


def _add(counts: Counts, report: dict[str, list[dict[str, object]]]) -> None:
    """A header is compiled into several modules: a line has run if it has in any."""
    for file in report["files"]:
        # The build has put copies of the headers beside the generated C.
        folder, _, name = str(file["file"]).rpartition(ROOM + "/")
        if not name.endswith(".h") or folder.startswith("/"):
            continue
        lines = counts.setdefault(f"{ROOM}/{name}", {})
        listed = file["lines"]
        assert isinstance(listed, list)
        for line in listed:
            number = line["line_number"]
            lines[number] = lines.get(number, 0) + line["count"]


def merged(parts: list[Counts]) -> Counts:
    """The sum of several."""
    total: Counts = {}
    for part in parts:
        for name, lines in part.items():
            sums = total.setdefault(name, {})
            for number, count in lines.items():
                sums[number] = sums.get(number, 0) + count
    return total
