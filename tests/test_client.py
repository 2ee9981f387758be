"""What a WebSocket and a Multiplex have in common: an address, a state, events, a life."""

from __future__ import annotations

import pydoc
import re
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionState, InvalidStateError, Multiplex, WebSocket
from jetsocket.testing import Exchange

from .peers import multiplex, told

EITHER = pytest.mark.parametrize("make", [WebSocket, multiplex], ids=["WebSocket", "Multiplex"])


@EITHER
def test_the_address_is_told_without_user_information(make: Any) -> None:
    client = make("ws://user:secret@127.0.0.1:1/stream?x=1")
    assert client.uri == "ws://127.0.0.1:1/stream?x=1"
    assert "secret" not in repr(client)


@EITHER
async def test_the_states_from_idle_to_closed(exchange: Exchange, make: Any) -> None:
    client, name = make(exchange.uri), "WebSocket" if make is WebSocket else "Multiplex"
    assert (client.state, client.is_connected) == (ConnectionState.IDLE, False)
    assert repr(client).startswith(f"{name}(uri='{exchange.uri}', state=idle")
    await client.connect()
    assert (client.state, client.is_connected) == (ConnectionState.CONNECTED, True)
    with pytest.raises(InvalidStateError):
        await client.connect()
    await client.close()
    assert (client.state, client.is_connected) == (ConnectionState.CLOSED, False)
    await client.close()
    with pytest.raises(InvalidStateError):
        await client.connect()


@EITHER
async def test_whatever_happens_inside_the_connection_is_closed_at_the_end(exchange: Exchange, make: Any) -> None:
    client = make(exchange.uri)
    closed = told(client, "closed")
    with pytest.raises(LookupError, match="of the user's"):
        async with client as entered:
            assert entered is client
            assert client.is_connected
            raise LookupError("of the user's")
    assert closed.qsize() == 1
    assert client.state is ConnectionState.CLOSED
    await exchange.wait_disconnected()


@EITHER
async def test_a_round_trip_is_told_in_seconds_and_kept_in_milliseconds(exchange: Exchange, make: Any) -> None:
    async with make(exchange.uri) as client:
        assert client.latency_ms is None
        seconds = await client.ping(timeout=10)
        assert 0 < seconds < 10
        assert client.latency_ms == seconds * 1000
    assert client.latency_ms == seconds * 1000


@EITHER
async def test_what_was_lost_for_good_can_be_connected_again(exchange: Exchange, make: Any) -> None:
    async with make(exchange.uri, reconnect=False) as client:
        failed, connected = told(client, "failed"), told(client, "connected")
        exchange.drop_all()
        assert isinstance(await failed.get(), jetsocket.ConnectionError)
        assert client.state is ConnectionState.DISCONNECTED
        await client.connect()
        assert connected.qsize() == 1
        assert await client.ping(timeout=10) > 0


@EITHER
async def test_an_event_s_handler_may_be_decorated(exchange: Exchange, make: Any) -> None:
    client, happened = make(exchange.uri), []

    @client.on("connected")
    def note() -> None:
        happened.append(client.is_connected)

    async with client:
        assert happened == [True]


@pytest.mark.parametrize("client", [WebSocket, Multiplex])
def test_help_tells_what_both_have(client: type) -> None:
    told_of = pydoc.plain(pydoc.render_doc(client))
    for member in ("uri", "is_connected", "state", "latency_ms", "on", "connect", "close", "ping", "stats"):
        assert re.search(rf"^ \|  (async )?{member}\b", told_of, re.MULTILINE), member
