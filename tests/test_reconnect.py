from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

import jetsocket
from jetsocket import BackoffConfig, CloseError, ConnectionState, HandshakeError, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, Conversation, close_frame, multiplex, subscribe_msg, text, told

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


# Subscriptions.


async def test_every_subscription_is_there_again(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        subscriptions = [await mux.subscribe(f"c{number}") for number in range(20)]
        reconnected = told(mux, "reconnected")
        for turn in range(2, 5):
            exchange.drop_all()
            await reconnected.get()
            await exchange.wait_subscribed(*mux.list_subscriptions())
            assert exchange.account().subscribed == {turn: mux.list_subscriptions()}
            for subscription in subscriptions:
                exchange.publish(subscription.channel, turn)
                assert (await subscription.recv())["data"] == turn
        assert mux.stats().active_subscriptions == mux.stats().total_subscriptions == 20


async def test_queues_outlive_the_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        await mux.ping()
        reconnected = told(mux, "reconnected")
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 2)
        assert [(await btc.recv())["data"] for _ in range(2)] == [1, 2]


async def test_a_subscribe_message_that_fails_at_a_reconnect_ends_its_subscription(exchange: Exchange) -> None:
    broken = False

    def message(channel: str) -> Any:
        if broken and channel == BTC:
            raise LookupError("no such symbol")
        return subscribe_msg(channel)

    async with multiplex(exchange.uri, subscribe_msg=message) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        broken = True
        exchange.drop_all()
        sentence = "'btcusdt@trade': subscribe_msg failed: no such symbol"
        with pytest.raises(jetsocket.SubscriptionError, match=sentence) as caught:
            await btc.recv()
        assert caught.value.channel == BTC
        await exchange.wait_subscribed(ETH)
        exchange.publish(ETH, 1)
        assert (await eth.recv())["data"] == 1
        assert mux.list_subscriptions() == [ETH]


async def test_connecting_again_after_the_end_revives_the_subscriptions(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, reconnect=False) as mux:
        btc = await mux.subscribe(BTC)
        exchange.drop_all()
        with pytest.raises(jetsocket.ConnectionError):
            await btc.recv()
        assert not btc.stats().is_active
        await mux.connect()
        assert btc.is_active
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1


async def test_a_subscription_that_was_sent_into_a_dying_connection_is_asked_for_again(scripted: Serve) -> None:
    async def dying(peer: Conversation) -> None:
        await peer.accept()
        peer.reset()

    async def living(peer: Conversation) -> None:
        await peer.accept()
        while True:
            asked = await peer.read_frame()
            if asked.opcode != 1:
                return
            await peer.send(text('{"stream":"a"}'))

    server = await scripted(dying, living)
    async with multiplex(server.uri) as mux:
        a = await mux.subscribe("a")
        assert await a.recv(timeout=10) == {"stream": "a"}
        assert server.accepted == 2


async def test_a_connection_that_is_closed_as_it_opens_costs_no_subscription(scripted: Serve) -> None:
    """A server that is being restarted may put its close frame right behind the answer to the upgrade."""

    async def serving(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"stream":"a"}') + close_frame(1012))
        await peer.ended()

    async def restarting(peer: Conversation) -> None:
        await peer.accept(then=close_frame(1012))
        await peer.ended()

    server = await scripted(serving, restarting, serving)
    async with multiplex(server.uri) as mux:
        a = await mux.subscribe("a")
        for _ in range(2):
            assert await a.recv(timeout=10) == {"stream": "a"}
        assert server.accepted == 3


async def test_a_connection_lost_again_and_again(scripted: Serve) -> None:
    async def flapping(peer: Conversation) -> None:
        await peer.accept(then=text(str(server.accepted)))
        peer.writer.close()

    server = await scripted(flapping)
    async with jetsocket.connect(server.uri, backoff=AT_ONCE, close_timeout=0.5) as ws:
        assert [await ws.recv() for _ in range(50)] == list(range(1, 51))
