from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionState, HeartbeatConfig
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, PING, PONG, TEXT, Conversation, frame, multiplex, text, told

BTC = "btcusdt@trade"


async def test_pings_go_out_and_pongs_keep_the_connection(scripted: Serve) -> None:
    payloads: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        while (received := await peer.read_frame()).opcode == PING:
            payloads.put_nowait(received.payload)
            await peer.send(frame(PONG, received.payload))
        await peer.send(frame(received.opcode, received.payload))

    server = await scripted(script)
    async with jetsocket.connect(server.uri, heartbeat=0.05) as ws:
        seen = [await payloads.get() for _ in range(4)]
        assert len(set(seen)) == 4
        assert ws.stats().latency_ms is not None
        assert ws.is_connected
    assert server.accepted == 1


async def test_a_dead_server_is_found_in_time_and_reconnected(exchange: Exchange) -> None:
    heartbeat = HeartbeatConfig(interval=0.1, timeout=0.15)
    async with jetsocket.connect(exchange.uri, heartbeat=heartbeat, backoff=AT_ONCE, close_timeout=0.1) as ws:
        disconnected = told(ws, "disconnected")
        began = time.monotonic()
        exchange.stall()
        error = await disconnected.get()
        assert 0.2 < time.monotonic() - began < 1.5
        assert isinstance(error, jetsocket.ConnectionError)
        assert "no pong in 0." in str(error)
        exchange.resume()


async def test_data_is_a_sign_of_life(scripted: Serve) -> None:
    """A server that never answers pings, but sends, is alive."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        pings = 0
        while pings < 6:
            received = await peer.read_frame()
            assert received.opcode == PING
            pings += 1
            await peer.send(text(str(pings)))
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, heartbeat=HeartbeatConfig(interval=0.05, timeout=0.05)) as ws:
        assert [await ws.recv() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert server.accepted == 1


async def test_a_server_that_answers_late_but_in_time_stays(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        first = await peer.read_frame()
        second = await peer.read_frame()
        assert (first.opcode, second.opcode) == (PING, PING)
        await peer.send(frame(PONG, first.payload) + frame(PONG, second.payload) + text("1"))
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, heartbeat=HeartbeatConfig(interval=0.1, timeout=5)) as ws:
        assert await ws.recv() == 1
        assert server.accepted == 1


async def test_a_slow_consumer_is_no_dead_server(exchange: Exchange) -> None:
    """While the queue is full nothing is read, not even the pong."""
    async with jetsocket.connect(exchange.uri, heartbeat=0.05, buffer=10, backoff=AT_ONCE) as ws:
        disconnected = told(ws, "disconnected")
        for number in range(5000):
            exchange.send_text(str(number))
        loop = asyncio.get_running_loop()
        enough = loop.create_future()
        loop.call_later(0.4, enough.set_result, None)
        await enough
        assert disconnected.empty()
        assert [await ws.recv() for _ in range(5000)] == list(range(5000))
        await ws.ping()
        assert exchange.account().accepted == 1


async def test_a_loop_that_was_held_up_is_no_dead_server(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, heartbeat=HeartbeatConfig(interval=0.05, timeout=0.05)) as ws:
        disconnected = told(ws, "disconnected")
        for _ in range(3):
            await ws.ping()
            time.sleep(0.2)  # noqa: ASYNC251  # what is tested
        await ws.ping()
        await ws.ping()
        assert disconnected.empty()


async def test_an_application_ping_as_the_venue_wants_it(scripted: Serve) -> None:
    pings: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        count = 0
        while (received := await peer.read_frame()).opcode == TEXT:
            pings.put_nowait(received.payload)
            count += 1
            await peer.send(text("pong") + text(str(count)))
        await peer.send(frame(received.opcode, received.payload))

    server = await scripted(script)
    heartbeat = HeartbeatConfig(
        interval=0.05,
        payload="ping",
        use_ws_ping=False,
        use_application_ping=True,
        pong_matcher=lambda raw: raw == b"pong",
    )
    async with jetsocket.connect(server.uri, heartbeat=heartbeat, deserializer=str) as ws:
        assert [await ws.recv() for _ in range(3)] == ["1", "2", "3"]
        assert pings.get_nowait() == b"ping"
        stats = ws.stats()
        assert stats.latency_ms is not None
        assert stats.messages_sent >= 3
        assert stats.messages_received >= 3


@pytest.mark.parametrize("slow", [False, True], ids=["channel_key", "channel_extractor"])
async def test_a_multiplex_looks_for_application_pongs_where_no_channel_is(scripted: Serve, slow: bool) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        while (received := await peer.read_frame()).opcode == TEXT:
            if b"ping" in received.payload:
                await peer.send(text('{"op":"pong"}') + text('{"stream":"a"}') + text('{"other":1}'))
        await peer.send(frame(received.opcode, received.payload))

    server = await scripted(script)
    heartbeat = HeartbeatConfig(
        interval=0.05,
        payload='{"op":"ping"}',
        use_ws_ping=False,
        use_application_ping=True,
        pong_matcher=lambda raw: b"pong" in raw,
    )
    way: dict[str, Any] = {"channel_extractor": lambda message: message.get("stream")} if slow else {}
    async with multiplex(server.uri, heartbeat=heartbeat, subscribe_msg=None, unsubscribe_msg=None, **way) as mux:
        a = await mux.subscribe("a")
        for _ in range(3):
            assert await a.recv() == {"stream": "a"}
        await mux.unsubscribe("a")
        assert mux.latency_ms is not None
        stats = mux.stats()
        assert stats.unroutable_messages >= 3


async def test_a_pong_matcher_that_raises_hurts_nobody(scripted: Serve) -> None:
    def matcher(raw: bytes) -> bool:
        raise LookupError("odd message")

    async def script(peer: Conversation) -> None:
        await peer.accept()
        while (received := await peer.read_frame()).opcode == TEXT:
            await peer.send(text('{"stream":"a"}') + text("1"))
        await peer.send(frame(received.opcode, received.payload))

    server = await scripted(script)
    heartbeat = HeartbeatConfig(
        interval=0.05, payload="{}", use_ws_ping=False, use_application_ping=True, pong_matcher=matcher
    )
    async with jetsocket.connect(server.uri, heartbeat=heartbeat) as ws:
        errors = told(ws, "error")
        assert [await ws.recv() for _ in range(4)] == [{"stream": "a"}, 1, {"stream": "a"}, 1]
        assert isinstance(await errors.get(), LookupError)
        assert errors.empty()
    async with multiplex(server.uri, heartbeat=heartbeat, subscribe_msg=None) as mux:
        errors = told(mux, "error")
        a = await mux.subscribe("a")
        assert isinstance(await errors.get(), LookupError)
        assert await a.recv() == {"stream": "a"}
        assert mux.state is ConnectionState.CONNECTED
        assert errors.empty()


async def test_a_heartbeat_goes_on_after_a_reconnect(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, heartbeat=0.05) as mux:
        await mux.subscribe(BTC)
        reconnected = told(mux, "reconnected")
        exchange.drop_all()
        await reconnected.get()
        pings = exchange.account().pings
        requests = exchange.account().requests
        while exchange.account().pings < pings + 3:
            await mux.send({"method": "LIST_SUBSCRIPTIONS", "id": 3})
            requests += 1
            await exchange.wait_requests(requests)
        assert mux.is_connected
