"""MessageStream among tasks: timeouts, cancellation, several consumers, fairness."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from jetsocket.errors import TimeoutError
from jetsocket.hot.waiting_py import BUDGET_NS, PATIENCE

from .conftest import Twin
from .streams import (
    LONG,
    batch,
    push,
    raw_message,
    settled,
    stream_of,
    ways,
)


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
async def test_timeouts(twin: Twin, timeout: float) -> None:
    stream = stream_of(twin)
    for call, name in ((stream.recv, "recv"), (stream.recv_batch, "recv_batch")):
        with pytest.raises(TimeoutError) as caught:
            await call(timeout=timeout)
        assert (caught.value.timeout, caught.value.operation) == (timeout, name)
        assert not stream.ring.waiting
        push(stream, b"1", b"2")
        assert await call(timeout=timeout) in (b"1", [b"1", b"2"])
        stream.ring.clear()


async def test_a_timeout_in_time(twin: Twin) -> None:
    stream = stream_of(twin)
    task = asyncio.create_task(stream.recv(timeout=LONG))
    await settled()
    push(stream, b"1")
    assert await task == b"1"


async def test_a_timeout_covers_all_the_waits_together(twin: Twin) -> None:
    """Another consumer that is always faster must not put it off."""
    stream = stream_of(twin)

    async def fast() -> None:
        async for _ in stream:
            pass

    greedy = asyncio.create_task(fast())
    await settled()
    slow = asyncio.create_task(stream.recv(timeout=0.1))
    await settled()
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not slow.done() and loop.time() - began < 5:
        push(stream, b"x")
        await asyncio.wait([slow], timeout=0.02)
        # Whoever came back to waiting first is woken first.
        if slow.done() and not slow.exception():
            slow = asyncio.create_task(stream.recv(timeout=0.1))
            await settled()
    with pytest.raises(TimeoutError):
        slow.result()
    assert loop.time() - began < 2
    greedy.cancel()


@ways
async def test_asyncio_timeout(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin)
    for _ in range(3):
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0.01):
                await way(stream)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(way(stream), 0.01)
        assert not stream.ring.waiting
        push(stream, b"1")
        assert await way(stream) == b"1"


async def test_asyncio_timeout_around_a_loop_that_never_waits(twin: Twin) -> None:
    stream = stream_of(twin)

    async def consume() -> None:
        while True:
            push(stream, b"x")
            await anext(stream)

    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.05):
            await consume()


@ways
async def test_cancelling_a_wait(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin)
    task = asyncio.create_task(way(stream))
    await settled()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not stream.ring.waiting
    push(stream, b"1")
    assert await way(stream) == b"1"


@ways
async def test_cancelling_who_was_just_woken_loses_nothing(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin)
    for number in range(3):
        tasks = [asyncio.create_task(way(stream)) for _ in range(2)]
        await settled()
        push(stream, b"%d" % number)
        tasks[0].cancel()
        assert await tasks[1] == b"%d" % number
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]


@ways
async def test_cancelling_before_the_first_step(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin, bytes, b"1")
    task = asyncio.create_task(way(stream))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await way(stream) == b"1"


@ways
async def test_cancelling_during_the_pause_loses_nothing(twin: Twin, way: Callable[[Any], Any]) -> None:
    """After so many messages a consumer pauses; that too is a place where it can be cancelled."""
    count = PATIENCE * 2
    stream = stream_of(twin, int, *(b"%d" % i for i in range(count)))
    seen = []
    one_at_a_time = raw_message if way is batch else way

    async def consume() -> None:
        while True:
            seen.append(await one_at_a_time(stream))

    while len(stream.ring):
        task = asyncio.create_task(consume())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert seen == list(range(count))


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_is_lost_or_doubled_whatever_is_cancelled(twin: Twin, seed: int) -> None:  # noqa: C901
    rng = random.Random(seed)
    ring = twin.ring.MessageRing(rng.choice([0, 0, 5]), overflow="block")
    stream = twin.stream.MessageStream(ring, int)
    taken: list[int] = []
    consumers = rng.choice([1, 1, 3])

    async def consume() -> None:
        while True:
            what = rng.randrange(6)
            if what == 0:
                taken.extend(await anext(stream.batches(rng.choice([None, 2]))))
            elif what == 1:
                taken.append((await anext(stream.messages())).decode())
            elif what == 2:
                taken.append(await stream.recv())
            elif what == 3:
                taken.extend(await stream.recv_batch(3))
            elif what == 4:
                try:
                    taken.append(await stream.recv(timeout=rng.choice([0, 0.0001])))
                except TimeoutError:
                    continue
            else:
                async for item in stream:
                    taken.append(item)
                    if rng.random() < 0.3:
                        break

    tasks = [asyncio.create_task(consume()) for _ in range(consumers)]
    pushed = 0
    while pushed < 1500:
        what = rng.random()
        if what < 0.4:
            for _ in range(rng.randrange(4)):
                if ring.accept(b"%d" % pushed, False, pushed):
                    pushed += 1
            ring.wake()
        elif what < 0.6:
            at = rng.randrange(consumers)
            tasks[at].cancel()
            if rng.random() < 0.5:
                await asyncio.wait([tasks[at]])
            tasks[at] = asyncio.create_task(consume())
        else:
            await asyncio.sleep(0)
    while len(ring):  # noqa: ASYNC110  # no one tells
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert taken == list(range(pushed))
    assert (ring.received, ring.delivered, ring.dropped) == (pushed, pushed, 0)


# Several consumers.


async def test_each_message_goes_to_one_consumer(twin: Twin) -> None:
    stream = stream_of(twin, int)
    taken: list[int] = []

    async def consume() -> int:
        count = 0
        async for item in stream:
            taken.append(item)
            count += 1
            await asyncio.sleep(0)
        return count

    tasks = [asyncio.create_task(consume()) for _ in range(5)]
    for number in range(200):
        push(stream, b"%d" % number)
        if number % 7 == 0:
            await asyncio.sleep(0)
    await settled()
    stream.end()
    counts = await asyncio.gather(*tasks)
    assert sorted(taken) == list(range(200))
    assert min(counts) > 0


@pytest.mark.parametrize("decode", [bytes, str, int])
async def test_a_long_queue_lets_others_run(twin: Twin, decode: Any) -> None:
    count = 200_000 if twin.kind == "compiled" else 40_000
    stream = stream_of(twin, decode)
    for number in range(count):
        stream.ring.accept(b"1", False, number)
    stream.end()
    longest = last = 0
    done = False

    async def watch() -> None:
        nonlocal longest, last
        while not done:
            longest, last = max(longest, stream.ring.delivered - last), stream.ring.delivered
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    async for _ in stream:
        pass
    done = True
    await watcher
    assert stream.ring.delivered == count
    assert 0 < longest <= PATIENCE


def lasting(nanoseconds: int) -> Callable[[bytes], bytes]:
    """A decoder that takes so long."""

    def decode(payload: bytes) -> bytes:
        until = time.monotonic_ns() + nanoseconds
        while time.monotonic_ns() < until:
            pass
        return payload

    return decode


@ways
async def test_slow_decoding_lets_others_run(twin: Twin, way: Callable[[Any], Any]) -> None:
    """The clock decides, not the number of messages; and a large message counts for many."""
    stream = stream_of(twin, lasting(BUDGET_NS // 10), *[bytes(1 << 14)] * 40)
    taken = [0]

    async def watch() -> None:
        while stream.ring.delivered < 40:
            taken.append(stream.ring.delivered)
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    while stream.ring.delivered < 40:
        await way(stream)
    await watcher
    assert max(after - before for before, after in pairwise([*taken, 40])) <= 20


async def test_a_batch_of_slow_messages_is_cut_off(twin: Twin) -> None:
    stream = stream_of(twin, lasting(BUDGET_NS // 100), *[b"x"] * 2000)
    sizes = []
    while len(stream.ring):
        sizes.append(len(await stream.recv_batch()))
    assert sum(sizes) == 2000
    assert max(sizes) <= 1000


async def test_batches_of_a_long_queue_let_others_run(twin: Twin) -> None:
    stream = stream_of(twin)
    for number in range(50_000):
        stream.ring.accept(b"1", False, number)
    stream.end()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while len(stream.ring):
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    sizes = [len(items) async for items in stream.batches(100)]
    await counter
    assert sum(sizes) == 50_000
    assert max(sizes) == 100
    # Few are cut short, by a machine that did something else for a while.
    assert len(sizes) < 600
    assert turns >= 50_000 // PATIENCE
