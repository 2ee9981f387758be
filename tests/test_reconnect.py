from __future__ import annotations

import asyncio
import logging
import time

import pytest

import jetsocket
from jetsocket import BackoffConfig, CloseError, ConnectionState, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, Conversation, close_frame, multiplex, text, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


# A plain connection.


@pytest.mark.parametrize("reset", [True, False])
async def test_iteration_goes_on_after_a_loss(exchange: Exchange, reset: bool) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        disconnected = told(ws, "disconnected")
        states = []
        ws.on("disconnected", lambda _: states.append(ws.state))
        got = []
        exchange.send_text("1")
        async for message in ws:
            got.append(message)
            if len(got) == 3:
                break
            exchange.drop_all(reset=reset)
            await exchange.wait_connected()
            exchange.send_text(str(message + 1))
        assert got == [1, 2, 3]
        assert states == [ConnectionState.BACKING_OFF] * 2
        assert disconnected.qsize() == 2
        error = disconnected.get_nowait()
        assert error.phase == "open"
        assert ("reset" if reset else "ended the stream without a close frame") in str(error)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 4000])
async def test_a_close_by_the_server_is_a_loss_too(exchange: Exchange, code: int) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        disconnected, reconnected = told(ws, "disconnected"), told(ws, "reconnected")
        exchange.close_all(code, "see you")
        error = await disconnected.get()
        assert (error.code, error.reason, error.by) == (code, "see you", "server")
        await reconnected.get()
        assert ws.is_connected


@pytest.mark.parametrize("code", [1008, 4401, 4403])
async def test_a_close_that_is_final(exchange: Exchange, code: int) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        failed = told(ws, "failed")
        exchange.close_all(code, "bad token")
        with pytest.raises(CloseError) as caught:
            await ws.recv()
        assert caught.value.code == code
        assert await failed.get() is caught.value
        assert ws.state is ConnectionState.FAILED
        assert exchange.account().accepted == 1


async def test_closing_while_backing_off_is_immediate(exchange: Exchange) -> None:
    ws = WebSocket(exchange.uri, backoff=BackoffConfig(base=60, jitter=False))
    await ws.connect()
    disconnected = told(ws, "disconnected")
    receiving = asyncio.create_task(ws.recv())
    exchange.drop_all()
    await disconnected.get()
    began = time.monotonic()
    await ws.close()
    assert time.monotonic() - began < 1
    with pytest.raises(jetsocket.InvalidStateError):
        await receiving


async def test_every_reconnect_is_a_warning(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "jetsocket"):
        async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
            reconnected = told(ws, "reconnected")
            exchange.refuse_handshakes(503, times=1)
            exchange.drop_all()
            await reconnected.get()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert {record.name for record in warnings} == {"jetsocket.reconnect"}
    lost, refused = (record.getMessage() for record in warnings)
    assert lost.startswith(f"{exchange.uri}: the connection was reset")
    assert lost.endswith("connecting again in 0.0 s")
    assert refused.startswith(f"{exchange.uri} answered 503")
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


# A connection that grows old.


async def test_an_old_connection_is_replaced_and_its_socket_closed(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, max_connection_age=0.1) as mux:
        reconnected = told(mux, "reconnected")
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for count in (2, 3):
            await reconnected.get()
            await exchange.wait_subscribed(BTC)
            account = exchange.account()
            assert account.subscribed == {count: [BTC]}
            assert account.accepted == count
        exchange.publish(BTC, 1)
        assert (await btc.recv(timeout=10))["data"] == 1
        stats = mux.stats().connection_stats
        assert stats.reconnect_count >= 2
        assert stats.errors == 0


async def test_replacing_loses_nothing_that_was_on_its_way(scripted: Serve) -> None:
    async def old(peer: Conversation) -> None:
        await peer.accept()
        closing = await peer.read_frame()
        await peer.send(text("1") + text("2") + close_frame(int.from_bytes(closing.payload[:2], "big")))

    async def new(peer: Conversation) -> None:
        await peer.accept(then=text("3"))
        await peer.answer_close()

    server = await scripted(old, new)
    async with jetsocket.connect(server.uri, max_connection_age=0.05) as ws:
        assert [await ws.recv() for _ in range(3)] == [1, 2, 3]


async def test_a_connection_lost_again_and_again(scripted: Serve) -> None:
    async def flapping(peer: Conversation) -> None:
        await peer.accept(then=text(str(server.accepted)))
        peer.writer.close()

    server = await scripted(flapping)
    async with jetsocket.connect(server.uri, backoff=AT_ONCE, close_timeout=0.5) as ws:
        assert [await ws.recv() for _ in range(50)] == list(range(1, 51))
