"""Callbacks that call back and destructors at the worst moment: an error, or nothing, and never a message that was not
sent, or memory that is not ours."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .conftest import Twin
from .wire import BINARY, CONT, TEXT, frame

BUSY = "a FrameDecoder cannot be used by what takes its messages, while it does"


def drain(ring: Any) -> list[bytes]:
    return [ring.take()[0] for _ in range(len(ring))]


# A decoder that is called by what it calls.

USES: dict[str, Callable[[Any], object]] = {
    "get_buffer": lambda decoder: decoder.get_buffer(),
    "commit": lambda decoder: decoder.commit(0, 2),
    "feed": lambda decoder: decoder.feed(frame(BINARY, bytes(100_000)), 2),
    "resume": lambda decoder: decoder.resume(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_matcher_cannot_use_the_decoder(twin: Twin, use: Callable[[Any], object]) -> None:
    ring = twin.ring.MessageRing()
    sieve = twin.sieve.Sieve(ring, lambda _: use(decoder))
    decoder = twin.frames.FrameDecoder(sieve)
    data = frame(TEXT, b"abc") * 100
    # Without `feed()`, which would hold the buffer's memory.
    decoder.get_buffer()[: len(data)] = data
    decoder.commit(len(data), 1)
    assert (type(sieve.error), str(sieve.error)) == (RuntimeError, BUSY)
    assert drain(ring) == [b"abc"] * 100
    assert (decoder.fault, decoder.in_message, decoder.frames_received) == (None, False, 100)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_inflating_cannot_use_the_decoder(twin: Twin, use: Callable[[Any], object]) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring, inflate=lambda data, _: use(decoder) and data)
    for data in (frame(BINARY, b"abc", rsv=4), frame(BINARY, b"a", rsv=4, fin=False) + frame(CONT, b"bc")):
        with pytest.raises(RuntimeError, match=BUSY):
            decoder.feed(data, 1)
    # What was refused is gone; what follows is not.
    decoder.feed(frame(TEXT, b"next"), 1)
    assert drain(ring) == [b"next"]


def test_a_matcher_cannot_resume_while_a_held_message_is_offered(twin: Twin) -> None:
    ring = twin.ring.MessageRing(1, overflow="block")
    calls: list[bytes] = []

    def matches(payload: bytes) -> bool:
        calls.append(payload)
        if len(calls) > 3:
            ring.clear()
            decoder.resume()
        return False

    sieve = twin.sieve.Sieve(ring, matches)
    decoder = twin.frames.FrameDecoder(sieve)
    decoder.feed(frame(BINARY, b"first") + frame(BINARY, b"H" * 100_000), 1)
    assert decoder.blocked
    while decoder.blocked:
        decoder.resume()
    assert str(sieve.error) == BUSY
    assert drain(ring) == [b"H" * 100_000]


def test_a_waker_may_use_the_decoder(twin: Twin) -> None:
    """When it is called, what was read is done with."""
    ring = twin.ring.MessageRing()
    left = [b"%d" % number for number in range(50)]

    def waker() -> None:
        if left:
            ring.waiting = True
            decoder.feed(frame(TEXT, left.pop(0)), 1)

    ring.waker = waker
    ring.waiting = True
    decoder = twin.frames.FrameDecoder(ring)
    decoder.feed(frame(TEXT, b"start"), 1)
    assert drain(ring) == [b"start", *(b"%d" % number for number in range(50))]


# Rings that go, and that are called, at the worst moment.


def test_a_ring_that_is_listed_again_while_it_is_removed(twin: Twin) -> None:
    router, rings = twin.router.Router(twin.keys.ChannelKey("s")), [twin.ring.MessageRing()]
    message = b'{"s":"a"}'

    def waker() -> None:
        ring = rings.pop()
        ring.waker = None
        ring.waiting = True
        router.accept(message, False, 1)

    rings[0].waker = waker
    rings[0].waiting = True
    router.add("a", rings[0])
    router.accept(message, False, 1)
    assert router.remove("a")
    gc.collect()
    for _ in range(100):
        router.accept(message, False, 1)
    router.wake()
    assert router.routed <= 2


def test_a_channel_added_again_while_it_is_removed(twin: Twin) -> None:
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    first, second = twin.ring.MessageRing(), twin.ring.MessageRing()
    first.waker = lambda: router.add("a", second)
    first.waiting = True
    router.add("a", first)
    router.accept(b'{"s":"a"}', False, 1)
    router.remove("a")
    router.wake()
    router.accept(b'{"s":"a"}', False, 1)
    assert "a" in router
    assert (len(first), len(second)) == (1, 1)


def test_routers_that_share_a_ring(twin: Twin) -> None:
    ring, calls = twin.ring.MessageRing(), []
    ring.waker = lambda: calls.append(len(ring))
    routers = [twin.router.Router(twin.keys.ChannelKey("s")) for _ in range(2)]
    for router in routers:
        router.add("a", ring)
        router.add("b", ring)
    for number in range(20):
        ring.waiting = True
        for router in routers:
            router.accept(b'{"s":"a"}', False, 1)
            router.accept(b'{"s":"b"}', False, 1)
        for router in routers:
            router.wake()
        assert len(calls) == number + 1
    routers[0].remove("a")
    ring.waiting = True
    routers[1].accept(b'{"s":"a"}', False, 1)
    routers[1].wake()
    assert len(calls) == 21


def test_a_tally_whose_destructor_comes_back(twin: Twin) -> None:
    ring, calls = twin.ring.MessageRing(), []

    class Last(twin.ring.Tally):  # type: ignore[name-defined,misc]
        def __del__(self) -> None:
            calls.append(1)
            ring.tally = None

    ring.tally = Last()
    ring.tally = None
    gc.collect()
    assert (calls, ring.tally) == ([1], None)


# Streams.


class Handle:
    """A timer's handle that takes what is queued as it goes."""

    def __init__(self, handle: asyncio.TimerHandle, ring: Any) -> None:
        self.handle = handle
        self.ring = ring

    def cancel(self) -> None:
        self.handle.cancel()

    def __del__(self) -> None:
        if len(self.ring):
            self.ring.take()


class GreedyLoop(asyncio.SelectorEventLoop):
    ring: Any = None

    def call_at(self, *arguments: Any, **options: Any) -> Any:
        handle = super().call_at(*arguments, **options)
        return handle if self.ring is None else Handle(handle, self.ring)


@pytest.mark.parametrize("receive", [lambda stream: stream.recv(60), lambda stream: stream.recv_batch(None, 60)])
def test_a_message_that_goes_between_the_waiting_and_the_taking(
    twin: Twin, receive: Callable[[Any], Awaitable[Any]]
) -> None:
    stream = twin.stream.MessageStream(twin.ring.MessageRing(), bytes)

    async def conversation() -> None:
        task = asyncio.ensure_future(receive(stream))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        stream.ring.accept(b"one", False, 1)
        stream.ring.wake()
        with pytest.raises(IndexError, match="take\\(\\) from an empty MessageRing"):
            await task

    loop = GreedyLoop()
    loop.ring = stream.ring
    try:
        loop.run_until_complete(conversation())
    finally:
        loop.close()
    assert (stream.ring.received, stream.ring.delivered) == (1, 1)


async def test_a_value_whose_destructor_takes_the_next_one(twin: Twin) -> None:
    """The step that gave it is kept, and the last value may be kept with it, until the next one takes its place."""
    inner: list[Any] = []

    class Value:
        def __init__(self, payload: bytes) -> None:
            self.payload = payload

        def __del__(self) -> None:
            if self.payload == b"first" and not inner:
                inner.append(None)
                step = stream.__anext__()
                try:
                    step.send(None)
                except StopIteration as stop:
                    inner[0] = stop.value.payload

    stream = twin.stream.MessageStream(twin.ring.MessageRing(), Value)
    for payload in (b"first", b"second", b"third", b"fourth"):
        stream.ring.accept(payload, False, 1)
    steps = [stream.__anext__() for _ in range(3)]
    taken = []
    for step in steps:
        value = await step
        taken.append(None if value is None else value.payload)
        del value
    gc.collect()
    assert sorted([*taken, *inner]) == [b"first", b"fourth", b"second", b"third"]
