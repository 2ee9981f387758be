"""References are counted around every way to take and to wait: see test_reference_counts.py."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from jetsocket.errors import DecodeError, TimeoutError

from .conftest import Twin
from .reference_cases import Calls, Odd


def driven(twin: Twin, decode: Any) -> tuple[Any, Any]:
    ring = twin.ring.MessageRing()
    return ring, twin.stream.MessageStream(ring, decode, "name")


async def one(stream: Any) -> None:
    await anext(stream)


async def message(stream: Any) -> None:
    taken = await anext(stream.messages())
    taken.decode()
    repr(taken)


async def batch(stream: Any) -> None:
    await anext(stream.batches(1))


async def received(stream: Any) -> None:
    await stream.recv()


async def received_batch(stream: Any) -> None:
    await stream.recv_batch(1)


async def dropped_step(stream: Any) -> None:
    stream.__anext__().close()
    await stream.recv()


WAYS = [one, message, batch, received, received_batch, dropped_step]


@pytest.mark.parametrize("decode", ["bytes", "str", "call", "raising"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_delivery(twin: Twin, way: Callable[[Any], Any], decode: str) -> None:
    payloads = [b"", b"x", bytes(bytearray(b"a payload")), bytes(bytearray(b"\xff")), bytes(10_000)]
    called = Calls(Odd("no") if decode == "raising" else object())
    ring, stream = driven(twin, {"bytes": bytes, "str": str}.get(decode, called))
    watched = {"payload": payloads[2], "decode": called, "answer": called.answer, "ring": ring, "stream": stream}

    async def turns(count: int) -> None:
        for number in range(count):
            ring.accept(payloads[number % 5], False, 1)
            with suppress(DecodeError):
                await way(stream)
            if decode == "raising":
                called.answer.__traceback__ = None

    await turns(5)
    await steady(watched, turns, 500 if twin.kind == "compiled" else 100)


async def steady(watched: dict[str, object], turns: Callable[[int], Any], count: int) -> None:
    """The counts are as before after a few turns, and after many."""
    gc.collect()
    before = {name: sys.getrefcount(thing) for name, thing in watched.items()}
    objects = len(gc.get_objects())
    for number in (5, count):
        await turns(number)
        gc.collect()
        assert {name: sys.getrefcount(thing) for name, thing in watched.items()} == before
    assert len(gc.get_objects()) - objects < count // 10 + 20


@pytest.mark.parametrize("how", ["cancelled", "answered", "ended", "closed", "let go"])
async def test_waiting(twin: Twin, how: str) -> None:
    payload, called, error = bytes(bytearray(b"a payload")), Calls(), ConnectionResetError("lost")
    ring, stream = driven(twin, called)
    watched = {"payload": payload, "decode": called, "error": error, "ring": ring, "stream": stream}

    async def turns(count: int) -> None:
        for number in range(count):
            future = waited(stream, ring, how, payload, error)
            error.__traceback__ = error.__context__ = None
            if number < 3:
                gc.collect()
                # The wait is over, and nothing knows of its future any more.
                assert future() is None

    await turns(5)
    await steady(watched, turns, 300)


async def test_waiting_in_vain(twin: Twin) -> None:
    ring, stream = driven(twin, bytes)

    async def turns(count: int) -> None:
        for number in range(count):
            with pytest.raises(TimeoutError):
                await stream.recv(timeout=number % 2 * 0.0001)

    await turns(5)
    await steady({"ring": ring, "stream": stream}, turns, 300)


def waited(stream: Any, ring: Any, how: str, payload: bytes, error: Exception) -> weakref.ref[Any]:
    """One wait for a message, driven by hand to where it waits, that comes to its end; its future."""
    step = (stream if how != "answered" else stream.messages()).__anext__()
    coroutine = step.__await__() if hasattr(step, "__await__") else step
    future = coroutine.send(None)
    gone = weakref.ref(future)
    if how == "cancelled":
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
    elif how == "closed":
        coroutine.close()
    elif how == "answered":
        ring.accept(payload, False, 1)
        ring.wake()
        assert future.done()
        with pytest.raises(StopIteration):
            coroutine.send(None)
    elif how == "ended":
        stream.end(error)
        with pytest.raises(ConnectionResetError):
            coroutine.send(None)
        stream.reopen()
    return gone


def test_what_was_taken_is_not_kept(twin: Twin) -> None:
    """Neither in the slot that it was in, nor in the step that gave it."""

    class Answer:
        pass

    ring, stream = driven(twin, lambda _: Answer())
    for _ in range(3):
        ring.accept(b"x", False, 1)
        step = stream.__anext__()
        try:
            (step.__await__() if hasattr(step, "__await__") else step).send(None)
        except StopIteration as stop:
            gone = weakref.ref(stop.value)
        del step
        gc.collect()
        assert gone() is None


async def test_what_was_delivered_is_not_kept(twin: Twin) -> None:
    class Answer:
        pass

    ring, stream = driven(twin, lambda _: Answer())
    for way in (
        stream.recv,
        stream.__anext__,
        stream.messages().__anext__,
        stream.batches().__anext__,
        stream.recv_batch,
    ):
        ring.accept(bytes(bytearray(b"a payload")), False, 1)
        taken = await way()
        thing = taken[0] if isinstance(taken, list) else taken.decode() if hasattr(taken, "decode") else taken
        gone = weakref.ref(thing)
        del taken, thing
        gc.collect()
        assert gone() is None
