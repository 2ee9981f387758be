"""Attempts to connect: how many, how long apart, and which of their failures are final."""

from __future__ import annotations

import asyncio
import time

import pytest

import jetsocket
from jetsocket import BackoffConfig, ConnectionState, HandshakeError, WebSocket
from jetsocket import TimeoutError as ConnectTimeout
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, Conversation, told

# The first connection.


async def test_a_refused_upgrade_is_raised_and_may_be_tried_again(exchange: Exchange) -> None:
    exchange.refuse_handshakes(503, times=1)
    ws = WebSocket(exchange.uri)
    with pytest.raises(HandshakeError) as caught:
        await ws.connect()
    assert caught.value.status_code == 503
    assert ws.state is ConnectionState.DISCONNECTED
    await ws.connect()
    await ws.close()


async def test_connect_with_a_timeout_tries_again(exchange: Exchange) -> None:
    exchange.refuse_handshakes(503, times=3)
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    errors = told(ws, "error")
    await ws.connect(timeout=30)
    assert errors.qsize() == 3
    assert ws.stats().errors == 3
    await ws.close()


async def test_connect_with_a_timeout_gives_up_in_time(exchange: Exchange) -> None:
    exchange.refuse_handshakes(503)
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    with pytest.raises(jetsocket.TimeoutError, match=r"not connected within 0\.2 s; the last attempt: .* answered 503"):
        await ws.connect(timeout=0.2)
    assert ws.state is ConnectionState.DISCONNECTED
    exchange.accept_handshakes()
    await ws.connect()
    await ws.close()


# Those that follow.


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refusal_that_is_final(exchange: Exchange, status: int) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        exchange.refuse_handshakes(status, {}, '{"code":-2015}')
        exchange.drop_all()
        with pytest.raises(HandshakeError, match=r"-2015.*not retried") as caught:
            await ws.recv()
        assert caught.value.status_code == status
        assert ws.state is ConnectionState.FAILED
        assert exchange.account().refused == 1


async def test_a_refusal_that_may_pass(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        errors, attempts, reconnected = told(ws, "error"), told(ws, "reconnecting"), told(ws, "reconnected")
        exchange.refuse_handshakes(503, times=4)
        exchange.drop_all()
        await reconnected.get()
        assert [attempts.get_nowait() for _ in range(5)] == [1, 2, 3, 4, 5]
        assert errors.qsize() == 4
        stats = ws.stats()
        assert (stats.reconnect_count, stats.errors) == (1, 5)
        assert stats.last_reconnect_at == pytest.approx(time.time(), abs=5)


async def test_max_attempts(exchange: Exchange) -> None:
    backoff = BackoffConfig(base=0.0, jitter=False, max_attempts=3)
    async with jetsocket.connect(exchange.uri, backoff=backoff) as ws:
        exchange.refuse_handshakes(503)
        exchange.drop_all()
        with pytest.raises(HandshakeError, match=r"503.*attempt 3, the last") as caught:
            await ws.recv()
        assert (caught.value.attempt, caught.value.retry_in) == (3, None)
        assert ws.state is ConnectionState.DISCONNECTED
        exchange.accept_handshakes()
        await ws.connect()
        exchange.send_text("1")
        assert await ws.recv() == 1


async def test_the_back_off_grows(exchange: Exchange) -> None:
    backoff = BackoffConfig(base=0.01, multiplier=2.0, cap=0.05, jitter=False)
    async with jetsocket.connect(exchange.uri, backoff=backoff) as ws:
        errors, reconnected = told(ws, "error"), told(ws, "reconnected")
        exchange.refuse_handshakes(503, times=4)
        exchange.drop_all()
        await reconnected.get()
        assert [errors.get_nowait().retry_in for _ in range(4)] == [0.02, 0.04, 0.05, 0.05]


async def test_retry_after_is_waited_for(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        errors = told(ws, "error")
        exchange.refuse_handshakes(429, {"Retry-After": "7"})
        exchange.drop_all()
        error = await errors.get()
        assert (error.status_code, error.retry_after, error.retry_in) == (429, 7.0, 7.0)
        await asyncio.sleep(0)
        assert ws.state is ConnectionState.BACKING_OFF


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
