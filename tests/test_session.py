"""The tasks behind a connection, cancelled by somebody who cancels every task that there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionState, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, multiplex, told

BTC = "btcusdt@trade"


def others() -> set[asyncio.Task[Any]]:
    """The library's tasks, by their names."""
    return {task for task in asyncio.all_tasks() if task.get_name().startswith("jetsocket")}


@pytest.mark.parametrize("turns", range(3))
async def test_a_life_that_is_cancelled_ends_the_connection(exchange: Exchange, turns: int) -> None:
    """Also before it has taken its first step, where none of its own code runs."""
    ws = WebSocket(exchange.uri)
    await ws.connect()
    for _ in range(turns):
        await asyncio.sleep(0)
    receiving = asyncio.create_task(ws.recv(5))
    for task in others():
        task.cancel()
    with pytest.raises(jetsocket.ConnectionError, match="given up by its user"):
        await receiving
    assert ws.state is ConnectionState.DISCONNECTED
    await exchange.wait_disconnected()
    # It can be begun again.
    await ws.connect()
    assert await ws.ping() > 0
    await ws.close()


@pytest.mark.parametrize("turns", range(4))
async def test_a_close_that_is_cancelled_is_a_close(scripted: Serve, turns: int) -> None:
    """The closing handshake is not finished then, but nothing waits for it any more."""

    async def mute(peer: Conversation) -> None:
        await peer.accept()
        await peer.ended()

    server = await scripted(mute)
    mux = multiplex(server.uri, close_timeout=30)
    await mux.connect()
    closed = told(mux, "closed")
    subscription = await mux.subscribe(BTC)
    closing = asyncio.create_task(mux.close())
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in others():
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    async with asyncio.timeout(5):
        await closed.get()
        assert mux.state is ConnectionState.CLOSED
        assert [message async for message in subscription] == []
        await mux.close()
    assert closed.empty()
