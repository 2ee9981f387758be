"""Nothing is kept that is done with: references, memory and objects are as many after a hundred thousand messages as
before, on every path of both twins."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jetsocket.errors import DecodeError, TimeoutError

from .conftest import Twin
from .wire import BINARY, CONT, PING, TEXT, frame

STATM = Path("/proc/self/statm")
PAGE = 4096
PAYLOAD = b'{"s":"a","n":%d}' % 10**20


class Lasting:
    """A decoder that can be referred to weakly, and gives one and the same object."""

    def __init__(self, value: Any = None) -> None:
        self.value = object() if value is None else value

    def __call__(self, _: bytes) -> object:
        return self.value


def raising(payload: bytes) -> Any:
    raise ValueError("never")


def rounds(twin: Twin) -> int:
    return 100_000 if twin.kind == "compiled" else 10_000


def references(objects: list[Any]) -> list[int]:
    # None and the truth values are counted up to Python 3.11; later they are immortal.
    return [sys.getrefcount(thing) for thing in (None, True, False, b"", "", 0, *objects)]


def assert_flat(before: list[int], after: list[int]) -> None:
    # What the interpreter itself does in between is no more than a few; a leak is thousands.
    assert [more for more in (b - a for a, b in zip(before, after, strict=True)) if more > 200] == []


# Each takes `count` messages out of a stream, one way or another.


async def by_iterating(stream: Any, count: int) -> None:
    async for _ in stream:
        count -= 1
        if not count:
            return


async def by_recv(stream: Any, count: int) -> None:
    for _ in range(count):
        await stream.recv(timeout=0)


async def by_batches(stream: Any, count: int) -> None:
    async for items in stream.batches(10):
        count -= len(items)
        if count <= 0:
            return


async def by_recv_batch(stream: Any, count: int) -> None:
    while count > 0:
        count -= len(await stream.recv_batch(7))


async def by_messages(stream: Any, count: int) -> None:
    async for message in stream.messages():
        message.decode()
        count -= 1
        if not count:
            return


async def by_steps_that_are_dropped(stream: Any, count: int) -> None:
    for _ in range(count):
        step = stream.__anext__()
        step.close()
        await anext(stream)


WAYS = [by_iterating, by_recv, by_batches, by_recv_batch, by_messages, by_steps_that_are_dropped]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("decode", [bytes, str, None])
async def test_delivery_keeps_no_references(
    twin: Twin, way: Callable[[Any, int], Awaitable[None]], decode: Any
) -> None:
    decode = decode or Lasting()
    ring = twin.ring.MessageRing()
    stream = twin.stream.MessageStream(ring, decode)
    objects = [decode, getattr(decode, "value", None), ring, stream, PAYLOAD]

    async def turn(count: int) -> None:
        for _ in range(count):
            ring.accept(PAYLOAD, False, 1)
        await way(stream, count)

    await turn(100)
    before = references(objects)
    await turn(rounds(twin) // 2)
    assert len(ring) == 0
    assert_flat(before, references(objects))


async def test_waiting_keeps_no_references(twin: Twin) -> None:
    decode = Lasting()
    ring = twin.ring.MessageRing()
    stream = twin.stream.MessageStream(ring, decode)
    error = ConnectionResetError("lost")
    objects = [decode, decode.value, ring, stream, error]

    async def turn(count: int) -> None:
        for number in range(count):
            task = asyncio.ensure_future(stream.recv() if number % 2 else anext(stream))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if number % 3 == 0:
                task.cancel()
                await asyncio.wait([task])
            elif number % 3 == 1:
                ring.accept(b"x", False, 1)
                ring.wake()
                await task
            else:
                stream.end(error)
                await asyncio.wait([task])
                assert task.exception() is error
                error.__traceback__ = None
                stream.reopen()
            with pytest.raises(TimeoutError):
                await stream.recv(timeout=0)

    await turn(50)
    before = references(objects)
    await turn(3000)
    gc.collect()
    assert_flat(before, references(objects))


async def test_refused_payloads_keep_no_references(twin: Twin) -> None:
    stream = twin.stream.MessageStream(twin.ring.MessageRing(), raising, "name")

    async def turn(count: int) -> None:
        for number in range(count):
            stream.ring.accept(PAYLOAD, False, 1)
            with pytest.raises(DecodeError):
                await (stream.recv() if number % 2 else anext(stream))

    await turn(100)
    before = references([raising, stream, stream.ring])
    await turn(3000)
    gc.collect()
    assert_flat(before, references([raising, stream, stream.ring]))


def test_the_way_in_keeps_no_references(twin: Twin) -> None:
    ring, spill = twin.ring.MessageRing(100), twin.ring.MessageRing(10)
    router = twin.router.Router(twin.keys.ChannelKey("s"), spill)
    router.add("a", ring)
    sieve = twin.sieve.Sieve(router, lambda payload: payload == b"pong")

    def inflate(data: bytes, limit: int) -> bytes:
        return PAYLOAD

    decoder = twin.frames.FrameDecoder(sieve, inflate=inflate)
    data = frame(TEXT, PAYLOAD) + frame(TEXT, b"pong") + frame(BINARY, b"[]") + frame(PING, b"?")
    data += frame(TEXT, PAYLOAD[:5], fin=False) + frame(CONT, PAYLOAD[5:]) + frame(TEXT, b"?", rsv=4)
    objects = [ring, spill, router, sieve, decoder, inflate, PAYLOAD]

    def turn(count: int) -> None:
        for _ in range(count):
            assert decoder.feed(data, 1) == [(PING, b"?")]
            ring.take()
            assert router.remove("a")
            router.add("a", ring)

    turn(100)
    before = references(objects)
    turn(rounds(twin) // 10)
    assert_flat(before, references(objects))


def test_frames_out_keep_no_references(twin: Twin) -> None:
    mask = bytes([1, 2, 3, 4])
    before = references([PAYLOAD, mask])
    for _ in range(rounds(twin)):
        twin.frames_out.encode_frame(1, PAYLOAD, mask)
        twin.frames_out.apply_mask(PAYLOAD, mask)
    assert_flat(before, references([PAYLOAD, mask]))


# Objects.


def test_rings_streams_and_decoders_go(twin: Twin) -> None:
    gone: list[weakref.ref[Any]] = []
    tally = twin.ring.Tally()

    def scene() -> None:
        """As a connection ties them together, in circles."""
        ring = twin.ring.MessageRing(5, overflow="block")
        ring.tally = tally
        matches, decode, inflate = Lasting(False), Lasting(), Lasting()
        router = twin.router.Router(twin.keys.ChannelKey("s"), twin.ring.MessageRing())
        router.add("a", ring)
        stream = twin.stream.MessageStream(ring, decode, "a")
        decoder = twin.frames.FrameDecoder(twin.sieve.Sieve(router, matches), inflate=inflate)
        ring.on_room = decoder.resume
        decoder.feed(frame(TEXT, PAYLOAD) * 3 + frame(TEXT, b"half", fin=False), 1)
        stream.end()
        gone.extend(weakref.ref(thing) for thing in (ring, matches, decode, inflate))

    for _ in range(100):
        scene()
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []
    assert (tally.received, tally.delivered, tally.dropped) == (300, 0, 300)


async def test_streams_go_with_a_wait_under_way(twin: Twin) -> None:
    decode = Lasting()
    gone = weakref.ref(decode)
    stream = twin.stream.MessageStream(twin.ring.MessageRing(), decode)
    step = stream.__anext__()
    step.send(None)
    del decode, stream, step
    gc.collect()
    assert gone() is None


# Memory that tracemalloc does not see.


def resident() -> int:
    return int(STATM.read_text().split()[1]) * PAGE


@pytest.mark.skipif(not STATM.exists(), reason="the resident size is read from /proc")
def test_resident_memory_is_flat(twin: Twin) -> None:
    """A decoder, a router and rings through a few hundred thousand messages, large ones and bursts among them."""
    rings = {f"c{i}": twin.ring.MessageRing(50) for i in range(20)}
    router = twin.router.Router(twin.keys.ChannelKey("s"), twin.ring.MessageRing(10))
    for name, ring in rings.items():
        router.add(name, ring)
    small = b"".join(frame(TEXT, b'{"s":"c%d","d":"%s"}' % (i % 25, b"x" * (i * 7 % 300))) for i in range(1000))
    large = frame(TEXT, b'{"s":"c1","d":"%s"}' % (b"x" * 3_000_000))

    def turn(count: int) -> None:
        for number in range(count):
            decoder = twin.frames.FrameDecoder(router)
            decoder.feed(small, 1)
            if number % 20 == 0:
                decoder.feed(large[:1000], 1)
                decoder.feed(large[1000:], 1)
                decoder.feed(frame(BINARY, bytes(500_000), fin=False), 1)
            burst = twin.ring.MessageRing()
            for _ in range(100):
                burst.accept(PAYLOAD, False, 1)
            for ring in rings.values():
                if number % 2:
                    ring.clear()
                elif len(ring):
                    ring.take()

    count = 300 if twin.kind == "compiled" else 40
    turn(40)
    gc.collect()
    before = resident()
    turn(count)
    gc.collect()
    assert resident() - before < 8_000_000
    assert router.routed + router.unroutable > 1000 * count


@pytest.mark.skipif(not STATM.exists(), reason="the resident size is read from /proc")
async def test_resident_memory_is_flat_over_streams_and_steps(twin: Twin) -> None:
    async def turn(count: int) -> None:
        for _ in range(count):
            stream = twin.stream.MessageStream(twin.ring.MessageRing(), str)
            for _ in range(100):
                stream.ring.accept(PAYLOAD, False, 1)
            stream.end()
            async for _ in stream.messages():
                if len(stream.ring) == 50:
                    break
            await stream.recv_batch(10)

    await turn(50)
    gc.collect()
    before = resident()
    await turn(2000 if twin.kind == "compiled" else 300)
    gc.collect()
    assert resident() - before < 8_000_000
