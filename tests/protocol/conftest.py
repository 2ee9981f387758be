"""How parsers are fed, and the server's side of the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Pieces = Callable[[bytes, bytes], list[bytes]]


@pytest.fixture(params=["whole", "byte by byte", "with a tail"])
def pieces(request: pytest.FixtureRequest) -> Pieces:
    """Cuts (data, what follows) into reads, in each of the three ways; what follows comes in the third alone."""

    def cut(data: bytes, tail: bytes = b"") -> list[bytes]:
        if request.param == "whole":
            return [data]
        if request.param == "byte by byte":
            return [data[i : i + 1] for i in range(len(data))]
        return [data + tail]

    return cut


@pytest.fixture
def server_frame() -> Callable[..., bytes]:
    """Encodes an unmasked frame, independently of the library."""

    def encode(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
        first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
        size = len(payload)
        if size < 126:
            return bytes([first, size]) + payload
        if size < 65536:
            return bytes([first, 126]) + size.to_bytes(2, "big") + payload
        return bytes([first, 127]) + size.to_bytes(8, "big") + payload

    return encode


@pytest.fixture
def client_frames() -> Callable[[bytes], list[tuple[int, bool, bytes]]]:
    """Takes masked frames apart, independently of the library: (opcode, rsv1, payload) of each."""

    def decode(data: bytes) -> list[tuple[int, bool, bytes]]:
        frames = []
        while data:
            assert data[0] & 0x80, "a client of this library sends whole messages"
            assert data[1] & 0x80, "a client's frame is masked"
            length, start = data[1] & 0x7F, 2
            if length >= 126:
                width = 2 if length == 126 else 8
                length, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
            mask, body = data[start : start + 4], data[start + 4 : start + 4 + length]
            assert len(body) == length
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
            frames.append((data[0] & 0x0F, bool(data[0] & 0x40), payload))
            data = data[start + 4 + length :]
        return frames

    return decode
