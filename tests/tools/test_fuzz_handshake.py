"""tools/fuzz_handshake.py: what it found stays found, and it finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.fuzz_handshake import one_input, seeds
from tools.fuzzing.corpus import committed

from .planting import assert_found, needs_atheris, planted


def test_the_corpus_passes() -> None:
    for data in (*seeds(), *(path.read_bytes() for path in committed("handshake"))):
        one_input(data)


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "file, old, new",
    [
        # A second subprotocol is not looked at.
        ("handshake.py", "if len(chosen) > 1 or chosen[0] not in", "if chosen[0] not in"),
        # A user name with an '@' lets the password into the text of an error.
        ("uri.py", '        rest = rest.rpartition("@")[2]', '        rest = rest.partition("@")[2]'),
    ],
)
def test_a_planted_bug_is_found(tmp_path: Path, file: str, old: str, new: str) -> None:
    tree = planted(tmp_path / "tree", f"jetsocket/protocol/{file}", old, new, only=None)
    assert_found("handshake", tree, list(seeds()))
