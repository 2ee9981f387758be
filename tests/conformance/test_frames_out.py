"""encode_frame and apply_mask against the plainest way to write them."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from .conftest import Twin
from .wire import BINARY, TEXT, frame


def masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\x01\x80\xff\x7f", b"\xff\xff\xff\xff"])
def test_masking_every_length(twin: Twin, mask: bytes) -> None:
    payload = random.Random(1).randbytes(65537)
    for size in [*range(300), 1023, 1024, 1025, 65535, 65536, 65537]:
        expected = masked(payload[:size], mask)
        assert twin.frames_out.apply_mask(payload[:size], mask) == expected
        frame_out = twin.frames_out.encode_frame(BINARY, payload[:size], mask)
        plain = frame(BINARY, payload[:size])
        head = len(plain) - size
        assert frame_out == plain[:1] + bytes([plain[1] | 0x80]) + plain[2:head] + mask + expected


def test_frame_flags(twin: Twin) -> None:
    for opcode, rsv1, fin in itertools.product(range(16), (False, True), (False, True)):
        first = twin.frames_out.encode_frame(opcode, b"", b"abcd", rsv1=rsv1, fin=fin)[0]
        assert first == fin << 7 | rsv1 << 6 | opcode


@pytest.mark.parametrize("mask", [b"", b"abc", b"abcde"])
def test_masks_of_other_lengths(twin: Twin, mask: bytes) -> None:
    with pytest.raises(ValueError, match=f"a mask has 4 bytes, got {len(mask)}"):
        twin.frames_out.apply_mask(b"data", mask)
    with pytest.raises(ValueError, match=f"a mask has 4 bytes, got {len(mask)}"):
        twin.frames_out.encode_frame(TEXT, b"data", mask)


@pytest.mark.parametrize("opcode", [-1, 16, 128, 257])
def test_opcodes_that_are_none(twin: Twin, opcode: int) -> None:
    with pytest.raises(ValueError, match=f"an opcode is 0 to 15, got {opcode}"):
        twin.frames_out.encode_frame(opcode, b"", b"abcd")


@pytest.mark.parametrize(
    "args", [(None, b"", b"abcd"), (1, None, b"abcd"), (1, b"", None), (1, "text", b"abcd"), (1, b"", "abcd")]
)
def test_none_and_text_are_refused(twin: Twin, args: tuple[Any, Any, Any]) -> None:
    with pytest.raises(TypeError):
        twin.frames_out.encode_frame(*args)
    if args[0] is not None:
        with pytest.raises(TypeError):
            twin.frames_out.apply_mask(*args[1:])
