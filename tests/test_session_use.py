"""What using a connection says at odd moments, and which failures the back-off remembers."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from jetsocket import BackoffConfig, ConnectionState, InvalidStateError, WebSocket
from jetsocket import TimeoutError as ConnectTimeout
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, close_frame, multiplex, told


def test_a_context_for_tls_needs_an_address_with_tls() -> None:
    with pytest.raises(ValueError, match="wss://"):
        WebSocket("ws://127.0.0.1:1/", ssl_context=ssl.create_default_context())


async def test_the_last_attempt_tells_its_own_time_and_not_that_of_all(scripted: Serve) -> None:
    async def mute(conversation: Conversation) -> None:
        await conversation.ended()

    server = await scripted(mute)
    ws = WebSocket(server.uri, connect_timeout=0.05, backoff=BackoffConfig(max_attempts=1))
    with pytest.raises(ConnectTimeout) as caught:
        await ws.connect(timeout=30)
    assert (caught.value.timeout, caught.value.phase) == (0.05, "upgrade")
    assert server.accepted == 1


async def test_a_connection_that_lasted_makes_the_next_wait_short_again(exchange: Exchange) -> None:
    # Without that the second wait would take a minute.
    backoff = BackoffConfig(base=0.01, multiplier=10_000, cap=60, jitter=False, reset_after=0.001)
    async with WebSocket(exchange.uri, backoff=backoff) as ws:
        reconnected = told(ws, "reconnected")
        for _ in range(3):
            await asyncio.sleep(0.002)
            exchange.drop_all()
            await asyncio.wait_for(reconnected.get(), 10)
        assert ws.stats().reconnect_count == 3


async def test_between_the_servers_close_frame_and_the_end_nothing_can_be_sent(scripted: Serve) -> None:
    over = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.accept(then=close_frame(1000))
        await over.wait()

    server = await scripted(script)
    ws = WebSocket(server.uri, reconnect=False)
    await ws.connect()
    while ws.is_connected:  # noqa: ASYNC110  # no event tells it
        await asyncio.sleep(0)
    assert ws.state is ConnectionState.CONNECTED
    for use in (ws.send("late"), ws.ping()):
        with pytest.raises(InvalidStateError, match="the connection is just being closed"):
            await use
    over.set()
    await ws.close()


@pytest.mark.parametrize("waiting", [1, 3])
async def test_who_waits_for_a_connection_may_give_up(exchange: Exchange, waiting: int) -> None:
    async with multiplex(exchange.uri, backoff=BackoffConfig(base=60, jitter=False)) as mux:
        disconnected = told(mux, "disconnected")
        exchange.drop_all()
        await disconnected.get()
        subscribing = [asyncio.create_task(mux.subscribe(f"channel {number}")) for number in range(waiting)]
        await asyncio.sleep(0)
        subscribing[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing[0]
        await mux.close()
        for task in subscribing[1:]:
            with pytest.raises(InvalidStateError):
                await task
