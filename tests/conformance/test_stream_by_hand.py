"""Awaiting driven as an event loop does it, step by step; and a message made by hand."""

from __future__ import annotations

import pytest

from .conftest import Twin
from .streams import push, stream_of


def test_what_is_there_comes_without_waiting(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1", b"2")
    with pytest.raises(StopIteration) as stopped:
        stream.__anext__().send(None)
    assert stopped.value.value == b"1"
    awaiting = stream.__anext__().__await__()
    assert iter(awaiting) is awaiting
    with pytest.raises(StopIteration) as stopped:
        next(awaiting)
    assert stopped.value.value == b"2"


async def test_a_wait_gives_the_future_that_it_waits_for(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()
    future = step.send(None)
    assert not future.done()
    push(stream, b"1")
    assert future.done()
    with pytest.raises(StopIteration) as stopped:
        step.send(None)
    assert stopped.value.value == b"1"


async def test_what_is_thrown_into_a_wait_ends_it(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()
    step.send(None)
    with pytest.raises(ZeroDivisionError):
        step.throw(ZeroDivisionError())
    with pytest.raises(RuntimeError, match="already awaited"):
        step.send(None)
    push(stream, b"1")
    assert await anext(stream) == b"1"


def test_nobody_waits_outside_of_an_event_loop(twin: Twin) -> None:
    stream = stream_of(twin)
    step = stream.__anext__()
    with pytest.raises(RuntimeError, match="no running event loop"):
        step.send(None)
    with pytest.raises(RuntimeError, match="already awaited"):
        step.send(None)


def test_a_message_made_by_hand(twin: Twin) -> None:
    message = twin.stream.Message(b"\xc3\xa9", True, 7, stream_of(twin, str))
    assert (message.data, message.binary, message.received_ns) == (b"\xc3\xa9", True, 7)
    assert message.decode() == "é"
