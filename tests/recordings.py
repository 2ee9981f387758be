"""Where the recordings of real exchanges are, and what is in them.

They lie beside the repository (or where JETSOCKET_RECORDINGS says) and are no part of it: what needs them has the mark
`recorded`. Run, this prints the folder.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

RECORDINGS = Path(
    os.environ.get("JETSOCKET_RECORDINGS") or Path(__file__).resolve().parents[2] / "shared" / "exchanges"
)


def venues() -> set[str]:
    """Whose single frames there are."""
    return {path.stem for path in (RECORDINGS / "samples").glob("*.jsonl")}


def samples(venue: str) -> list[dict[str, Any]]:
    """Single frames, each with `dir` ("in" from the exchange, or "out"), `kind`, `key` (data's channel) and `raw`."""
    with open(RECORDINGS / "samples" / f"{venue}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def runs() -> set[str]:
    """The longer runs that there are."""
    return {path.name.removesuffix(".txt.gz") for path in (RECORDINGS / "captures").glob("*.gz")}


def path_of(run: str) -> Path:
    return RECORDINGS / "captures" / f"{run}.txt.gz"


def captured(run: str) -> list[bytes]:
    """The frames from the exchange in a longer run."""
    with gzip.open(path_of(run)) as lines:
        frames = (line.rstrip(b"\r\n").split(b" ", 2) for line in lines)
        return [text for _, direction, text in frames if direction == b"<"]


if __name__ == "__main__":
    print(RECORDINGS)
