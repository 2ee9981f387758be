"""tools/drawing.py: what bytes decide."""

from __future__ import annotations

import pytest

from tools.fuzzing.drawing import Draw, cut


def test_every_draw_takes_its_bytes() -> None:
    draw = Draw(b"\x05\x07\x01\x02abcdef")
    assert (draw.below(4), draw.chosen("xyz"), draw.number()) == (1, "y", 0x0102)
    assert (draw.taken(2), draw.empty, draw.rest(), draw.empty) == (b"ab", False, b"cdef", True)


def test_what_has_run_out_is_zero() -> None:
    draw = Draw(b"")
    assert (draw.byte(), draw.below(9), draw.chosen("xyz"), draw.number(), draw.taken(3)) == (0, 0, "x", 0, b"")


@pytest.mark.parametrize(
    "sizes, pieces", [(b"", [b"abcdef"]), (b"\x01\x02", [b"a", b"bc", b"d", b"ef"]), (b"\x00", [b"abcdef"])]
)
def test_cutting(sizes: bytes, pieces: list[bytes]) -> None:
    assert list(cut(b"abcdef", sizes)) == pieces


def test_much_is_not_cut_into_very_many() -> None:
    pieces = list(cut(bytes(100_000), b"\x01"))
    assert 500 < len(pieces) <= 1024
    assert b"".join(pieces) == bytes(100_000)
