"""What `__anext__` gives: awaited, not awaited, awaited twice, thrown into, made a task of."""

from __future__ import annotations

import asyncio
import gc
from importlib import import_module
from typing import Any

import pytest

from .conftest import Twin
from .streams import (
    LONG,
    push,
    settled,
    stream_of,
)


async def test_a_step_that_is_never_awaited_takes_nothing(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    for source in (stream, stream.messages(), stream.batches()):
        step = source.__anext__()
        step.close()
        del step
    assert await anext(stream) == b"1"


async def test_a_step_is_awaited_once(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1", b"2")
    step = stream.__anext__()
    assert await step == b"1"
    with pytest.raises(RuntimeError, match="already awaited"):
        await step
    assert await anext(stream) == b"2"


async def test_a_step_awaited_twice_at_once_does_not_break_the_first(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()

    async def wait() -> Any:
        return await step

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await settled()
    assert second.done()
    with pytest.raises(RuntimeError):
        second.result()
    push(stream, b"1", b"2")
    assert await first == b"1"
    assert await anext(stream) == b"2"


async def test_a_step_as_a_task(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    assert await asyncio.create_task(anext(stream)) == b"1"
    task = asyncio.create_task(anext(stream))
    await settled()
    push(stream, b"2")
    assert await task == b"2"
    task = asyncio.ensure_future(anext(stream))
    await settled()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(asyncio.gather(anext(stream, None), push_soon(stream, b"3")), LONG) == [b"3", None]


async def push_soon(stream: Any, payload: bytes) -> None:
    await settled()
    push(stream, payload)


async def test_anext_with_a_default(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    assert await anext(stream, "over") == b"1"
    task = asyncio.gather(anext(stream, "over"))
    await settled()
    push(stream, b"2")
    assert await task == [b"2"]
    stream.end()
    assert await anext(stream, "over") == "over"


async def test_throwing_into_a_step(twin: Twin) -> None:
    stream = stream_of(twin)
    for error in (ZeroDivisionError("thrown"), asyncio.CancelledError(), GeneratorExit()):
        step = stream.__anext__()
        with pytest.raises(type(error)) as caught:
            step.throw(error)
        assert caught.value is error
        step = stream.__anext__()
        future = step.send(None)
        assert asyncio.isfuture(future)
        assert stream.ring.waiting
        with pytest.raises(type(error)):
            step.throw(error)
        assert not stream.ring.waiting
        with pytest.raises(RuntimeError):
            step.send(None)
    push(stream, b"1")
    assert await anext(stream) == b"1"


async def test_stepping_by_hand(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    with pytest.raises(StopIteration) as caught:
        stream.__anext__().send(None)
    assert caught.value.value == b"1"
    step = stream.__anext__()
    step.send(None)
    step.close()
    step.close()
    assert not stream.ring.waiting
    push(stream, b"2")
    assert await anext(stream) == b"2"


async def test_a_step_dropped_while_it_waits(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()
    step.send(None)
    del step
    gc.collect()
    assert not stream.ring.waiting
    push(stream, b"1")
    assert await anext(stream) == b"1"


# Misuse of the compiled classes, which must not read memory that is not theirs.


def test_compiled_objects_without_their_parts() -> None:
    stream_c = import_module("jetsocket.hot.stream_c")
    ring = import_module("jetsocket.hot.ring_c").MessageRing()
    with pytest.raises(TypeError):
        stream_c.MessageStream.__new__(stream_c.MessageStream)
    for arguments in ((None, bytes), (ring, None)):
        with pytest.raises(TypeError):
            stream_c.MessageStream(*arguments)
    stream = stream_c.MessageStream(ring, str)
    with pytest.raises(TypeError):
        stream.decode_payload(None)
    with pytest.raises(TypeError):
        stream_c.Message.__new__(stream_c.Message).decode()
    with pytest.raises(TypeError):
        stream_c.Message(None, False, 1, stream)
    kind = type(stream.__anext__())
    with pytest.raises(RuntimeError):
        kind.__new__(kind).send(None)
