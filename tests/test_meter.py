"""What the statistics of a connection add up to, over all the connections that there were."""

from __future__ import annotations

import time

from jetsocket import ConnectionState, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, PING, PONG, Conversation, close_frame, frame, text, told


async def test_before_the_first_connection_there_is_nothing(exchange: Exchange) -> None:
    stats = WebSocket(exchange.uri).stats()
    assert stats.state is ConnectionState.IDLE
    assert (stats.uptime_seconds, stats.connection_age_seconds) == (0.0, 0.0)
    assert (stats.messages_sent, stats.messages_received, stats.bytes_sent, stats.bytes_received) == (0, 0, 0, 0)
    assert (stats.latency_ms, stats.latency_avg_ms, stats.last_message_at, stats.last_reconnect_at) == (None,) * 4


async def test_connections_that_are_gone_still_count(exchange: Exchange) -> None:
    before = time.time()
    async with WebSocket(exchange.uri, backoff=AT_ONCE) as ws:
        reconnected = told(ws, "reconnected")
        for count in (1, 2):
            await ws.send_raw("hello", binary=False)
            await ws.recv(5)
            await ws.ping(5)
            stats = ws.stats()
            assert (stats.messages_sent, stats.messages_received) == (count, count)
            exchange.drop_all()
            await reconnected.get()
        again = ws.stats()
        assert (again.messages_sent, again.messages_received) == (2, 2)
        assert again.bytes_sent >= stats.bytes_sent > 2 * len("hello")
        assert again.bytes_received >= stats.bytes_received > 0
        assert (again.reconnect_count, again.errors) == (2, 2)
        # The round trips were on connections that are gone.
        assert again.latency_ms == stats.latency_ms
        assert again.latency_avg_ms == stats.latency_avg_ms
        assert again.last_reconnect_at is not None
        assert stats.last_message_at is not None
        assert before <= stats.last_message_at <= again.last_reconnect_at <= time.time()
        assert again.connection_age_seconds < again.uptime_seconds


async def test_the_mean_of_the_round_trips(scripted: Serve) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept()
        for _ in range(3):
            ping = await conversation.read_frame()
            assert ping.opcode == PING
            await conversation.send(frame(PONG, ping.payload))
        await conversation.answer_close()

    server = await scripted(script)
    async with WebSocket(server.uri) as ws:
        trips = [await ws.ping(5) for _ in range(3)]
        stats = ws.stats()
        assert stats.latency_ms == trips[-1] * 1000
        assert stats.latency_avg_ms is not None
        assert abs(stats.latency_avg_ms - sum(trips) / 3 * 1000) < 1e-9


async def test_the_clock_stops_when_there_will_be_no_connection_any_more(scripted: Serve) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept(then=text("one") + close_frame(1000))
        await conversation.ended()

    server = await scripted(script)
    ws = WebSocket(server.uri, reconnect=False, deserializer=str)
    failed = told(ws, "failed")
    await ws.connect()
    assert [message async for message in ws] == ["one"]
    await failed.get()
    stopped = ws.stats().uptime_seconds
    assert stopped > 0
    await ws.close()
    assert ws.stats().uptime_seconds == stopped
