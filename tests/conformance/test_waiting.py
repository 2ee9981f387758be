"""All consumers of an event loop together hold it for a short time only: on both loops, the same from both twins."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from jetsocket.hot.waiting_py import BUDGET_NS

from .conftest import Twin
from .streams import push, settled, stream_of
from .test_stream_waiting import lasting

CHANNELS, EACH = 100, 1000
# Of the loop's thread: a turn holds the budget, what a batch may go over it, and what the loop does itself.
LONGEST_NS = 5_000_000


class Turns:
    """A task of its own, run once a turn of the loop: how many turns, and the longest of them by CPU time."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        last = time.thread_time_ns()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time_ns()
            self.count += 1
            self.longest = max(self.longest, now - last)
            last = now

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def by_iteration(stream: Any, seen: list[Any]) -> None:
    async for item in stream:
        seen.append(item)  # noqa: PERF401  # one by one


async def by_batches(stream: Any, seen: list[Any]) -> None:
    async for items in stream.batches():
        seen += items


async def by_messages(stream: Any, seen: list[Any]) -> None:
    async for item in stream.messages():
        seen.append(item.decode())  # noqa: PERF401  # one by one


async def by_recv(stream: Any, seen: list[Any]) -> None:
    while len(stream.ring):
        seen.append(await stream.recv())


async def by_recv_in_time(stream: Any, seen: list[Any]) -> None:
    while len(stream.ring):
        seen.append(await stream.recv(timeout=30))


async def by_listening(stream: Any, seen: list[Any]) -> None:
    ended = asyncio.get_running_loop().create_future()
    stream.listen(seen.append, ended.set_exception, lambda: ended.set_result(None))
    await ended


WAYS = [by_iteration, by_batches, by_messages, by_recv, by_recv_in_time, by_listening]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def backlog(twin: Twin, decode: Any, channels: int, each: int) -> list[Any]:
    """Streams with so many messages in each, that have ended."""
    streams = []
    for channel in range(channels):
        stream = stream_of(twin, decode, json=decode is msgspec.json.decode)
        for number in range(each):
            payload = b'{"e":"trade","c":%d,"n":%d,"p":"67123.10","q":"0.00210","m":true}' % (channel, number)
            stream.ring.accept(payload, False, number)
        stream.end()
        streams.append(stream)
    return streams


@ways
async def test_a_hundred_long_queues_do_not_hold_the_loop(
    twin: Twin, way: Callable[[Any, list[Any]], Awaitable[None]]
) -> None:
    each = EACH if twin.kind == "compiled" else EACH // 10
    streams = backlog(twin, msgspec.json.decode, CHANNELS, each)
    seen: list[list[Any]] = [[] for _ in streams]
    gate = asyncio.Event()

    async def consume(number: int) -> None:
        await gate.wait()
        await way(streams[number], seen[number])

    tasks = [asyncio.create_task(consume(number)) for number in range(CHANNELS)]
    await settled()
    gc.collect()
    gc.disable()
    turns = Turns()
    try:
        gate.set()
        await asyncio.gather(*tasks)
    finally:
        gc.enable()
    await turns.stop()
    for channel, items in enumerate(seen):
        assert [(item["c"], item["n"]) for item in items] == [(channel, number) for number in range(each)]
    assert turns.count >= 5
    if twin.kind == "compiled":
        assert turns.longest < LONGEST_NS


@ways
async def test_those_that_were_woken_together_share_the_time_too(
    twin: Twin, way: Callable[[Any, list[Any]], Awaitable[None]]
) -> None:
    """Ten milliseconds of decoding are due when they are woken; other tasks have their turn in between."""
    if way in (by_recv, by_recv_in_time):
        way = by_iteration
    streams = [stream_of(twin, lasting(BUDGET_NS // 100)) for _ in range(10)]
    seen: list[list[Any]] = [[] for _ in streams]
    tasks = [asyncio.create_task(way(stream, items)) for stream, items in zip(streams, seen, strict=True)]
    await settled()
    turns = Turns()
    for stream in streams:
        push(stream, *[b"%d" % number for number in range(50)])
    for stream in streams:
        stream.end()
    await asyncio.gather(*tasks)
    await turns.stop()
    assert seen == [[b"%d" % number for number in range(50)]] * 10
    assert turns.count >= 4


async def test_everybody_has_a_turn_in_order(twin: Twin) -> None:
    """Each message takes all the time there is: nobody gets far ahead of the others."""
    streams = backlog(twin, lasting(BUDGET_NS), 4, 8)
    seen: list[int] = []

    async def consume(number: int) -> None:
        async for _ in streams[number]:
            seen.append(number)  # noqa: PERF401  # while others do too

    await asyncio.gather(*(consume(number) for number in range(4)))
    assert sorted(seen) == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    for end in range(len(seen)):
        counts = [seen[:end].count(number) for number in range(4)]
        assert max(counts) - min(counts) <= 6


async def lined_up(twin: Twin) -> tuple[Any, list[asyncio.Task[None]], list[Any]]:
    """A stream of six messages, each of which takes all the time there is, and two tasks that wait for their turn."""
    stream = backlog(twin, lasting(BUDGET_NS), 1, 6)[0]
    seen: list[Any] = []
    tasks = [asyncio.create_task(by_iteration(stream, seen)) for _ in range(2)]
    while not stream.ring.delivered:  # noqa: ASYNC110  # no one tells
        await asyncio.sleep(0)
    return stream, tasks, seen


async def test_cancelling_who_waits_for_its_turn_loses_nothing(twin: Twin) -> None:
    _, tasks, seen = await lined_up(twin)
    assert is_pending(twin)
    tasks[0].cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await tasks[1]
    assert len(seen) == 6
    await settled()
    assert not is_pending(twin)


async def test_a_listener_does_not_come_between(twin: Twin) -> None:
    """Who waits for its turn finds that a callback listens."""
    stream, tasks, seen = await lined_up(twin)
    before = len(seen)
    heard: list[Any] = []
    stream.listen(heard.append, heard.append, lambda: None)
    done, _ = await asyncio.wait(tasks)
    while before + len(heard) < 6:  # noqa: ASYNC110  # no one tells
        await asyncio.sleep(0)
    assert all(type(task.exception()).__name__ == "InvalidStateError" for task in done)
    assert len(seen) == before


def is_pending(twin: Twin) -> bool:
    return bool(twin.waiting.pending(asyncio.get_running_loop()))


async def test_messages_in_queues_are_not_pending(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1", b"2")
    assert not is_pending(twin)
    assert await stream.recv() == b"1"
    assert not is_pending(twin)


def test_what_ends_the_program_leaves_the_others_their_turn(twin: Twin) -> None:
    streams = backlog(twin, lasting(BUDGET_NS), 5, 2)
    seen: list[int] = []

    async def consume(number: int) -> None:
        async for _ in streams[number]:
            seen.append(number)
            if number == 2:
                raise KeyboardInterrupt

    async def start() -> None:
        tasks.extend(asyncio.create_task(consume(number)) for number in range(5))
        await asyncio.wait(tasks)

    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(start())
        loop.run_until_complete(asyncio.wait(tasks))
        assert sorted(seen) == [0, 0, 1, 1, 2, 3, 3, 4, 4]
        assert [type(task.exception()) for task in tasks].count(KeyboardInterrupt) == 1
    finally:
        loop.close()


def test_a_loop_that_is_closed_meanwhile_holds_nothing(twin: Twin) -> None:
    async def leave() -> list[asyncio.Task[None]]:
        return (await lined_up(twin))[1]

    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(leave())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    gone = weakref.ref(loop)
    del loop, task, tasks
    gc.collect()
    assert gone() is None


def test_a_stream_goes_on_in_another_loop(twin: Twin) -> None:
    stream = backlog(twin, lasting(BUDGET_NS), 1, 4)[0]

    async def some() -> None:
        task = asyncio.create_task(by_iteration(stream, []))
        while not stream.ring.delivered:  # noqa: ASYNC110  # no one tells
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def rest() -> list[Any]:
        seen: list[Any] = []
        await by_iteration(stream, seen)
        return seen

    asyncio.run(some())
    left = len(stream.ring)
    assert len(asyncio.run(rest())) == left > 0


def test_without_a_loop_there_is_all_the_time(twin: Twin) -> None:
    stream = backlog(twin, lasting(BUDGET_NS // 4), 1, 20)[0]
    for _ in range(20):
        with pytest.raises(StopIteration):
            stream.__anext__().send(None)


async def test_whoever_a_read_woke_runs_when_it_is_routed() -> None:
    """Of the compiled twin: the link calls hold() and release() around each read."""
    from jetsocket.hot.waiting_c import routing_wave

    stream = stream_of(Twin("compiled"))
    seen: list[Any] = []
    reader = asyncio.create_task(by_iteration(stream, seen))
    await settled()
    wave = routing_wave(asyncio.get_running_loop())
    routed: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def read() -> None:
        wave.hold()
        push(stream, b"a")
        before = list(seen)
        wave.release(True)
        routed.set_result([before, list(seen)])

    # As a transport does: from the loop, not from a task.
    asyncio.get_running_loop().call_soon(read)
    before, after = await routed
    assert (before, after) == ([], [b"a"])
    reader.cancel()
    await asyncio.wait([reader])
