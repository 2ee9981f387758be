"""Sieve: what it matches goes no farther, all else does."""

from __future__ import annotations

import pytest

from .conftest import Twin
from .wire import TEXT, frame


def test_sieve(twin: Twin) -> None:
    ring = twin.ring.MessageRing(1, overflow="block")
    sieve = twin.sieve.Sieve(ring, lambda payload: payload.startswith(b"pong"))
    calls: list[int] = []
    ring.waker = lambda: calls.append(1)
    ring.waiting = True
    assert sieve.accept(b"pong", False, 1)
    sieve.wake()
    assert calls == []
    assert sieve.accept(b"data", True, 2)
    sieve.wake()
    assert calls == [1]
    assert not sieve.accept(b"more", True, 3)
    assert sieve.accept(b"pong 2", False, 4)
    assert (sieve.matched, sieve.error, ring.take()) == (2, None, (b"data", True, 2))


def test_a_matcher_that_raises_lets_the_message_through(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    sieve = twin.sieve.Sieve(ring, lambda payload: payload.decode() == "pong")
    sieve.accept(b"\xff", False, 1)
    sieve.accept(b"pong", False, 1)
    assert isinstance(sieve.error, UnicodeDecodeError)
    assert (len(ring), sieve.matched) == (1, 1)


def test_an_answer_without_a_truth_value(twin: Twin) -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise ValueError("neither")

    ring = twin.ring.MessageRing()
    sieve = twin.sieve.Sieve(ring, lambda payload: Odd())  # noqa: ARG005
    assert sieve.accept(b"x", False, 1)
    assert str(sieve.error) == "neither"
    assert len(ring) == 1


def test_an_interruption_of_a_matcher_loses_no_message(twin: Twin) -> None:
    def matches(payload: bytes) -> bool:
        if payload == b"b":
            raise KeyboardInterrupt
        return False

    ring = twin.ring.MessageRing()
    woken: list[int] = []
    ring.waker = lambda: woken.append(len(ring))
    ring.waiting = True
    sieve = twin.sieve.Sieve(ring, matches)
    decoder = twin.frames.FrameDecoder(sieve)
    with pytest.raises(KeyboardInterrupt):
        decoder.feed(b"".join(frame(TEXT, letter) for letter in (b"a", b"b", b"c")), 1)
    assert [ring.take()[0] for _ in range(3)] == [b"a", b"b", b"c"]
    assert (woken, sieve.error) == ([3], None)
    sieve.wake()
