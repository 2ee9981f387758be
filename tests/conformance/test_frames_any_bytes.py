"""Any bytes at all, cut anywhere: both twins decode them alike, and as a plain parser of the whole does."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Outcome,
    drained,
    frame,
    judge,
    run,
)

BOTH = [Twin("compiled"), Twin("pure")]

payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"", b"x" * 125, b"x" * 126, b"x" * 127, b"\xe2\x82", b"\xac", b"y" * 65535, b"z" * 65536]),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame, right more often than not."""
    opcode = draw(st.sampled_from([TEXT] * 4 + [BINARY] * 3 + [CONT] * 4 + [PING] * 2 + [PONG, CLOSE, 3, 11]))
    odd = draw(st.integers(0, 15))
    return frame(
        opcode,
        draw(payloads),
        fin=draw(st.booleans()) if opcode < 8 or odd == 1 else True,
        rsv=draw(st.integers(0, 7)) if odd == 2 else draw(st.sampled_from([0, 0, 4])),
        width=8 if odd == 3 else None,
        masked=odd == 4,
    )


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A whole message in fragments, with control frames in between."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(payloads)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    data = b""
    for i, (start, stop) in enumerate(itertools.pairwise([0, *cuts, len(payload)])):
        data += frame(CONT if i else opcode, payload[start:stop], fin=i == len(cuts))
        if draw(st.integers(0, 3)) == 0:
            data += frame(draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=125)))
    return data


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    data = b"".join(draw(st.lists(st.one_of(messages(), messages(), frames()), max_size=8)))
    if data and draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    if draw(st.integers(0, 3)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


def doubled(data: bytes, limit: int) -> bytes:
    return data + data


@given(
    data=st.one_of(streams(), streams(), st.binary(max_size=60)),
    seed=st.integers(0, 2**32),
    limit=st.sampled_from([64 * 2**20, 64 * 2**20, 0, 30, 130, 65536]),
    packed=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_in_any_pieces(data: bytes, seed: int, limit: int, packed: bool) -> None:
    rng = random.Random(seed)
    inflate = doubled if packed else None
    expected = judge(data, limit, inflate)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 1, 3, 10])))
    pieces = [data[start:stop] for start, stop in itertools.pairwise([0, *cuts, len(data)])]
    for twin in BOTH:
        assert run(twin, pieces, max_message_size=limit, inflate=inflate) == expected
        if len(data) < 500:
            assert run(twin, [bytes([byte]) for byte in data], max_message_size=limit, inflate=inflate) == expected


@given(data=streams(), seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_any_bytes_into_a_ring_that_blocks(data: bytes, seed: int) -> None:
    expected = judge(data, inflate=doubled)
    for twin in BOTH:
        rng = random.Random(seed)
        ring = twin.ring.MessageRing(rng.choice([1, 2]), overflow="block")
        decoder = twin.frames.FrameDecoder(ring, inflate=doubled)
        told, at = Outcome(), 0
        while at < len(data) or decoder.blocked:
            events = []
            if not decoder.blocked:
                step = rng.choice([1, 5, 100, 100_000])
                events = decoder.feed(data[at : at + step], 1) or []
                at += step
            if rng.random() < 0.5:
                told.messages += drained(ring)
            if decoder.blocked:
                events += decoder.resume() or []
            told.controls += [tuple(event) for event in events]
        told.messages += drained(ring)
        told.fault = decoder.fault and decoder.fault.code
        told.closed, told.in_message, told.frames = decoder.closed, decoder.in_message, decoder.frames_received
        assert told == expected


def test_garbage_of_every_first_two_bytes() -> None:
    for first in range(256):
        for second in (0, 1, 2, 125, 126, 127, 128, 254, 255):
            data = bytes([first, second]) + b"\0\x7e" + b"abcdefgh" * 20
            expected = judge(data)
            for twin in BOTH:
                assert run(twin, [data]) == expected, (twin, data[:2])
