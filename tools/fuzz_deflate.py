"""Fuzzes compressed messages: permessage-deflate behind both frame decoders, against zlib used plainly.

What arrives, what faults, and with which close code must be as `tools/fuzzing/plain_inflate.py` has it: the limit holds
exactly, and no more is ever made than that and one byte. What our own Deflater compresses comes back the same, and fits
the window that was agreed on.

An input is, byte by byte:

    options     bits 0 and 1, the messages:  0: as they stand there    1, 2: drawn, and compressed in many ways
                                             3: drawn, and compressed by the Deflater
                bit 2: no context takeover    bit 3: text, else binary    bit 4: each message in two fragments
                bit 5: a message that is not compressed after each
                bits 6 and 7, the limit:  0: 65536    1: in the next two bytes
                                          2: the size of one of the messages, by the next byte    3: one less
    window      bits 0 to 2: 8 to 15 for the Deflater    bits 3 to 6: its level
    cuts        how many bytes follow here (modulo 8) that are the sizes of the reads
    messages    all that is left; see `tools/fuzzing/deflate_drawing.py`
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Any

from jetsocket.protocol.deflate import DeflateParameters, Deflater, Inflater

from .fuzzing.deflate_drawing import TAIL, drawn_messages, drawn_payloads, given_messages
from .fuzzing.drawing import Draw, cut
from .fuzzing.plain_inflate import INVALID, PlainInflater, Refused
from .fuzzing.runner import Target, main, twins

BETWEEN = b"not compressed"
NO_LIMIT = 1 << 24

Messages = list[tuple[bytes, bool]]


class MeasuredZlib:
    """zlib for an Inflater; adds up what is made for one message."""

    error = zlib.error

    def __init__(self) -> None:
        self.made = 0

    def decompressobj(self, **options: Any) -> _Measured:
        return _Measured(self, zlib.decompressobj(**options))


class _Measured:
    def __init__(self, measure: MeasuredZlib, context: Any) -> None:
        self._measure = measure
        self._context = context

    @property
    def eof(self) -> bool:
        ended: bool = self._context.eof
        return ended

    @property
    def unused_data(self) -> bytes:
        data: bytes = self._context.unused_data
        return data

    def decompress(self, data: bytes, most: int) -> bytes:
        assert most > 0, "zlib is asked for as much as there is"
        made: bytes = self._context.decompress(data, most)
        self._measure.made += len(made)
        return made


def one_input(data: bytes) -> None:
    draw = Draw(data)
    options = draw.byte()
    window = draw.byte()
    limit_given = draw.number() if options >> 6 == 1 else draw.byte() if options >> 6 else 0
    sizes = draw.taken(draw.below(8))
    takeover = not options & 4
    expected: list[bytes] | None = None
    kind = options & 3
    if kind == 3:
        expected = drawn_payloads(draw)
        compressed = _deflated(expected, window, takeover=takeover)
        if compressed is None:
            return
    else:
        compressed = given_messages(draw) if kind == 0 else drawn_messages(draw, takeover=takeover)
    limit = _limit(options >> 6, limit_given, compressed, takeover=takeover)
    told, codes = _plain(compressed, limit, options)
    if expected is not None and not codes:
        assert [payload for payload, _ in told if payload != BETWEEN] == [one for one in expected if one != BETWEEN]
    for room, ring in zip(twins("frames"), twins("ring"), strict=True):
        found, code = _decoded(room, ring, compressed, limit, options, sizes)
        assert found == told, f"{room.__name__}: {compressed!r} are {found!r}, not {told!r}"
        assert code in (codes or (None,)), f"{room.__name__}: {compressed!r}, at most {limit}: {code}, not {codes}"


def _deflated(payloads: list[bytes], window: int, *, takeover: bool) -> list[bytes] | None:
    """By our own Deflater; None where there is none for such a window. A zlib with just that window must read it."""
    bits = 8 + (window & 7)
    agreed = DeflateParameters(client_no_context_takeover=not takeover, client_max_window_bits=bits)
    deflater = agreed.deflater()
    if deflater is None:
        assert bits == 8, f"no Deflater for a window of {bits} bits"
        return None
    level = window >> 3 & 15
    if level:
        deflater = Deflater(window_bits=bits, no_context_takeover=not takeover, level=min(level, 9))
    messages = [deflater.deflate(payload) for payload in payloads]
    context = zlib.decompressobj(wbits=-bits)
    for message, payload in zip(messages, payloads, strict=True):
        if not takeover:
            context = zlib.decompressobj(wbits=-bits)
        again = context.decompress(message + TAIL)
        assert again == payload, f"{payload!r}, deflated with {bits} bits, is {again!r}"
        assert message, "an empty message has a byte all the same"
    return messages


def _limit(kind: int, given: int, compressed: list[bytes], *, takeover: bool) -> int:
    """At least 1: 0 would be none."""
    if kind < 2:
        return max(1, given) if kind else 65536
    inflater, sizes = PlainInflater(takeover=takeover), [len(BETWEEN)]
    try:
        sizes = [len(inflater.inflate(message, NO_LIMIT)) for message in compressed] or sizes
    except Refused:
        pass
    return max(1, sizes[given % len(sizes)] - (kind - 2))


def _plain(compressed: list[bytes], limit: int, options: int) -> tuple[Messages, tuple[int, ...]]:
    """The messages to expect, and the close codes of which one is to be expected."""
    inflater = PlainInflater(takeover=not options & 4)
    binary = not options & 8
    told: Messages = []
    for message in compressed:
        try:
            payload = inflater.inflate(message, limit)
        except Refused as refused:
            return told, refused.codes
        if not binary and payload.decode("utf-8", "replace").encode() != payload:
            return told, (INVALID,)
        told.append((payload, binary))
        if options & 0x20:
            if len(BETWEEN) > limit:
                return told, (1009,)
            told.append((BETWEEN, True))
    return told, ()


def _decoded(
    room: Any, ring: Any, compressed: list[bytes], limit: int, options: int, sizes: bytes
) -> tuple[Messages, int | None]:
    """What a decoder makes of the messages, and the close code of its fault."""
    measure = MeasuredZlib()
    inflater = Inflater(no_context_takeover=bool(options & 4), zlib_module=measure)

    def inflate(message: bytes, most: int) -> bytes:
        measure.made = 0
        try:
            return inflater.inflate(message, most)
        finally:
            assert measure.made <= limit + 1, f"{measure.made} bytes are made of {message!r}, at most {limit} allowed"

    queue = ring.MessageRing()
    decoder = room.FrameDecoder(queue, max_message_size=limit, inflate=inflate)
    for piece in cut(b"".join(_frames(compressed, options)), sizes):
        decoder.feed(piece, 1)
    messages = [tuple(queue.take()[:2]) for _ in range(len(queue))]
    return messages, None if decoder.fault is None else decoder.fault.code


def _frames(compressed: list[bytes], options: int) -> Iterator[bytes]:
    opcode = 1 if options & 8 else 2
    for message in compressed:
        if options & 0x10:
            half = len(message) // 2
            yield _frame(0x40 | opcode, message[:half])
            yield _frame(0x80, message[half:])
        else:
            yield _frame(0xC0 | opcode, message)
        if options & 0x20:
            yield _frame(0x82, BETWEEN)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


EXAMPLES = (
    *("f248cdc9c90700", "f200110000", "000500faff48656c6c6f00", "f348cdc9c9070000", "f248050000 00ffffcac9c90700"),
    *("00", "", "f348cdc9c90700", "0300", "ff", "06", "edc0010000000000ffff", "05c0810000000000"),
)
"""RFC 7692 §7.2.3, and what is no DEFLATE."""


def seeds() -> Iterator[bytes]:
    for options in (0x00, 0x04, 0x08, 0x18, 0x34):
        for example in EXAMPLES:
            message = bytes.fromhex(example)
            yield bytes((options, 0, 0, len(message))) + message + b"\x07" + bytes.fromhex(EXAMPLES[0])
    for kind in range(8):
        payloads = bytes(
            (kind << 5 | 3, 65, 66, 67, 7 << 5 | kind, 9, 4 << 5, 5 << 5 | 9, 1, 0, 6 << 5 | 31, kind << 5)
        )
        for options in (0x03, 0x07, 0x43, 0x83, 0xC3, 0x1B, 0x23):
            yield (
                bytes((options, kind | 0x30, *((1, 0) if options >> 6 == 1 else (0,) * (options >> 6 > 1)), 1, 5))
                + payloads
            )
        for options in (0x01, 0x06, 0x91, 0xC2):
            ways = b"".join(bytes((way << 4 & 0x30 | kind, 65 << way % 2, 66, 67)) for way in range(5))
            yield bytes((options, 0, *(0,) * (options >> 6 > 1), 0, kind, kind)) + ways + payloads
    yield bytes((0x01, 0, 0, 9, 0, 0, 1 << 5 | 17, 0))
    yield bytes((0x41, 0, 3, 0xE8, 0, 9, 0, 0, 1 << 5 | 17, 0))


WORDS = (
    *(TAIL, b"\x00" + TAIL, b"\x03\x00", *(bytes.fromhex(example) for example in EXAMPLES[:5])),
    # What is no UTF-8 by a hair.
    *(
        b"\xed\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
    ),
)
TARGET = Target("deflate", one_input, seeds, instrument=("jetsocket.protocol.deflate",), words=WORDS, max_len=1024)

if __name__ == "__main__":
    sys.exit(main(TARGET))
