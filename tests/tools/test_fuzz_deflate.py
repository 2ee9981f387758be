"""tools/fuzz_deflate.py: what it found stays found, and it finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.fuzz_deflate import one_input, seeds
from tools.fuzzing.corpus import committed

from .planting import assert_found, needs_atheris, planted


def test_the_corpus_passes() -> None:
    for data in (*seeds(), *(path.read_bytes() for path in committed("deflate"))):
        one_input(data)


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "file, old, new, only",
    [
        # A surrogate passes for text.
        ("hot/utf8.h", "|| (lead == 0xED && second > 0x9F) ? 0 : 3", "? 0 : 3", "frames_c"),
        # One final block less than promised is taken.
        ("protocol/deflate.py", "if blocks > _MAX_FINAL_BLOCKS", "if blocks >= _MAX_FINAL_BLOCKS", None),
    ],
)
def test_a_planted_bug_is_found(tmp_path: Path, file: str, old: str, new: str, only: str | None) -> None:
    tree = planted(tmp_path / "tree", f"jetsocket/{file}", old, new, only=only)
    assert_found("deflate", tree, list(seeds()))
