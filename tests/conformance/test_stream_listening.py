"""MessageStream.listen(): a callback instead of tasks, the same from both twins and on both event loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket.errors import DecodeError, InvalidStateError
from jetsocket.hot.waiting_py import BUDGET_NS

from .conftest import Twin
from .streams import push, settled, stream_of, ways


class Heard:
    """What a listener was told."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.troubles: list[BaseException] = []
        self.ends = 0

    def listen(self, stream: Any, listener: Callable[[Any], object] | None = None) -> None:
        stream.listen(listener or self.messages.append, self.troubles.append, self.end)

    def end(self) -> None:
        self.ends += 1


async def test_messages_come_within_the_read_that_brought_them(twin: Twin) -> None:
    stream, heard = stream_of(twin, int, b"1", b"2"), Heard()
    assert not stream.listening
    heard.listen(stream)
    assert stream.listening
    assert heard.messages == [1, 2]
    push(stream, b"3", b"4")
    push(stream, b"5")
    assert heard.messages == [1, 2, 3, 4, 5]
    assert (stream.ring.received, stream.ring.delivered, len(stream.ring)) == (5, 5, 0)


async def test_a_listener_that_raises_hurts_nobody(twin: Twin) -> None:
    stream, heard = stream_of(twin, int), Heard()
    odd = [KeyError("odd"), asyncio.CancelledError(), GeneratorExit(), StopIteration(1)]

    def listener(number: int) -> None:
        heard.messages.append(number)
        if number < len(odd):
            raise odd[number]

    heard.listen(stream, listener)
    push(stream, b"0", b"bad", b"1", b"2", b"3", b"4")
    push(stream, b"5")
    assert heard.messages == [0, 1, 2, 3, 4, 5]
    refused = heard.troubles.pop(1)
    assert isinstance(refused, DecodeError)
    assert refused.raw == b"bad"
    assert heard.troubles == odd
    assert stream.ring.delivered == 7


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_passes_and_loses_nothing(twin: Twin, kind: type[BaseException]) -> None:
    stream, heard = stream_of(twin, int), Heard()

    def listener(number: int) -> None:
        heard.messages.append(number)
        if number == 1:
            raise kind

    heard.listen(stream, listener)
    with pytest.raises(kind):
        push(stream, b"0", b"1", b"2")
    await settled()
    push(stream, b"3")
    assert heard.messages == [0, 1, 2, 3]
    assert heard.troubles == []


async def test_a_program_that_ends_at_once_does_not_listen(twin: Twin) -> None:
    stream, heard = stream_of(twin, int, b"0", b"1"), Heard()

    def listener(number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heard.listen(stream, listener)
    assert not stream.listening
    await settled()
    assert await stream.recv() == 1


async def test_the_end_comes_after_the_last_message(twin: Twin) -> None:
    stream, heard = stream_of(twin, int), Heard()
    heard.listen(stream)
    push(stream, b"1")
    stream.end()
    assert (heard.messages, heard.ends, stream.listening) == ([1], 1, False)
    late = Heard()
    stream.ring.accept(b"2", False, 1)
    late.listen(stream)
    assert (late.messages, late.ends, stream.listening) == ([2], 1, False)


async def test_ending_and_more_messages_from_within(twin: Twin) -> None:
    stream, heard = stream_of(twin, int), Heard()
    order: list[Any] = []

    def listener(number: int) -> None:
        order.append(number)
        if number == 1:
            push(stream, b"3")
            stream.end()
        order.append(-number)

    stream.listen(listener, heard.troubles.append, lambda: order.append("end"))
    push(stream, b"1", b"2")
    assert order == [1, -1, 2, -2, 3, -3, "end"]
    assert heard.troubles == []


async def test_stopping_leaves_what_is_queued(twin: Twin) -> None:
    stream, heard = stream_of(twin, int), Heard()

    def listener(number: int) -> None:
        heard.messages.append(number)
        if number == 2:
            stream.stop_listening()
            raise ValueError("after the end nobody is told")

    heard.listen(stream, listener)
    push(stream, b"1", b"2", b"3")
    assert (heard.messages, heard.ends, heard.troubles, stream.listening) == ([1, 2], 0, [], False)
    assert (len(stream.ring), stream.ring.delivered, stream.ring.waiting) == (1, 2, False)
    assert await stream.recv() == 3
    task = asyncio.create_task(stream.recv())
    await settled()
    push(stream, b"4")
    assert await task == 4


async def test_another_listener_from_within(twin: Twin) -> None:
    stream, first, second = stream_of(twin, int), Heard(), Heard()

    def listener(number: int) -> None:
        first.messages.append(number)
        stream.stop_listening()
        second.listen(stream)

    first.listen(stream, listener)
    push(stream, b"1", b"2", b"3")
    assert (first.messages, second.messages) == ([1], [2, 3])


@ways
async def test_nobody_else_takes_meanwhile(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream, heard = stream_of(twin), Heard()
    heard.listen(stream)
    for _ in range(2):
        with pytest.raises(InvalidStateError, match="its messages go to a callback"):
            await way(stream)
        with pytest.raises(InvalidStateError, match="cannot recv: its messages go to a callback"):
            await stream.recv(timeout=1)
        # Even where there is something.
        stream.ring.accept(b"1", False, 1)
    with pytest.raises(InvalidStateError, match="cannot listen: its messages go to a callback"):
        heard.listen(stream)
    stream.ring.wake()
    assert heard.messages == [b"1", b"1"]
    stream.stop_listening()
    push(stream, b"2")
    assert await way(stream) == b"2"


@ways
async def test_nobody_listens_while_a_task_waits(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream, heard = stream_of(twin), Heard()
    task = asyncio.create_task(way(stream))
    await settled()
    with pytest.raises(InvalidStateError, match="cannot listen: a task waits"):
        heard.listen(stream)
    push(stream, b"1")
    assert await task == b"1"
    task = asyncio.create_task(way(stream))
    await settled()
    task.cancel()
    await asyncio.wait([task])
    heard.listen(stream)
    push(stream, b"2")
    assert heard.messages == [b"2"]


@ways
async def test_a_task_that_was_just_woken_finds_a_listener(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream, heard = stream_of(twin), Heard()
    task = asyncio.create_task(way(stream))
    await settled()
    push(stream, b"1")
    heard.listen(stream)
    assert heard.messages == [b"1"]
    with pytest.raises(InvalidStateError, match="its messages go to a callback"):
        await task
    push(stream, b"2")
    assert heard.messages == [b"1", b"2"]


def test_nobody_listens_outside_of_an_event_loop(twin: Twin) -> None:
    stream = stream_of(twin)
    with pytest.raises(RuntimeError, match="no running event loop"):
        Heard().listen(stream)
    assert not stream.listening


async def test_a_burst_does_not_hold_the_loop(twin: Twin) -> None:
    stream, heard = stream_of(twin, int), Heard()

    def listener(number: int) -> None:
        until = time.monotonic_ns() + BUDGET_NS // 50
        while time.monotonic_ns() < until:
            pass
        heard.messages.append(number)

    heard.listen(stream, listener)
    push(stream, *(b"%d" % number for number in range(1000)))
    assert 0 < len(heard.messages) < 1000
    push(stream, b"1000")
    turns = 0
    while len(heard.messages) < 500:  # no one tells
        turns += 1
        await asyncio.sleep(0)
    stream.end()
    assert heard.ends == 0
    while not heard.ends:
        turns += 1
        await asyncio.sleep(0)
    assert heard.messages == list(range(1001))
    assert turns >= 4


async def test_a_deferred_error_is_the_listeners(twin: Twin) -> None:
    stream, heard = stream_of(twin, int, b"1", b"bad"), Heard()
    assert await stream.recv_batch() == [1]
    heard.listen(stream)
    assert [type(error) for error in heard.troubles] == [DecodeError]
    push(stream, b"2")
    assert heard.messages == [2]


async def test_a_listener_goes_with_its_stream(twin: Twin) -> None:
    stream, heard = stream_of(twin, int), Heard()
    heard.listen(stream)
    push(stream, b"1")
    gone = weakref.ref(stream.ring)
    del stream
    gc.collect()
    assert gone() is None


# Waking.


async def test_tasks_are_woken_in_order_each_in_its_context(twin: Twin) -> None:
    streams = [stream_of(twin, int) for _ in range(50)]
    name: contextvars.ContextVar[int] = contextvars.ContextVar("name")
    seen = []

    async def consume(number: int) -> None:
        name.set(number)
        async for item in streams[number]:
            seen.append((item, name.get()))  # noqa: PERF401  # while others do too

    tasks = [asyncio.create_task(consume(number)) for number in range(50)]
    await settled()
    order = [*range(25, 50), *range(25)]
    for number in order:
        push(streams[number], b"%d" % number)
    await settled()
    assert seen == [(number, number) for number in order]
    for stream in streams:
        stream.end()
    await asyncio.gather(*tasks)


def test_what_ends_the_program_in_a_task_does_not_leave_the_others_asleep(twin: Twin) -> None:
    streams = [stream_of(twin, int) for _ in range(5)]
    seen: list[int] = []

    async def consume(number: int) -> None:
        seen.append(await streams[number].recv())
        if number == 1:
            raise KeyboardInterrupt

    async def start() -> None:
        tasks.extend(asyncio.create_task(consume(number)) for number in range(5))
        await settled()
        for number, stream in enumerate(streams):
            push(stream, b"%d" % number)
        await settled()

    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(start())
        loop.run_until_complete(asyncio.wait(tasks))
        assert seen == [0, 1, 2, 3, 4]
        assert [type(task.exception()) for task in tasks].count(KeyboardInterrupt) == 1
    finally:
        loop.close()


async def test_a_cancellation_brings_its_message(twin: Twin) -> None:
    stream = stream_of(twin)
    task = asyncio.create_task(anext(stream))
    await settled()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == ("enough",)


def test_one_loop_after_another(twin: Twin) -> None:
    stream = stream_of(twin)

    async def wait() -> Any:
        task = asyncio.create_task(anext(stream))
        await settled()
        push(stream, b"1")
        return await task

    for debug in (False, True, False):
        assert asyncio.run(wait(), debug=debug) == b"1"


async def test_who_asks_the_future_itself(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()
    future = step.__await__().send(None) if hasattr(step, "__await__") else step.send(None)
    told: list[Any] = []
    other: list[Any] = []
    future.add_done_callback(told.append)
    future.add_done_callback(other.append)
    future.add_done_callback(told.append)
    assert future.remove_done_callback(told.append) == 2
    assert future.remove_done_callback(told.append) == 0
    future.add_done_callback(told.append)
    with pytest.raises(asyncio.InvalidStateError):
        future.result()
    with pytest.raises(asyncio.InvalidStateError):
        future.exception()
    push(stream, b"1")
    assert (future.done(), future.cancelled(), future.result(), future.exception()) == (True, False, None, None)
    assert not future.cancel()
    future.add_done_callback(told.append)
    await settled()
    assert (told, other) == ([future] * 2, [future])
    assert asyncio.isfuture(future)
    step.close()
    assert await stream.recv() == b"1"


async def test_cancelling_the_future_itself(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()
    future = step.send(None)
    assert future.cancel("enough")
    assert future.cancelled()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        future.exception()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        step.send(None)
    push(stream, b"1")
    assert await stream.recv() == b"1"
