"""Fuzzes the frame codec: any bytes, cut anywhere, into a FrameDecoder; messages out of encode_frame().

    python -m tools.fuzz_frames --minutes 5        (see `tools/fuzzing/runner.py`)

Step by step, the compiled decoder and the pure one must have done the same: control frames, messages with their time,
the fault and its words, what is counted, the room for the next read. In the end that must be what `frame_oracle.py`
makes of the whole stream at once, so that it does not depend on the cuts.

An input is, byte by byte:

    options     bits 0 and 1: the limit of a message, one of LIMITS    bit 2: compression was negotiated
                bits 3 and 4: the sink    0: a ring without bounds     1, 2: a blocking one of 1 message, of 64 bytes
                                          3: one of 2 messages behind a Sieve
                bit 5: the consumer is late    bit 6: byte by byte, where the stream is no longer than 96
                bit 7: to be encoded instead, see below
    pieces      how many (modulo 9), then two bytes of each: how many bytes of the stream, and how often FILLER is put
                behind them (one of FILLS, modulo 8), which makes long frames of short inputs
    stream      all that is left; what no piece has taken is one more

or, to be encoded:

    options     bits 0 to 4: the opcode, or no opcode    bit 5: FIN    bit 6: RSV1    bit 7: set
    mask        its length (modulo 6), then the mask
    filler      how often FILLER is put behind the payload (one of FILLS, modulo 8)
    payload     all that is left
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import cycle
from operator import xor
from typing import Any

from jetsocket.hot.frames_py import InflateError

from .fuzzing.frame_oracle import Outcome, Reader, RefusedError
from .fuzzing.runner import Target, main, twins

LIMITS = (64 * 2**20, 0, 16, 70_000)
FILLER = bytes(range(32, 127)) + "äöü€".encode() + b"x" * 153
# Mostly none: long streams take long.
FILLS = (0, 0, 0, 0, 1, 2, 16, 254)
LONGEST_BYTEWISE = 96


class ForeignError(Exception):
    """Something that inflating raises and must not."""


def inflated(data: bytes, limit: int) -> bytes:
    """Stands in for inflating: some messages double, some are refused, some raise."""
    if data[:1] == b"\xfd":
        raise InflateError(1007, "not deflated")
    if data[:1] == b"\xfe":
        raise ForeignError
    if 2 * len(data) > limit:
        raise InflateError(1009, "too long")
    return data + data


def is_answer(payload: bytes) -> bool:
    """For the Sieve."""
    if payload[:1] == b"e":
        raise ForeignError
    return payload[:1] == b"a"


class Decoding:
    """An input to decode, and what is done with it."""

    def __init__(self, data: bytes) -> None:
        options = data[0] if data else 0
        self.limit = LIMITS[options & 3]
        self.inflate = inflated if options & 4 else None
        self.sink = options >> 3 & 3
        self.late = bool(options & 32)
        count = data[1] % 9 if len(data) > 1 else 0
        self.pieces = list(self._cut(data[2 : 2 + 2 * count], data[2 + 2 * count :]))
        self.stream = b"".join(self.pieces)
        if options & 64 and len(self.stream) <= LONGEST_BYTEWISE:
            self.pieces = [self.stream[i : i + 1] for i in range(len(self.stream))]

    @staticmethod
    def _cut(pairs: bytes, stream: bytes) -> Iterator[bytes]:
        at = 0
        for i in range(0, len(pairs) - 1, 2):
            yield stream[at : at + pairs[i]] + FILLER * FILLS[pairs[i + 1] & 7]
            at += pairs[i]
        yield stream[at:]

    def run(self, kind: int) -> tuple[list[tuple[object, ...]], Outcome, bool]:
        """What a twin (0: compiled, 1: pure) does at each step, the outcome, whether inflating raised."""
        frames, rings, sieves = (twins(room)[kind] for room in ("frames", "ring", "sieve"))
        ring = self._ring(rings)
        sink = sieves.Sieve(ring, is_answer) if self.sink == 3 else ring
        decoder = frames.FrameDecoder(sink, max_message_size=self.limit, inflate=self.inflate)
        steps: list[tuple[object, ...]] = []
        told = Outcome()
        raised = False

        def note(events: Any) -> None:
            for event in events or ():
                told.controls.append(tuple(event))
            now = decoder.blocked, decoder.closed, decoder.fault, decoder.in_message, decoder.bytes_received
            steps.append((events, raised, now, decoder.frames_received, len(ring), len(decoder.get_buffer())))

        def serve(most: int) -> None:
            nonlocal raised
            while most and (decoder.blocked or len(ring)):
                most -= 1
                if decoder.blocked:
                    try:
                        note(decoder.resume())
                    except ForeignError:
                        raised = True
                        note(None)
                if len(ring):
                    payload, binary, received_ns = ring.take()
                    told.messages.append((payload, binary))
                    steps.append((payload, binary, received_ns))

        for number, piece in enumerate(self.pieces):
            try:
                note(decoder.feed(piece, number))
            except ForeignError:
                raised = True
                note(None)
            if not self.late:
                serve(-1)
            elif number % 4 == 3:
                serve(2)
        serve(-1)
        told.fault = decoder.fault and decoder.fault.code
        told.closed, told.in_message, told.frames = decoder.closed, decoder.in_message, decoder.frames_received
        return steps, told, raised

    def _ring(self, rings: Any) -> Any:
        if self.sink == 0:
            return rings.MessageRing()
        if self.sink == 2:
            return rings.MessageRing(max_bytes=64, overflow="block")
        return rings.MessageRing(self.sink, overflow="block")

    def expected(self) -> Outcome:
        """What the whole stream comes to."""
        limit = self.limit or sys.maxsize

        def inflate(data: bytes) -> bytes:
            try:
                return inflated(data, limit)
            except InflateError as error:
                raise RefusedError(error.code) from None

        told = Reader(self.stream, limit, inflate if self.inflate else None).read()
        if self.sink == 3:
            told.messages = [(payload, binary) for payload, binary in told.messages if payload[:1] != b"a"]
        return told


def decode(data: bytes) -> None:
    decoding = Decoding(data)
    compiled, outcome, raised = decoding.run(0)
    pure, _, _ = decoding.run(1)
    for number, (one, other) in enumerate(zip(compiled, pure, strict=False)):
        assert one == other, f"step {number} of {decoding.pieces!r}:\ncompiled {one!r}\npure     {other!r}"
    assert len(compiled) == len(pure), f"{len(compiled)} and {len(pure)} steps of {decoding.pieces!r}"
    if not raised:
        expected = decoding.expected()
        assert outcome == expected, f"{decoding.pieces!r}:\nboth     {outcome!r}\nexpected {expected!r}"


def encode(data: bytes) -> None:
    opcode, fin, rsv1 = data[0] & 31, bool(data[0] & 32), bool(data[0] & 64)
    size = data[1] % 6 if len(data) > 1 else 0
    mask, filler, payload = data[2 : 2 + size], data[2 + size : 3 + size], data[3 + size :]
    payload += FILLER * (FILLS[filler[0] & 7] if filler else 0)
    told = [_encoded(module, opcode, payload, mask, rsv1, fin) for module in twins("frames_out")]
    assert told[0] == told[1], f"{opcode} {mask!r} {payload!r}:\ncompiled {told[0]!r}\npure     {told[1]!r}"
    if len(mask) == 4 and opcode < 16:
        length = len(payload)
        size, width = (length, 0) if length < 126 else (126, 2) if length < 65536 else (127, 8)
        head = bytes([opcode | fin << 7 | rsv1 << 6, 128 | size]) + (length.to_bytes(width, "big") if width else b"")
        masked = bytes(map(xor, payload, cycle(mask)))
        expected = head + mask + masked, masked, payload
        assert told[0] == expected, f"{opcode} {mask!r} {payload!r}:\nboth     {told[0]!r}\nexpected {expected!r}"
    else:
        assert told[0][0].startswith(("a mask has 4 bytes", "an opcode is 0 to 15")), told[0]


def _encoded(frames: Any, opcode: int, payload: bytes, mask: bytes, rsv1: bool, fin: bool) -> tuple[Any, ...]:
    """The frame, the payload masked, and unmasked again; or why not."""
    try:
        frame = frames.encode_frame(opcode, payload, mask, rsv1=rsv1, fin=fin)
        masked = frames.apply_mask(payload, mask)
        return frame, masked, frames.apply_mask(masked, mask)
    except ValueError as error:
        return (str(error),)


def one_input(data: bytes) -> None:
    if data and data[0] & 128:
        encode(data)
    else:
        decode(data)


def seeds() -> Iterable[bytes]:
    """A stream of every kind of frame, in several ways; some to be encoded."""
    text = b"\x81\x05hello\x81\x06a\xc3\xa4\xe2\x82\xac\x81\x0a\xf0\x9f\x92\xb0 is $$"
    fragments = b"\x01\x02\xe2\x82\x89\x04ping\x00\x00\x80\x01\xac"
    binary = b"\x82\x7e\x00\x7e" + b"b" * 126
    packed = b"\xc1\x02hi\x42\x01y\x80\x01z"
    for options in (0, 8, 16, 24 + 32, 64, 64 + 32 + 8):
        yield bytes([options + 4, 2, 9, 0, 5, 0]) + text + fragments + binary + packed + b"\x8a\x00\x88\x02\x03\xe8"
        yield bytes([options, 1, 4, 4]) + b"\x82\x7e\x04\x04" + text
    # As long as the limit of 16 allows.
    for options in (2, 64 + 2, 32 + 8 + 2):
        yield bytes([options, 1, 3, 0]) + b"\x02\x08eighteen\x89\x00\x80\x08thirteen\x81\x10seventeen letter"
        yield bytes([options + 4, 1, 7, 0]) + b"\x41\x04four\x80\x04five\xc2\x08eighteen"
    # 65,536 bytes in one frame, which is 260 bytes and 254 fillers of 257.
    yield bytes([0, 1, 10, 7]) + b"\x82\x7f" + (65536).to_bytes(8, "big") + b"e" * (65536 - 254 * len(FILLER)) + text
    yield bytes([3, 2, 10, 7, 20, 6]) + b"\x82\x7f" + (70_000).to_bytes(8, "big") + text
    for first in (0xA1, 0xE2, 0xB9, 0xB0):
        yield bytes([first, 4]) + b"mask\x00payload of more than thirty-two bytes, so"
    yield bytes([0xA2, 4]) + b"mask\x07" + b"x" * 20


# The edges of UTF-8, valid and not, and headers.
WORDS = (
    *(b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xf0\x90\x80\x80"),
    *(b"\xf4\x8f\xbf\xbf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf"),
    *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\x81\x04", b"\x01\x04", b"\x00\x04", b"\x80\x04"),
    *(b"\x81\x7e\x00\x7e", b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", b"\x89\x00", b"\xc1\x04"),
    *(b"\x82\x7e\x00\x7d", b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
)
INSTRUMENT = tuple(f"jetsocket.hot.{room}_py" for room in ("frames", "frames_out", "receiving"))
TARGET = Target("frames", one_input, seeds, instrument=INSTRUMENT, words=WORDS, max_len=1024)


if __name__ == "__main__":
    sys.exit(main(TARGET))
