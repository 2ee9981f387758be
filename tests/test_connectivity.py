"""What using a connection says at odd moments, and what becomes of those who wait for one."""

from __future__ import annotations

import asyncio

import pytest

import jetsocket
from jetsocket import BackoffConfig, ConnectionState, HandshakeError, InvalidStateError, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, close_frame, multiplex, told, turns


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


async def test_nobody_waits_for_a_connection_that_was_refused(exchange: Exchange) -> None:
    exchange.refuse_handshakes(503, times=1)
    ws = WebSocket(exchange.uri)
    connecting = asyncio.create_task(ws.connect())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(ws.recv())
    with pytest.raises(HandshakeError):
        await connecting
    with pytest.raises(HandshakeError):
        await waiting
    with pytest.raises(HandshakeError):
        await ws.recv()
    await ws.connect()
    exchange.send_text("1")
    assert await ws.recv() == 1
    await ws.close()


async def test_nobody_waits_for_a_connection_that_was_given_up(exchange: Exchange) -> None:
    ws = WebSocket(exchange.uri)
    connecting = asyncio.create_task(ws.connect())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(ws.recv())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(jetsocket.ConnectionError, match="given up by its user"):
        await waiting
    await ws.close()


async def test_nobody_waits_for_a_connection_whose_task_was_cancelled(exchange: Exchange) -> None:
    ws = WebSocket(exchange.uri)
    await ws.connect()
    # A task that is cancelled before it has begun never runs at all.
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task.get_name().startswith("jetsocket "):
            task.cancel()
    with pytest.raises(jetsocket.ConnectionError, match="given up by its user"):
        await ws.recv()
    assert ws.state is ConnectionState.DISCONNECTED
    await ws.connect()
    exchange.send_text("1")
    assert await ws.recv() == 1
    await ws.close()


async def test_who_waits_to_send_when_the_close_begins_has_sent_nothing(exchange: Exchange) -> None:
    async with WebSocket(exchange.uri, compress=False) as ws:
        exchange.stall()
        first = asyncio.create_task(ws.send("x" * 9_000_000))
        await turns(20)
        second = asyncio.create_task(ws.send("late"))
        await turns(5)
        closing = asyncio.create_task(ws.close())
        await turns(5)
        exchange.resume()
        with pytest.raises(InvalidStateError, match="cannot send"):
            await second
        await asyncio.wait([first, closing])
    assert "late" not in [request.text for request in exchange.requests]
