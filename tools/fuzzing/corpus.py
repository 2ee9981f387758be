"""The inputs that are kept of each fuzzer, tests/corpora/<name>/: files named by the SHA-1 of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..variant import PROJECT

CORPORA = PROJECT / "tests" / "corpora"
# No more is kept in the repository of each.
MOST_FILES = 299
MOST_BYTES = 300 * 1024


def file_name(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def committed(name: str) -> list[Path]:
    return sorted(path for path in (CORPORA / name).glob("*") if path.is_file())


def fill(folder: Path, inputs: Iterable[bytes]) -> None:
    """Add a file for each input."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / file_name(data)).write_bytes(data)


def replace(folder: Path, inputs: Iterable[bytes]) -> tuple[int, int]:
    """Keep these inputs alone, the smallest first, as many as there is room for; how many, and how many bytes.

    Of too many files every so manieth is kept, for some of every size.
    """
    kept: list[bytes] = []
    room = MOST_BYTES
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    files = min(len(ordered), MOST_FILES)
    for data in (ordered[number * len(ordered) // files] for number in range(files)):
        room -= len(data)
        if room < 0:
            break
        kept.append(data)
    fill(folder, kept)
    names = set(map(file_name, kept))
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
    return len(kept), sum(map(len, kept))
