"""Reading does not run ahead of consumers that wait for their turn, and does not wait for them for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from jetsocket import BufferConfig, WebSocket
from jetsocket.link import MOST_A_TURN

from .conftest import Serve
from .peers import BINARY, Conversation, frame

SIZE = 1000


def lasting(seconds: float) -> Callable[[bytes], bytes]:
    """A decoder that takes so long."""

    def decode(payload: bytes) -> bytes:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        return payload

    return decode


async def flooded(scripted: Serve, count: int, decode: Callable[[bytes], bytes]) -> WebSocket[bytes]:
    """A connection on which so many messages come as fast as they can."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(frame(BINARY, bytes(SIZE)) * count)
        await peer.answer_close()

    return WebSocket((await scripted(script)).uri, buffer=BufferConfig(0), deserializer=decode, compress=False)


async def test_reading_does_not_run_ahead_of_those_that_wait_for_their_turn(scripted: Serve) -> None:
    count, taken, longest = 6000, 0, 0
    # What is read at a time is consumed in some five turns of the loop.
    ws = await flooded(scripted, count, lasting(0.00002))
    async with ws:
        async for _ in ws:
            taken += 1
            if taken % 64 == 0:
                longest = max(longest, ws.stats().messages_received - taken)
            if taken == count:
                break
    assert longest < 3 * MOST_A_TURN / SIZE


async def test_reading_goes_on_though_somebody_always_has_more(scripted: Serve) -> None:
    count, taken = 3000, 0
    ws = await flooded(scripted, count, lasting(0.003))

    async def consume() -> None:
        nonlocal taken
        async for _ in ws:
            taken += 1

    async with ws:
        task: asyncio.Task[Any] = asyncio.create_task(consume())
        while ws.stats().messages_received < count:  # noqa: ASYNC110  # no one tells
            await asyncio.sleep(0)
        assert taken < count / 2
        task.cancel()
        await asyncio.wait([task])
