"""MessageStream and decoders that fail, answer oddly, or meddle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket.errors import DecodeError

from .conftest import Twin
from .streams import (
    WAYS,
    push,
    settled,
    stream_of,
    ways,
)


class Fussy(Exception):
    """What a user's decoder may raise."""


def fussy(payload: bytes) -> Any:
    if payload.startswith(b"bad"):
        raise Fussy("no " + payload.decode())
    return payload.decode()


async def test_one_message_that_cannot_be_decoded(twin: Twin) -> None:
    stream = stream_of(twin, fussy, b"1", b"bad", b"2", b"bad 2", b"3", name="trades")
    stream.end()
    seen: list[Any] = []
    while True:
        try:
            seen.append(await anext(stream))
        except DecodeError as error:
            seen.append((error.raw, error.channel, str(error), type(error.__cause__)))
        except StopAsyncIteration:
            break
    assert seen == [
        "1",
        (b"bad", "trades", "cannot decode a message of 'trades' (3 bytes): no bad", Fussy),
        "2",
        (b"bad 2", "trades", "cannot decode a message of 'trades' (5 bytes): no bad 2", Fussy),
        "3",
    ]


async def test_text_that_cannot_be_decoded(twin: Twin) -> None:
    stream = stream_of(twin, str, b"\xff", b"x")
    with pytest.raises(DecodeError) as caught:
        await anext(stream)
    assert (caught.value.raw, caught.value.channel) == (b"\xff", None)
    assert await anext(stream) == "x"


@pytest.mark.parametrize("fetch", ["recv_batch", "batches"])
async def test_a_bad_message_ends_a_batch_before_it(twin: Twin, fetch: str) -> None:
    stream = stream_of(twin, fussy, b"1", b"2", b"bad", b"3", b"bad", b"bad", b"4")

    async def step() -> Any:
        try:
            return await (stream.recv_batch() if fetch == "recv_batch" else anext(stream.batches()))
        except DecodeError as error:
            return error.raw

    assert [await step() for _ in range(6)] == [["1", "2"], b"bad", ["3"], b"bad", b"bad", ["4"]]
    assert stream.ring.delivered == 7


@ways
async def test_a_deferred_error_is_raised_once_by_whatever_comes_next(twin: Twin, way: Callable[[Any], Any]) -> None:
    stream = stream_of(twin, fussy, b"1", b"bad")
    assert await stream.recv_batch() == ["1"]
    stream.end()
    with pytest.raises(DecodeError):
        await way(stream)
    assert [item async for item in stream] == []


async def test_messages_need_no_decoding(twin: Twin) -> None:
    stream = stream_of(twin, fussy, b"bad")
    message = await anext(stream.messages())
    assert message.data == b"bad"
    for _ in range(2):
        with pytest.raises(DecodeError):
            message.decode()


ODD_VALUES = [
    None,
    (),
    (1, 2),
    ValueError("a value"),
    StopIteration(5),
    StopAsyncIteration(),
    [],
    False,
    0,
    NotImplemented,
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
@pytest.mark.parametrize("waiting", [False, True])
async def test_decoders_that_give_odd_values(twin: Twin, value: Any, waiting: bool) -> None:
    for way in WAYS:
        stream = stream_of(twin, lambda payload: value)  # noqa: ARG005
        if not waiting:
            push(stream, b"x")
        task = asyncio.create_task(way(stream))
        if waiting:
            await settled()
            push(stream, b"x")
        await asyncio.wait([task])
        if isinstance(value, StopIteration | StopAsyncIteration):
            # Such a thing comes out of a coroutine as it is, given and not raised.
            assert task.exception() is None
        assert task.result() is value


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit, asyncio.CancelledError, KeyError])
async def test_decoders_that_raise_odd_things(twin: Twin, kind: type[BaseException]) -> None:
    def decode(payload: bytes) -> Any:
        raise kind("odd")

    for way in WAYS:
        stream = stream_of(twin, decode, b"x", b"y")
        if issubclass(kind, Exception):
            with pytest.raises(DecodeError) as caught:
                await way(stream)
            assert isinstance(caught.value.__cause__, kind)
        elif kind is not GeneratorExit:
            with pytest.raises(kind):
                await way(stream)
        assert len(stream.ring) == (2 if kind is GeneratorExit else 1)


async def test_a_decoder_that_takes_from_the_ring_itself(twin: Twin) -> None:
    stream: Any = None

    def decode(payload: bytes) -> list[bytes]:
        return [payload] + [stream.ring.take()[0] for _ in range(min(1, len(stream.ring)))]

    stream = stream_of(twin, decode, b"1", b"2", b"3", b"4", b"5")
    assert await stream.recv_batch() == [[b"1", b"2"], [b"3", b"4"], [b"5"]]
