"""MessageStream: one interface for tasks that wait, take, give up and end, the same from both twins and on both event
loops."""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket.errors import InvalidStateError

from .conftest import Twin
from .streams import (
    batch,
    one,
    push,
    raw_message,
    received,
    received_batch,
    settled,
    stream_of,
    ways,
)


@ways
async def test_what_is_queued_comes_at_once(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin, bytes, b"1")
    assert await way(stream) == b"1"
    push(stream, b"2")
    assert await way(stream) == b"2"
    assert len(stream.ring) == 0


@ways
async def test_waiting(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin)
    task = asyncio.create_task(way(stream))
    await settled()
    assert not task.done()
    assert stream.ring.waiting
    push(stream, b"1")
    assert await task == b"1"
    assert not stream.ring.waiting


def test_the_queue_of_a_stream_that_ended_goes_with_its_last_user(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    queue = weakref.ref(stream.ring)
    stream.end()
    gc.collect()
    gc.disable()
    try:
        del stream
        assert queue() is None
    finally:
        gc.enable()


async def test_a_stream_that_is_open_again_wakes_who_waits(twin: Twin) -> None:
    stream = stream_of(twin)
    stream.end()
    stream.reopen()
    task = asyncio.create_task(stream.recv())
    await settled()
    push(stream, b"1")
    assert await task == b"1"


async def test_iterating_in_every_way(twin: Twin) -> None:
    payloads = [b"%d" % i for i in range(10)]
    stream = stream_of(twin, int, *payloads)
    stream.end()
    assert [item async for item in stream] == list(range(10))
    push(stream, *payloads)
    found = [message async for message in stream.messages()]
    assert [(m.data, m.binary, m.received_ns, m.decode()) for m in found] == [
        (payload, False, i, i) for i, payload in enumerate(payloads)
    ]
    assert repr(found[0]) == "Message(text, 1 bytes, received_ns=0)"
    push(stream, *payloads)
    assert [items async for items in stream.batches()] == [list(range(10))]
    push(stream, *payloads)
    assert [items async for items in stream.batches(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    push(stream, *payloads)
    assert await stream.recv_batch(3) == [0, 1, 2]
    assert await stream.recv() == 3
    assert await stream.recv_batch() == [4, 5, 6, 7, 8, 9]
    assert stream.__aiter__() is stream


async def test_text_and_binary(twin: Twin) -> None:
    stream = stream_of(twin, str, "\u20ac\0".encode())
    assert await anext(stream) == "\u20ac\0"
    stream.ring.accept(b"\xe2\x82\xac", True, 5)
    message = await anext(stream.messages())
    assert (message.data, message.binary, message.received_ns, message.decode()) == (b"\xe2\x82\xac", True, 5, "\u20ac")
    assert repr(message) == "Message(binary, 3 bytes, received_ns=5)"
    assert stream.decode_payload(b"x") == "x"


async def test_attributes(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    stream = twin.stream.MessageStream(ring, bytes, "trades")
    assert (stream.ring, stream.name, stream.ended, stream.error) == (ring, "trades", False, None)


@pytest.mark.parametrize("bad", [0, -1])
async def test_batches_of_nothing(twin: Twin, bad: int) -> None:
    stream = stream_of(twin, bytes, b"1")
    with pytest.raises(ValueError, match=f"max_messages must be at least 1, got {bad}"):
        stream.batches(bad)
    with pytest.raises(ValueError, match=f"max_messages must be at least 1, got {bad}"):
        await stream.recv_batch(bad)
    assert len(stream.ring) == 1


# Ends.


@ways
async def test_the_end(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin, bytes, b"left")
    stream.end()
    assert stream.ended
    assert await way(stream) == b"left"
    for _ in range(2):
        if way in (received, received_batch):
            with pytest.raises(InvalidStateError) as caught:
                await way(stream)
            assert caught.value.current_state == "closed"
        else:
            with pytest.raises(StopAsyncIteration):
                await anext({one: stream, batch: stream.batches(), raw_message: stream.messages()}[way])


@ways
async def test_the_end_wakes_all_who_wait(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin)
    error = ConnectionResetError("lost")
    tasks = [asyncio.create_task(way(stream)) for _ in range(3)]
    await settled()
    stream.end(error)
    for task in tasks:
        with pytest.raises(ConnectionResetError) as caught:
            await task
        assert caught.value is error
    assert stream.error is error
    # The first end stands.
    stream.end(ValueError("later"))
    assert stream.error is error


async def test_the_end_with_an_error_comes_after_what_is_queued(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1", b"2")
    stream.end(ConnectionResetError("lost"))
    assert [await anext(stream), await anext(stream)] == [b"1", b"2"]
    with pytest.raises(ConnectionResetError):
        await anext(stream)


async def test_a_quiet_end(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    stream.end(ConnectionResetError("lost"), quiet=True)
    assert [item async for item in stream] == [b"1"]
    assert [item async for item in stream.messages()] == []
    assert [item async for item in stream.batches()] == []
    for call in (stream.recv, stream.recv_batch):
        with pytest.raises(ConnectionResetError):
            await call()


async def test_reopening(twin: Twin) -> None:
    stream = stream_of(twin)
    stream.end(ConnectionResetError("lost"))
    stream.reopen()
    assert (stream.ended, stream.error) == (False, None)
    task = asyncio.create_task(one(stream))
    await settled()
    push(stream, b"1")
    assert await task == b"1"


@ways
async def test_an_error_raised_often_does_not_grow(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin)
    try:
        raise ConnectionResetError("lost")
    except ConnectionResetError as error:
        stream.end(error)
    lengths = set()
    for _ in range(50):
        with pytest.raises(ConnectionResetError) as caught:
            await way(stream)
        lengths.add(len(list(traceback.walk_tb(caught.value.__traceback__))))
    assert len(lengths) == 1
