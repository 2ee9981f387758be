"""The server's side of RFC 6455 frames (unmasked, §5.2), and frames that break it on purpose."""

from __future__ import annotations

from typing import Literal, get_args

OP_TEXT, OP_BINARY, OP_CLOSE, OP_PONG = 1, 2, 8, 10

Garbage = Literal[
    "opcode", "rsv", "masked", "utf8", "fragment", "control", "length", "close", "text", "json", "binary", "empty"
]


def server_header(opcode: int, size: int) -> bytes:
    """The header of an unfragmented server frame with a payload of `size` bytes."""
    first = bytes((0x80 | opcode,))
    if size < 126:
        return first + bytes((size,))
    if size < 65536:
        return first + b"\x7e" + size.to_bytes(2, "big")
    return first + b"\x7f" + size.to_bytes(8, "big")


def server_frame(opcode: int, payload: bytes) -> bytes:
    """An unfragmented server frame."""
    return server_header(opcode, len(payload)) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """A close frame; `code` None for one without a code, which the client sees as 1005."""
    return server_frame(OP_CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


_GARBAGE: dict[str, bytes] = {
    "opcode": b"\x83\x03bad",
    "rsv": b"\xc1\x03bad",
    "masked": b"\x81\x83\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"bad", b"\x01\x02\x03", strict=True)),
    "utf8": b"\x81\x04\xc3\x28\xff\xfe",
    "fragment": b"\x80\x03bad",
    "control": b"\x09\x00",
    "length": b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    "close": b"\x88\x01\x03",
    "text": server_frame(OP_TEXT, b"<html>this is not JSON</html>"),
    "json": server_frame(OP_TEXT, b'{"stream":"btcusdt@trade","data":{"e":"tra'),
    "binary": server_frame(OP_BINARY, bytes(range(256))),
    "empty": server_frame(OP_TEXT, b""),
}


def garbage(kind: Garbage) -> bytes:
    """Bytes to send in place of a frame.

    Frames that end the connection: `opcode` (a reserved one), `rsv` (RSV1 with no extension), `masked`, `utf8` (a text
    that is none), `fragment` (a continuation of nothing), `control` (a fragmented ping), `length` (2**64 - 1 bytes),
    `close` (half a close code). Valid frames with an odd payload: `text`, `json` (cut off), `binary`, `empty`.
    """
    try:
        return _GARBAGE[kind]
    except KeyError:
        raise ValueError(f"no such kind of garbage: {kind!r}; there are {', '.join(get_args(Garbage))}") from None
