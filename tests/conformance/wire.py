"""A server's frames, byte by byte as a test wants them, a plain parser of whole byte strings to judge decoders by, and
the three ways to feed a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .conftest import Twin

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEFAULT_LIMIT = 64 * 2**20


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, width: int | None = None, masked: bool = False
) -> bytes:
    """One frame. `width` (0, 2 or 8 bytes of extended length) forces a form of length, the shortest or not."""
    size = len(payload)
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    short = size if width == 0 else 126 if width == 2 else 127
    head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | short]) + (size.to_bytes(width, "big") if width else b"")
    return head + (b"\0\0\0\0" if masked else b"") + payload


def header(first: int, second: int, extended: bytes = b"") -> bytes:
    return bytes([first, second]) + extended


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def may_become_text(data: bytes) -> bool:
    """Whether valid UTF-8 can begin with `data`."""
    last = max(len(data) - 3, 0)
    cuts = [cut for cut in range(last, len(data) + 1) if is_text(data[:cut])]
    if not cuts:
        return False
    # One of these completes whatever a character can begin with.
    ends = (b"", b"\x80", b"\x80\x80", b"\xa0\x80", b"\x80\x80\x80", b"\x90\x80\x80")
    return any(is_text(data[cuts[-1] :] + end) for end in ends)


@dataclass
class Outcome:
    """What became of some bytes."""

    messages: list[tuple[bytes, bool]] = field(default_factory=list)
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    fault: int | None = None
    closed: bool = False
    in_message: bool = False
    frames: int = 0


def judge(  # noqa: C901  # one frame after another, each rule in its place
    data: bytes, limit: int = DEFAULT_LIMIT, inflate: Callable[[bytes, int], bytes] | None = None
) -> Outcome:
    """The outcome that RFC 6455 asks for, worked out from the whole of `data`."""
    told = Outcome()
    limit = limit or 2**63
    at = 0
    opcode, packed, parts = 0, False, b""

    def failed(code: int) -> Outcome:
        told.fault, told.in_message = code, opcode != 0
        return told

    while at < len(data):
        first = data[at]
        kind, fin, control = first & 15, bool(first & 128), bool(first & 8)
        rsv1_allowed = inflate is not None and kind in (TEXT, BINARY)
        wrong_place = not opcode if kind == CONT else opcode and kind in (TEXT, BINARY)
        if first & 0x30 or (first & 0x40 and not rsv1_allowed) or kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            return failed(1002)
        if (control and not fin) or wrong_place:
            return failed(1002)
        if at + 1 == len(data):
            break
        size = data[at + 1]
        body = at + 2
        if size > 127 or (control and size > 125):
            return failed(1002)
        if size > 125:
            width = 2 if size == 126 else 8
            if len(data) < body + width:
                break
            size = int.from_bytes(data[body : body + width], "big")
            body += width
            if size >= 2**63 or size < (126 if width == 2 else 2**16):
                return failed(1002)
        there = data[body : body + size]
        whole = len(there) == size
        if control:
            if not whole:
                break
            told.frames += 1
            told.controls.append((kind, there))
            at = body + size
            if kind == CLOSE:
                told.closed, told.in_message = True, opcode != 0
                return told
            continue
        if len(parts) + size > limit:
            return failed(1009)
        text = TEXT in (kind, opcode)
        squeezed = packed or bool(first & 0x40)
        if text and not squeezed and not (is_text if fin and whole else may_become_text)(parts + there):
            return failed(1007)
        if not whole:
            break
        told.frames += 1
        at = body + size
        parts += there
        opcode, packed = opcode or kind, squeezed
        if fin:
            payload, binary = parts, opcode == BINARY
            opcode, packed, parts = 0, False, b""
            if squeezed:
                assert inflate is not None
                payload = inflate(payload, limit)
                if not binary and not is_text(payload):
                    return failed(1007)
            told.messages.append((payload, binary))
    told.in_message = opcode != 0 or at < len(data)
    return told


def drained(ring: Any) -> list[tuple[bytes, bool]]:
    return [ring.take()[:2] for _ in range(len(ring))]


def run(twin: Twin, pieces: Iterable[bytes], **options: Any) -> Outcome:
    """Feed `pieces` to a new decoder."""
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring, **options)
    told = Outcome()
    for piece in pieces:
        faulty = decoder.fault
        events = decoder.feed(piece, 1)
        # A list comes for control frames and for the fault itself, else None.
        assert (events is None) or events or (decoder.fault and not faulty)
        told.controls += [tuple(event) for event in events or ()]
    told.messages = drained(ring)
    if decoder.fault is not None:
        told.fault = decoder.fault.code
        assert decoder.fault.reason
    told.closed = decoder.closed
    told.in_message = decoder.in_message
    told.frames = decoder.frames_received
    return told


def three_ways(twin: Twin, data: bytes, **options: Any) -> Outcome:
    """Feed `data` whole, byte by byte, and with the next message behind it; what came of it."""
    told = run(twin, [data], **options)
    assert run(twin, (data[i : i + 1] for i in range(len(data))), **options) == told
    tail = frame(PING, b"tail") + frame(TEXT, b"tail")
    followed = run(twin, [data + tail], **options)
    if told.in_message or told.fault or told.closed:
        if told.fault or told.closed:
            assert followed == told
    else:
        assert followed.messages == [*told.messages, (b"tail", False)]
        assert followed.controls == [*told.controls, (PING, b"tail")]
    return told
