"""Threads beside the one that decodes. The compiled rooms let the GIL go while they decode a large read; their queues
can be read, and channels come and go, meanwhile. Where there is no GIL the same holds at any time.

Not a contract of the pure twin: Python code cannot count without a lock, and a lock for each message is too dear.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .conftest import Twin
from .wire import TEXT, frame

COMPILED = Twin("compiled")
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
# A decoder is one thread's. Without a GIL two at once mix up what they feed; one may find its buffer gone.
REFUSALS = (RuntimeError,) if GIL else (RuntimeError, ValueError)
CHANNELS = [f"channel {number}" for number in range(20)]
READ = b"".join(
    frame(TEXT, b'{"s":"%s","n":%d,"rest":"%s"}' % (CHANNELS[number % 20].encode(), number, b"x" * 150))
    for number in range(1000)
)


def whole_reads(decoder: Any, commits: int) -> Iterator[int]:
    """Room for a whole READ at a time, filled: the bytes to commit."""
    for _ in range(10):
        decoder.feed(READ, 1)
    for _ in range(commits):
        space = decoder.get_buffer()
        assert len(space) >= len(READ)
        space[: len(READ)] = READ
        yield len(READ)


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[list[Exception]]:
    """`work()` again and again in a thread of its own, until the end; what it raised."""
    stop, begun, raised = threading.Event(), threading.Event(), list[Exception]()

    def run() -> None:
        begun.set()
        try:
            while not stop.is_set():
                work()
        except Exception as error:  # noqa: BLE001  # it is told at the end
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    try:
        yield raised
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def routed() -> tuple[Any, Any, list[Any]]:
    router = COMPILED.router.Router(COMPILED.keys.ChannelKey("s"))
    rings = [COMPILED.ring.MessageRing(300) for _ in CHANNELS]
    for name, ring in zip(CHANNELS, rings, strict=True):
        router.add(name, ring)
    return COMPILED.frames.FrameDecoder(router), router, rings


def test_another_thread_runs_while_a_large_read_is_decoded(routed: tuple[Any, Any, list[Any]]) -> None:
    decoder, _, _ = routed
    turns = [0]

    def turn() -> None:
        turns[0] += 1
        time.sleep(0)

    interval = sys.getswitchinterval()
    # Nobody is made to let the GIL go: what runs during a commit runs because the commit let it.
    sys.setswitchinterval(1000)
    try:
        with beside(turn) as raised:
            for size in whole_reads(decoder, 100_000):
                before = turns[0]
                decoder.commit(size, 1)
                if turns[0] != before:
                    break
            else:
                pytest.fail("no other thread ran during any commit")
    finally:
        sys.setswitchinterval(interval)
    assert raised == []


def test_queues_are_read_while_they_are_filled(routed: tuple[Any, Any, list[Any]]) -> None:
    decoder, router, rings = routed
    taken = [0]

    def read() -> None:
        for ring in rings:
            while len(ring):
                payload, _, _ = ring.take()
                assert payload.startswith(b'{"s":"channel ')
                taken[0] += 1

    with beside(read) as raised:
        for size in whole_reads(decoder, 300):
            assert decoder.commit(size, 1) is None
    assert raised == []
    assert router.routed == sum(ring.received for ring in rings) == 310 * 1000
    assert taken[0] == sum(ring.delivered for ring in rings)
    assert all(ring.received == ring.delivered + ring.dropped + len(ring) for ring in rings)


def test_queues_are_cleared_while_they_are_filled(routed: tuple[Any, Any, list[Any]]) -> None:
    decoder, _, rings = routed
    with beside(lambda: [ring.clear() for ring in rings] and None) as raised:
        for size in whole_reads(decoder, 300):
            decoder.commit(size, 1)
    assert raised == []
    assert all(ring.received == ring.dropped + len(ring) for ring in rings)
    assert [ring.nbytes for ring in rings] == [sum(len(ring.take()[0]) for _ in range(len(ring))) for ring in rings]


def test_channels_come_and_go_while_messages_do(routed: tuple[Any, Any, list[Any]]) -> None:
    decoder, router, rings = routed
    extra = [(f"extra {number}", COMPILED.ring.MessageRing()) for number in range(100)]

    def come_and_go() -> None:
        for name, ring in extra:
            router.add(name, ring)
        for name, _ in extra:
            assert router.remove(name)
        assert router.remove(CHANNELS[0])
        router.add(CHANNELS[0], rings[0])

    with beside(come_and_go) as raised:
        for size in whole_reads(decoder, 300):
            decoder.commit(size, 1)
    assert raised == []
    assert router.routed + router.unroutable == 310 * 1000
    assert router.routed == sum(ring.received for ring in rings)
    assert len(router) == len(CHANNELS)


def test_one_key_serves_several_threads() -> None:
    key = COMPILED.keys.ChannelKey("{s}/{n}")
    router = COMPILED.router.Router(key)
    ring = COMPILED.ring.MessageRing(10)
    router.add("channel 3/3", ring)
    decoder = COMPILED.frames.FrameDecoder(router)
    message = b'{"s":"channel \\u0031","n":1}'

    def find() -> None:
        assert key.find(message) == "channel 1/1"

    with beside(find) as raised:
        for size in whole_reads(decoder, 300):
            decoder.commit(size, 1)
    assert raised == []
    assert (ring.received, router.unroutable) == (310, 310 * 999)


def test_two_threads_at_one_decoder_are_refused_at_worst(routed: tuple[Any, Any, list[Any]]) -> None:
    decoder, router, rings = routed

    def feed() -> None:
        try:
            decoder.feed(b"", 1)
        except REFUSALS:
            pass

    refused = 0
    with beside(feed) as raised:
        for _ in range(300):
            try:
                decoder.feed(READ, 1)
            except REFUSALS:
                refused += 1
    assert raised == []
    assert router.routed == sum(ring.received for ring in rings)
    assert GIL is False or (refused, router.routed) == (0, 300 * 1000)
