"""FrameDecoder before a sink that has no room: it stops, holds, goes on in order, and loses and doubles nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from .conftest import Twin
from .wire import BINARY, CLOSE, CONT, PING, TEXT, drained, frame, judge


def blocked_decoder(twin: Twin, capacity: int) -> tuple[Any, Any]:
    ring = twin.ring.MessageRing(capacity, overflow="block")
    return ring, twin.frames.FrameDecoder(ring)


def test_blocked_and_resumed(twin: Twin) -> None:
    ring, decoder = blocked_decoder(twin, 2)
    data = b"".join(frame(TEXT, b"%d" % i) for i in range(5)) + frame(PING, b"p") + frame(TEXT, b"5")
    assert decoder.resume() is None
    assert decoder.feed(data, 1) is None
    assert decoder.blocked
    assert decoder.in_message
    assert drained(ring) == [(b"0", False), (b"1", False)]
    # More may have been read before the transport could be stopped.
    assert decoder.feed(frame(TEXT, b"6"), 1) is None
    assert decoder.resume() is None
    assert decoder.blocked
    assert decoder.resume() is None
    assert drained(ring) == [(b"2", False), (b"3", False)]
    # The ping stands behind message 4, and is seen once that has gone in.
    assert decoder.resume() == [(PING, b"p")]
    assert drained(ring) == [(b"4", False), (b"5", False)]
    assert decoder.blocked
    assert decoder.resume() is None
    assert not decoder.blocked
    assert not decoder.in_message
    assert drained(ring) == [(b"6", False)]


def test_blocked_by_a_fragmented_and_by_a_compressed_message(twin: Twin) -> None:
    def inflate(data: bytes, limit: int) -> bytes:
        return data * 2

    ring = twin.ring.MessageRing(1, overflow="block")
    decoder = twin.frames.FrameDecoder(ring, inflate=inflate)
    data = frame(TEXT, b"first") + frame(BINARY, b"a", fin=False) + frame(CONT, b"b")
    data += frame(TEXT, b"cd", rsv=4) + frame(CLOSE) + frame(TEXT, b"never")
    assert decoder.feed(data, 1) is None
    taken = drained(ring)
    events = []
    while decoder.blocked:
        events += decoder.resume() or []
        taken += drained(ring)
    assert taken == [(b"first", False), (b"ab", True), (b"cdcd", False)]
    assert events == [(CLOSE, b"")]
    assert decoder.closed
    assert decoder.resume() is None


def test_a_fault_behind_a_block_waits_for_its_turn(twin: Twin) -> None:
    ring, decoder = blocked_decoder(twin, 1)
    decoder.feed(frame(TEXT, b"1") + frame(TEXT, b"2") + b"\xff" + frame(TEXT, b"3"), 1)
    assert (decoder.blocked, decoder.fault) == (True, None)
    drained(ring)
    assert decoder.resume() == []
    assert (decoder.blocked, decoder.fault.code) == (False, 1002)
    assert drained(ring) == [(b"2", False)]
    assert decoder.resume() is None


def test_a_held_message_keeps_its_time(twin: Twin) -> None:
    ring, decoder = blocked_decoder(twin, 1)
    decoder.feed(frame(TEXT, b"1") + frame(TEXT, b"2"), 10)
    decoder.feed(frame(TEXT, b"3"), 20)
    taken = [ring.take()]
    decoder.resume()
    taken.append(ring.take())
    decoder.resume()
    taken.append(ring.take())
    assert [(payload, time) for payload, _, time in taken] == [(b"1", 10), (b"2", 10), (b"3", 20)]


@pytest.mark.parametrize("seed", range(20))
def test_blocking_loses_and_doubles_nothing(twin: Twin, seed: int) -> None:
    rng = random.Random(seed)
    data, expected = b"", []
    for i in range(300):
        payload = b"%d:" % i + b"x" * rng.choice([0, 3, 130, 1000])
        if rng.random() < 0.3:
            at = rng.randrange(len(payload) + 1)
            data += frame(BINARY, payload[:at], fin=False) + frame(PING, b"%d" % i) + frame(CONT, payload[at:])
        else:
            data += frame(BINARY, payload)
        expected.append((payload, True))
    ring = twin.ring.MessageRing(rng.choice([1, 2, 5, 50]), max_bytes=rng.choice([0, 0, 500]), overflow="block")
    decoder = twin.frames.FrameDecoder(ring)
    calls: list[int] = []
    ring.on_room = lambda: calls.append(len(ring))
    taken, controls, at = [], [], 0
    while at < len(data) or decoder.blocked or len(ring):
        if not decoder.blocked and at < len(data):
            step = rng.choice([1, 10, 1000, 100_000])
            controls += decoder.feed(data[at : at + step], 1) or []
            at += step
        for _ in range(rng.randrange(len(ring) + 1)):
            taken += [ring.take()[:2]]
        if decoder.blocked and rng.random() < 0.7:
            controls += decoder.resume() or []
    assert taken == expected
    assert controls == judge(data).controls
    assert (ring.received, ring.delivered, ring.dropped) == (300, 300, 0)


def test_room_is_told_of_and_used_at_once(twin: Twin) -> None:
    """What a connection does: it resumes from within the consumer's `take()`."""
    ring, decoder = blocked_decoder(twin, 4)
    ring.on_room = decoder.resume
    decoder.feed(b"".join(frame(TEXT, b"%d" % i) for i in range(1000)), 1)
    assert [ring.take()[0] for _ in range(1000)] == [b"%d" % i for i in range(1000)]
    assert not decoder.blocked
