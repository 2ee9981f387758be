from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from jetsocket import (
    ConnectionState,
    HandshakeError,
    InvalidStateError,
    InvalidURIError,
    Multiplex,
    MultiplexConfig,
    TimeoutError,
)
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import CLOSE, TEXT, Conversation, frame, multiplex, subscribe_msg, told, unsubscribe_msg

BTC, ETH = "btcusdt@trade", "ethusdt@trade"
URI = "ws://127.0.0.1:1/stream"


# What it is made of.


def test_the_config_is_frozen_and_checked() -> None:
    config = MultiplexConfig(str)
    assert (config.subscribe_message, config.unsubscribe_message, config.queue_size) == (None, None, 1000)
    with pytest.raises(AttributeError):
        config.queue_size = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"^queue_size must be non-negative, got -1$"):
        MultiplexConfig(str, queue_size=-1)
    with pytest.raises(TypeError, match="channel_extractor must be callable, got str 'stream'"):
        MultiplexConfig("stream")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({}, ValueError, "Multiplex needs venue, channel_key, channel_extractor or config"),
        ({"channel_key": "a", "channel_extractor": str}, ValueError, "give channel_key or channel_extractor, not both"),
        ({"channel_key": "a", "queue_size": -1}, ValueError, r"^queue_size must be non-negative, got -1$"),
        ({"channel_key": "a", "queue_size": "9"}, TypeError, "queue_size must be a whole number, got str '9'"),
        ({"channel_key": "a["}, ValueError, r"'a\['"),
        ({"channel_key": "a", "subscribe_msg": 1}, TypeError, "subscribe_msg must be callable or None, got int 1"),
        ({"channel_key": "a", "unsubscribe_msg": ""}, TypeError, "unsubscribe_msg must be callable or None"),
        ({"channel_extractor": 7}, TypeError, "channel_extractor must be callable or None, got int 7"),
        ({"config": 7}, TypeError, "config must be a MultiplexConfig or None, got int 7"),
        ({"channel_key": "a", "hartbeat": 7}, TypeError, r"Multiplex\(\) has no option 'hartbeat'.*'heartbeat'"),
        ({"channel_key": "a", "manager_kwargs": {"hartbeat": 7}}, TypeError, r"Multiplex\(\) has no option 'hartbeat'"),
        ({"channel_key": "a", "buffer": 10}, TypeError, r"Multiplex\(\) has no option 'buffer'"),
    ],
)
def test_arguments_are_checked_at_once(options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        Multiplex(URI, **options)


def test_the_address_is_checked_at_once() -> None:
    with pytest.raises(InvalidURIError):
        Multiplex("http://127.0.0.1:1", channel_key="stream")


def test_before_connect() -> None:
    mux = multiplex("ws://user:secret@127.0.0.1:1/stream")
    assert (mux.state, mux.is_connected, mux.list_subscriptions()) == (ConnectionState.IDLE, False, [])
    assert mux.uri == URI
    assert repr(mux) == f"Multiplex(uri='{URI}', state=idle, subscriptions=0)"
    stats = mux.stats()
    assert (stats.total_subscriptions, stats.connection_stats.state) == (0, ConnectionState.IDLE)


async def test_the_config_wins_over_the_keywords(exchange: Exchange) -> None:
    config = MultiplexConfig(lambda message: message.get("stream"), subscribe_msg, unsubscribe_msg, 2)
    async with Multiplex(exchange.uri, config, channel_key="nowhere", queue_size=50) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(3):
            exchange.publish(BTC, number)
        await mux.ping()
        assert [got["data"] for got in await btc.recv_batch()] == [1, 2]
        assert mux.stats().total_messages_dropped == 1


async def test_manager_kwargs_are_the_connections(exchange: Exchange) -> None:
    exchange.refuse_handshakes(503, times=1)
    mux = Multiplex(exchange.uri, channel_key="stream", manager_kwargs={"extra_headers": {"X-A": "b"}}, compress=False)
    with pytest.raises(HandshakeError):
        await mux.connect()
    await mux.connect()
    await mux.close()


# Its life.


async def test_the_states_from_idle_to_closed(exchange: Exchange) -> None:
    mux = multiplex(exchange.uri)
    for operation in (mux.subscribe(BTC), mux.send({}), mux.ping()):
        with pytest.raises(InvalidStateError):
            await operation
    await mux.connect()
    assert mux.is_connected
    with pytest.raises(InvalidStateError):
        await mux.connect()
    await mux.subscribe(BTC)
    assert repr(mux) == f"Multiplex(uri='{exchange.uri}', state=connected, subscriptions=1)"
    await mux.close()
    assert (mux.state, mux.list_subscriptions()) == (ConnectionState.CLOSED, [])
    await mux.close()
    for operation in (mux.subscribe(BTC), mux.send({}), mux.ping(), mux.connect()):
        with pytest.raises(InvalidStateError):
            await operation
    assert not await mux.unsubscribe(BTC)


async def test_closing_ends_every_subscription_and_leaves_the_queues(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        for number in range(3):
            exchange.publish(BTC, number)

        async def follow() -> int:
            return len([got async for got in eth])

        following = asyncio.create_task(follow())
        await mux.ping()
    assert await following == 0
    assert [got["data"] async for got in btc] == [0, 1, 2]
    assert (btc.is_active, eth.is_active) == (False, False)


# Subscriptions.


async def test_a_subscription_is_there_once(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        assert mux.get_subscription(BTC) is None
        btc = await mux.subscribe(BTC)
        assert await mux.subscribe(BTC) is btc
        assert mux.get_subscription(BTC) is btc
        same = await asyncio.gather(*(mux.subscribe(ETH) for _ in range(5)))
        assert len(set(map(id, same))) == 1
        assert mux.list_subscriptions() == [BTC, ETH]
        await mux.ping()
        assert exchange.account().subscribes == 2


async def test_unsubscribing(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        await mux.subscribe(BTC)
        assert await mux.unsubscribe(BTC) is True
        assert await mux.unsubscribe(BTC) is False
        assert await mux.unsubscribe("never") is False
        await mux.ping()
        assert [request.message for request in exchange.requests] == [subscribe_msg(BTC), unsubscribe_msg(BTC)]
        stats = mux.stats()
        assert (stats.total_subscriptions, stats.active_subscriptions) == (1, 0)


async def test_each_channel_gets_its_own_messages(exchange: Exchange) -> None:
    channels = [f"c{number}@trade" for number in range(50)]
    async with multiplex(exchange.uri) as mux:
        subscriptions = [await mux.subscribe(channel) for channel in channels]
        await exchange.wait_subscribed(*channels)
        for number in range(20):
            for channel in channels:
                exchange.publish(channel, number)
        await mux.ping()
        for subscription in subscriptions:
            batch = await subscription.recv_batch()
            assert batch == [{"stream": subscription.channel, "data": number} for number in range(20)]
        stats = mux.stats()
        assert stats.total_messages_routed == 1000
        assert stats.unroutable_messages == exchange.account().answers == 50


async def test_without_messages_to_send_there_is_only_routing() -> None:
    async with (
        Exchange(paused=True) as exchange,
        Multiplex(f"{exchange.uri}?streams={BTC}", channel_key="stream") as mux,
    ):
        btc = await mux.subscribe(BTC)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1
        await mux.unsubscribe(BTC)
        exchange.publish(BTC, 2)
        await mux.ping()
        assert exchange.requests == []
        assert mux.stats().unroutable_messages == 1


async def test_any_other_message_can_be_sent(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, channel_key="id") as mux:
        answers = await mux.subscribe("7")
        await mux.send({"method": "LIST_SUBSCRIPTIONS", "id": 7})
        assert await answers.recv() == {"result": ["7"], "id": 7}


async def test_the_terms_of_a_subscription_are_checked_at_once(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        misspelt: Any = {"queue_sise": 3}
        with pytest.raises(TypeError, match=r"subscribe\(\) has no option 'queue_sise'.*'queue_size'"):
            await mux.subscribe(BTC, **misspelt)
        with pytest.raises(ValueError, match="sequence needs events=True or recover="):
            await mux.subscribe(BTC, sequence="data.t")
        assert mux.list_subscriptions() == []


@pytest.mark.parametrize("channel", [None, 7, b"btc"])
async def test_a_channel_is_a_str(exchange: Exchange, channel: Any) -> None:
    async with multiplex(exchange.uri) as mux:
        with pytest.raises(TypeError, match="channel must be a str, got "):
            await mux.subscribe(channel)
        assert mux.list_subscriptions() == []


@pytest.mark.parametrize("channel", ["", "日本@trade", 'a"b\\c', "\x00", "😀" * 50, "x" * 5000])
async def test_channels_of_any_name(exchange: Exchange, channel: str) -> None:
    async with multiplex(exchange.uri) as mux:
        subscription = await mux.subscribe(channel)
        await exchange.wait_subscribed(channel)
        exchange.publish(channel, 1)
        assert await subscription.recv() == {"stream": channel, "data": 1}


@pytest.mark.parametrize("fault", ["raises", "is not serialisable"])
async def test_a_subscribe_message_that_fails_leaves_nothing(exchange: Exchange, fault: str) -> None:
    def message(channel: str) -> Any:
        if channel == BTC:
            return {"params": {channel}, "method": lambda: None} if fault == "is not serialisable" else 1 / 0
        return subscribe_msg(channel)

    async with multiplex(exchange.uri, subscribe_msg=message) as mux:
        with pytest.raises((ZeroDivisionError, TypeError)):
            await mux.subscribe(BTC)
        assert mux.list_subscriptions() == []
        await mux.subscribe(ETH)
        await exchange.wait_subscribed(ETH)
        assert mux.stats().active_subscriptions == 1


async def test_messages_may_be_text_or_bytes(exchange: Exchange) -> None:
    def message(channel: str) -> Any:
        body = f'{{"method":"SUBSCRIBE","params":["{channel}"],"id":1}}'
        return body if channel == BTC else body.encode()

    async with multiplex(exchange.uri, subscribe_msg=message) as mux:
        await mux.subscribe(BTC)
        await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)


# The slow way.


async def test_a_channel_extractor_routes_what_was_decoded(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, channel_extractor=lambda message: message.get("stream")) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH, deserializer=bytes)
        await exchange.wait_subscribed(BTC, ETH)
        exchange.publish(BTC, 1)
        exchange.publish(ETH, 2)
        assert await btc.recv() == {"stream": BTC, "data": 1}
        assert await eth.recv() == b'{"stream":"ethusdt@trade","data":2}'
        exchange.publish(BTC, 3)
        got = await anext(btc.messages())
        assert (got.data, got.decode()) == (b'{"stream":"btcusdt@trade","data":3}', {"stream": BTC, "data": 3})
        stats = mux.stats()
        assert (stats.total_messages_routed, stats.unroutable_messages) == (3, 2)


async def test_a_queue_of_decoded_messages_drops_the_oldest(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, channel_extractor=lambda message: message.get("stream"), queue_size=2) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(5):
            exchange.publish(BTC, number)
        await mux.ping()
        assert [got["data"] for got in await btc.recv_batch()] == [3, 4]
        assert btc.stats().messages_dropped == 3


# While there is no connection.


async def test_subscribing_while_reconnecting_waits_for_the_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        reconnected = told(mux, "reconnected")
        disconnected = told(mux, "disconnected")
        exchange.refuse_handshakes()
        exchange.drop_all()
        await disconnected.get()
        assert not mux.is_connected
        with pytest.raises(TimeoutError) as caught:
            await mux.subscribe(BTC, timeout=0.05)
        assert (caught.value.operation, caught.value.timeout) == ("subscribe 'btcusdt@trade'", 0.05)
        assert mux.list_subscriptions() == []
        subscribing = asyncio.create_task(mux.subscribe(ETH))
        await exchange.wait_refused(exchange.account().refused + 1)
        exchange.accept_handshakes()
        await reconnected.get()
        eth = await subscribing
        await exchange.wait_subscribed(ETH)
        exchange.publish(ETH, 1)
        assert (await eth.recv())["data"] == 1
        assert exchange.account().subscribes == 1


async def test_unsubscribing_while_disconnected(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        disconnected, reconnected = told(mux, "disconnected"), told(mux, "reconnected")
        exchange.refuse_handshakes(times=1)
        exchange.drop_all()
        await disconnected.get()
        assert await mux.unsubscribe(BTC)
        assert not btc.is_active
        await reconnected.get()
        await mux.ping()
        assert exchange.account().subscribed == {2: [ETH]}
        assert eth.is_active


async def test_subscribing_ends_with_a_first_connection_that_fails(exchange: Exchange) -> None:
    exchange.refuse_handshakes(503, times=1)
    mux = multiplex(exchange.uri)
    connecting = asyncio.create_task(mux.connect())
    await asyncio.sleep(0)
    subscribing = asyncio.create_task(mux.subscribe(BTC))
    for waiting in (connecting, subscribing):
        with pytest.raises(HandshakeError, match="503"):
            await waiting
    assert mux.list_subscriptions() == []
    await mux.close()


async def test_subscribing_that_was_overtaken_does_not_unsubscribe_its_successor(scripted: Serve) -> None:
    """Cancelled while its message still waits to be sent, after another unsubscribed and a third subscribed again."""
    reading, asked = asyncio.Event(), asyncio.Queue[str]()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.pause_reading()
        await reading.wait()
        peer.writer.transport.resume_reading()
        while (received := await peer.read_frame()).opcode != CLOSE:
            if received.opcode == TEXT:
                asked.put_nowait(json.loads(received.payload)["method"])
        await peer.send(frame(CLOSE, received.payload))

    server = await scripted(script)
    # Requests of a size that has to wait.
    large = {"method": "SUBSCRIBE", "padding": "x" * 10_000_000}
    async with multiplex(server.uri, subscribe_msg=lambda _: large, compress=False) as mux:
        calls = [asyncio.create_task(call) for call in (mux.subscribe(BTC), mux.unsubscribe(BTC), mux.subscribe(BTC))]
        for _ in range(5):
            await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.sleep(0)
        reading.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert outcomes[2] is mux.get_subscription(BTC)
    assert [asked.get_nowait() for _ in range(asked.qsize())] == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]


async def test_subscribing_ends_with_the_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        disconnected, failed = told(mux, "disconnected"), told(mux, "failed")
        exchange.refuse_handshakes(503)
        exchange.drop_all()
        await disconnected.get()
        subscribing = asyncio.create_task(mux.subscribe(BTC))
        await asyncio.sleep(0)
        exchange.refuse_handshakes(401)
        assert (await failed.get()).status_code == 401
        with pytest.raises(HandshakeError, match="401"):
            await subscribing
        with pytest.raises(InvalidStateError):
            await mux.subscribe(BTC)
        assert mux.list_subscriptions() == []
