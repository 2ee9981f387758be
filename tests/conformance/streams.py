"""Streams for tests, and every way to take one message out of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import Twin

LONG = 30.0  # a wait that is not meant to end by itself


def stream_of(twin: Twin, decode: Any = bytes, *payloads: bytes, **options: Any) -> Any:
    stream = twin.stream.MessageStream(twin.ring.MessageRing(), decode, **options)
    push(stream, *payloads)
    return stream


def push(stream: Any, *payloads: bytes) -> None:
    for number, payload in enumerate(payloads):
        stream.ring.accept(payload, False, number)
    stream.ring.wake()


async def settled() -> None:
    """Until every task that can go on has."""
    for _ in range(5):
        await asyncio.sleep(0)


async def one(stream: Any) -> Any:
    return await anext(stream)


async def batch(stream: Any) -> Any:
    return (await anext(stream.batches()))[0]


async def raw_message(stream: Any) -> Any:
    return (await anext(stream.messages())).decode()


async def received(stream: Any) -> Any:
    return await stream.recv()


async def received_batch(stream: Any) -> Any:
    return (await stream.recv_batch(1))[0]


WAYS = [one, batch, raw_message, received, received_batch]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
