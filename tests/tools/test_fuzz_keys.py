"""tools/fuzz_keys.py: what it found stays found, and it finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.fuzz_keys import one_input, seeds
from tools.fuzzing.corpus import committed

from .planting import assert_found, needs_atheris, planted


def test_the_corpus_passes() -> None:
    for data in (*seeds(), *(path.read_bytes() for path in committed("keys"))):
        one_input(data)


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "file, old, new, only",
    [
        # Reads one byte behind a message that ends with a name.
        ("keys.h", "return left > name->length &&", "return left >= name->length &&", "keys_c"),
        # A backslash that is the last byte of 64 does not escape the next one.
        ("scan_skip.h", "*carry = bit >> 63;", "*carry = 0;", "keys_c"),
        # Of two equal names the last one wins, where the message is not simple.
        ("keys_py.py", "any(payload.count(name) > 1 for", "any(payload.count(name) > 2 for", None),
    ],
)
def test_a_planted_bug_is_found(tmp_path: Path, file: str, old: str, new: str, only: str | None) -> None:
    tree = planted(tmp_path / "tree", f"jetsocket/hot/{file}", old, new, only=only)
    assert_found("keys", tree, list(seeds()))
