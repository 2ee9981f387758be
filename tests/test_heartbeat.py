from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionState, HeartbeatConfig
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, PING, PONG, TEXT, Conversation, frame, multiplex, text, told, turns

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


@pytest.mark.parametrize("kind", [LookupError, asyncio.CancelledError])
async def test_a_pong_matcher_that_raises_hurts_nobody(scripted: Serve, kind: type[BaseException]) -> None:
    def matcher(raw: bytes) -> bool:
        raise kind("odd message")

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
        assert isinstance(await errors.get(), kind)
        assert errors.empty()
    async with multiplex(server.uri, heartbeat=heartbeat, subscribe_msg=None) as mux:
        errors = told(mux, "error")
        a = await mux.subscribe("a")
        assert isinstance(await errors.get(), kind)
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


# Pings that somebody waits for.


async def test_a_ping_measures_the_latency(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        assert ws.stats().latency_ms is None
        seconds = await ws.ping()
        assert 0 < seconds < 5
        assert ws.latency_ms == seconds * 1000
        trips = await asyncio.gather(*(ws.ping() for _ in range(10)))
        stats = ws.stats()
        assert stats.latency_ms == ws.latency_ms
        assert stats.latency_avg_ms == pytest.approx((seconds + sum(trips)) / 11 * 1000)
        assert exchange.account().pings == 11


async def test_a_ping_without_a_pong_times_out(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, close_timeout=0.1) as ws:
        exchange.stall()
        with pytest.raises(jetsocket.TimeoutError) as caught:
            await ws.ping(timeout=0.05)
        assert (caught.value.operation, caught.value.timeout) == ("ping", 0.05)
        exchange.resume()
        assert await ws.ping(timeout=10) > 0


async def test_a_ping_ends_with_the_connection(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE, close_timeout=0.1) as ws:
        exchange.stall()
        ping = asyncio.create_task(ws.ping())
        await asyncio.sleep(0)
        exchange.drop_all()
        with pytest.raises(jetsocket.ConnectionError):
            await ping
        exchange.resume()


async def test_a_ping_that_was_given_up_is_forgotten(exchange: Exchange) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE, close_timeout=0.1) as ws:
        disconnected = told(ws, "disconnected")
        exchange.stall()
        for _ in range(10):
            ping = asyncio.create_task(ws.ping())
            await turns(1)
            ping.cancel()
        await turns(3)
        exchange.drop_all()
        await disconnected.get()
        exchange.resume()
    del ping
    gc.collect()
    assert complaints == []
