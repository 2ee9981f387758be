"""What belongs to no channel can be looked at: in a queue of its own, bounded, from when it is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetsocket import DecodeError, Greeting, HeartbeatConfig, Multiplex
from jetsocket.testing import Exchange

from .accounts import balanced
from .conftest import Serve
from .dialects import DIALECTS, desk, name, number
from .peers import TEXT, Conversation, frame, multiplex, text, told

WAYS: list[Any] = [
    pytest.param({}, id="channel_key"),
    pytest.param({"channel_extractor": lambda message: message.get("stream")}, id="channel_extractor"),
]


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_decoded_and_in_order(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        unrouted = mux.unrouted()
        assert mux.unrouted() is unrouted
        await mux.subscribe("a")
        await exchange.wait_subscribed("a")
        exchange.send_text('{"info":1}')
        exchange.publish("a", 1)
        exchange.send_text('{"stream":"b","info":2}')
        found = [await unrouted.recv(timeout=5) for _ in range(3)]
        # The first is the answer to the request: without a venue nobody knows that.
        assert found == [{"result": None, "id": 1}, {"info": 1}, {"stream": "b", "info": 2}]
        stats = balanced(mux, unrouted)
        assert stats.unroutable_messages == 3
        assert (stats.active_subscriptions, mux.list_subscriptions()) == (1, ["a"])


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_bounded_and_counted(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        unrouted = mux.unrouted(queue_size=3)
        for step in range(10):
            exchange.send_text(f'{{"info":{step}}}')
        await mux.ping()
        own = unrouted.stats()
        assert (own.messages_received, own.queue_size, own.messages_dropped) == (10, 3, 7)
        assert [message["info"] for message in await unrouted.recv_batch()] == [7, 8, 9]
        balanced(mux, unrouted)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_a_venue_knows_is_not_among_it(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        unrouted = mux.unrouted()
        subscription = await mux.subscribe(channel)
        exchange.refuse(name(dialect, 1))
        failed = await mux.subscribe_many([name(dialect, 1)], timeout=5)
        assert failed.failures
        for kind in exchange.dialect.notices:
            if kind == "resumed":
                exchange.notice(kind)
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=5)) == 1
        await mux.unsubscribe(channel)
        exchange.send_text('{"nobody":"knows this"}')
        assert await unrouted.recv(timeout=5) == {"nobody": "knows this"}
        assert unrouted.stats().messages_received == 1


async def test_whole_messages_and_what_cannot_be_decoded(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        unrouted = mux.unrouted()
        exchange.send_text("no JSON")
        exchange.send_text("more")
        with pytest.raises(DecodeError) as caught:
            await unrouted.recv(timeout=5)
        assert caught.value.raw == b"no JSON"
        message: Any = await asyncio.wait_for(anext(unrouted.messages()), 5)
        assert (message.data, message.binary) == (b"more", False)


@pytest.mark.parametrize("way", WAYS)
async def test_it_can_be_closed_and_opened_anew(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        before = mux.unrouted()
        exchange.send_text('{"info":1}')
        await mux.ping()
        await before.close()
        await before.close()
        exchange.send_text('{"info":2}')
        await mux.ping()
        assert [message async for message in before] == [{"info": 1}]
        after = mux.unrouted(5)
        assert after is not before
        await before.close()
        assert mux.unrouted() is after
        exchange.send_text('{"info":3}')
        assert await after.recv(timeout=5) == {"info": 3}
        assert after.ring.capacity == 5
        assert mux.stats().unroutable_messages == 3


async def test_a_callback_may_take_it(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        found: asyncio.Queue[Any] = asyncio.Queue()
        with mux.unrouted().listen(found.put_nowait):
            exchange.send_text('{"info":1}')
            assert await asyncio.wait_for(found.get(), 5) == {"info": 1}


async def test_it_ends_with_the_multiplex(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        unrouted = mux.unrouted()
        exchange.send_text('{"info":1}')
        await mux.ping()
        reading = asyncio.ensure_future(_all(unrouted))
        await mux.close()
        assert await asyncio.wait_for(reading, 5) == [{"info": 1}]
        # And so does one that is asked for too late.
        assert await asyncio.wait_for(_all(mux.unrouted()), 5) == []


async def test_a_connection_that_is_lost_for_good_and_made_anew(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, reconnect=False) as mux:
        unrouted = mux.unrouted()
        exchange.drop_all()
        with pytest.raises(ConnectionError):
            await unrouted.recv(timeout=5)
        await mux.connect()
        exchange.send_text('{"info":1}')
        assert await mux.unrouted().recv(timeout=5) == {"info": 1}
        assert mux.unrouted() is unrouted


async def test_it_may_be_asked_for_before_the_connection(exchange: Exchange) -> None:
    mux: Multiplex[Any] = multiplex(exchange.uri)
    unrouted = mux.unrouted()
    async with mux:
        exchange.send_text('{"info":1}')
        assert await unrouted.recv(timeout=5) == {"info": 1}


@pytest.mark.parametrize("size", [-1, True, "1"])
async def test_a_size_that_is_none(size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="queue_size"):
        multiplex("ws://127.0.0.1:1/").unrouted(size)


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


async def test_what_no_subscription_wants_is_looked_at_for_pongs(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"op":"pong"}') + text('{"stream":"a"}'))
        await peer.answer_close()

    looked_at = asyncio.Queue[bytes]()

    def is_pong(payload: bytes) -> bool:
        looked_at.put_nowait(payload)
        return True

    server = await scripted(script)
    heartbeat = HeartbeatConfig(60, payload="ping", use_application_ping=True, pong_matcher=is_pong)
    async with multiplex(server.uri, subscribe_msg=None, heartbeat=heartbeat) as mux:
        await mux.send("go on")
        assert [await looked_at.get() for _ in range(2)] == [b'{"op":"pong"}', b'{"stream":"a"}']
        assert mux.stats().unroutable_messages == 2


async def _all(unrouted: Any) -> list[Any]:
    return [message async for message in unrouted]


# Where channels get their keys with the answer: what nobody claims was kept for them.


async def test_what_was_kept_for_a_channel_and_is_not_its_own_comes_in_order() -> None:
    """Bitfinex: channel 0 is the account's, orders and wallets."""
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        rest = mux.unrouted()
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        for count in range(3):
            exchange.send_text(f'[0,"on",[{count}]]')
            exchange.publish(channel)
        await mux.ping(timeout=2)
        assert len(rest.ring) == 0
        exchange.release_acks()
        subscription = await subscribing
        exchange.send_text('[0,"on",[3]]')
        assert [(await rest.recv(timeout=2))[2][0] for _ in range(4)] == [0, 1, 2, 3]
        assert [number("bitfinex", await subscription.recv(timeout=2)) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("end", ["unsubscribe", "refuse", "drop", "close"])
async def test_what_was_kept_for_a_channel_that_never_came_is_not_lost(end: str) -> None:
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        rest = mux.unrouted()
        exchange.ignore_requests(times=1)
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_requests(1)
        exchange.send_text('[0,"on",[7]]')
        await mux.ping(timeout=2)
        if end == "unsubscribe":
            await mux.unsubscribe(channel)
        elif end == "refuse":
            facts = '"channel":"trades","symbol":"tC0USD"'
            exchange.send_text(f'{{"event":"error","msg":"symbol: invalid","code":10300,{facts}}}')
        elif end == "drop":
            exchange.drop_all()
        else:
            await mux.close()
        assert await rest.recv(timeout=2) == [0, "on", [7]]
        subscribing.cancel()
        await asyncio.wait([subscribing])


async def test_a_reply_to_a_login_is_found_though_channels_wait_for_their_keys() -> None:
    """After a reconnect: all of them do."""
    channel = name("bitfinex")
    known: list[Any] = []
    greeted = asyncio.Event()

    async def log_in(connection: Greeting) -> None:
        for exchange in known:
            exchange.send_text('[0,"ws",[]]')
            assert await connection.reply(lambda message: isinstance(message, list) and message[1] == "ws", timeout=2)
            greeted.set()

    async with desk("bitfinex", options={"on_connect": log_in}) as (exchange, mux):
        await mux.subscribe(channel)
        known.append(exchange)
        resubscribed = told(mux, "resubscribed")
        exchange.drop_all()
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 1
        assert greeted.is_set()
