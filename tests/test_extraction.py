"""Routing by a function of the decoded message."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

import jetsocket
from jetsocket import HeartbeatConfig
from jetsocket.extraction import ExtractorRouter
from jetsocket.hot.ring_py import MessageRing
from jetsocket.testing import Exchange

from .peers import multiplex, told


class Tick(msgspec.Struct):
    stream: str
    data: Any


def by_stream(message: Any) -> str | None:
    return message.get("stream")


async def test_messages_go_to_their_channels_decoded(exchange: Exchange):
    async with multiplex(exchange.uri, channel_extractor=by_stream) as mux:
        btc, eth = await mux.subscribe("btc"), await mux.subscribe("eth")
        await exchange.wait_subscribed("btc", "eth")
        exchange.publish("btc", 1)
        exchange.publish("eth", 2)
        exchange.publish("btc", None)
        assert await btc.recv(5) == {"stream": "btc", "data": 1}
        assert await btc.recv(5) == {"stream": "btc", "data": None}
        assert await eth.recv(5) == {"stream": "eth", "data": 2}
        stats = mux.stats()
    # The two answers to SUBSCRIBE have no stream.
    assert (stats.total_messages_routed, stats.unroutable_messages) == (3, 2)


async def test_each_message_is_decoded_once(exchange: Exchange):
    decoded: list[bytes] = []

    def decode(payload: bytes) -> Any:
        decoded.append(payload)
        return json.loads(payload)

    async with multiplex(exchange.uri, channel_extractor=by_stream, deserializer=decode, subscribe_msg=None) as mux:
        btc = await mux.subscribe("btc")
        exchange.send_text('{"stream":"btc"}')
        assert await btc.recv(5) == {"stream": "btc"}
    assert decoded == [b'{"stream":"btc"}']


async def test_the_extractor_sees_the_message_type(exchange: Exchange):
    async with multiplex(exchange.uri, channel_extractor=lambda tick: tick.stream, message_type=Tick) as mux:
        btc = await mux.subscribe("btc")
        await exchange.wait_subscribed("btc")
        exchange.publish("btc", 7)
        assert await btc.recv(5) == Tick("btc", 7)


@pytest.mark.parametrize(
    "deserializer, expected", [(bytes, b'{"stream":"btc"}'), (str, '{"stream":"btc"}')], ids=["bytes", "str"]
)
async def test_the_extractor_sees_the_raw_payload(exchange: Exchange, deserializer, expected):
    def extract(payload: Any) -> str | None:
        assert payload == expected
        return "btc"

    options = {"channel_extractor": extract, "deserializer": deserializer, "subscribe_msg": None}
    async with multiplex(exchange.uri, **options) as mux:
        btc = await mux.subscribe("btc")
        exchange.send_text('{"stream":"btc"}')
        assert await btc.recv(5) == expected


async def test_a_subscription_may_decode_in_its_own_way(exchange: Exchange):
    async with multiplex(exchange.uri, channel_extractor=by_stream) as mux:
        btc = await mux.subscribe("btc", message_type=Tick)
        eth = await mux.subscribe("eth", deserializer=bytes)
        await exchange.wait_subscribed("btc", "eth")
        exchange.publish("btc", 1)
        exchange.publish("eth", 2)
        assert await btc.recv(5) == Tick("btc", 1)
        assert await eth.recv(5) == b'{"stream":"eth","data":2}'


async def test_messages_keep_their_payload(exchange: Exchange):
    async with multiplex(exchange.uri, channel_extractor=by_stream) as mux:
        btc = await mux.subscribe("btc")
        await exchange.wait_subscribed("btc")
        exchange.publish("btc", [1])
        async for message in btc.messages():
            assert message.data == b'{"stream":"btc","data":[1]}'
            assert message.decode() == {"stream": "btc", "data": [1]}
            assert not message.binary
            break


@pytest.mark.parametrize("answer", [7, ["btc"], b"btc", object()], ids=lambda answer: type(answer).__name__)
async def test_an_answer_that_is_no_str_is_told_once_and_counted(exchange: Exchange, answer):
    def extract(message: Any) -> Any:
        return message["stream"] if message["stream"] == "btc" else answer

    mux = multiplex(exchange.uri, channel_extractor=extract, subscribe_msg=None)
    errors = told(mux, "error")
    async with mux:
        btc = await mux.subscribe("btc")
        exchange.send_text('{"stream":"x"}')
        exchange.send_text('{"stream":"x"}')
        exchange.send_text('{"stream":"btc"}')
        await btc.recv(5)
        assert mux.stats().unroutable_messages == 2
    error = errors.get_nowait()
    assert isinstance(error, TypeError)
    assert str(error).startswith(f"channel_extractor must return a str or None, got {type(answer).__name__}")
    assert errors.empty()


async def test_an_extractor_that_raises_is_told_once_and_counted(exchange: Exchange, caplog: pytest.LogCaptureFixture):
    mux = multiplex(exchange.uri, channel_extractor=lambda message: message["stream"], subscribe_msg=None)
    errors = told(mux, "error")
    async with mux:
        btc = await mux.subscribe("btc")
        for odd in ("[]", "null", "3", '"text"', "{}", "not JSON"):
            exchange.send_text(odd)
        exchange.send_text('{"stream":"btc"}')
        assert await btc.recv(5) == {"stream": "btc"}
        stats = mux.stats()
    assert (stats.total_messages_routed, stats.unroutable_messages) == (1, 6)
    assert isinstance(errors.get_nowait(), TypeError)
    assert errors.empty()
    assert len([record for record in caplog.records if "could not be routed" in record.getMessage()]) == 1


@pytest.mark.parametrize("failing", ["channel_extractor", "deserializer"])
async def test_one_that_asks_a_cancelled_task_costs_its_message_and_not_the_connection(
    exchange: Exchange, failing: str
):
    def fail(message: Any) -> Any:
        if failing == "deserializer" and b"odd" not in message:
            return json.loads(message)
        if failing == "channel_extractor" and "odd" not in message:
            return message["stream"]
        raise asyncio.CancelledError

    mux = multiplex(exchange.uri, subscribe_msg=None, **{"channel_extractor": by_stream, failing: fail})
    errors = told(mux, "error")
    async with mux:
        btc = await mux.subscribe("btc")
        exchange.send_text('{"stream":"btc","odd":1}')
        exchange.send_text('{"stream":"btc"}')
        assert await btc.recv(5) == {"stream": "btc"}
        stats = mux.stats()
    assert (stats.total_messages_routed, stats.unroutable_messages) == (1, 1)
    assert stats.connection_stats.reconnect_count == 0
    error = errors.get_nowait()
    assert isinstance(error.__cause__ if failing == "deserializer" else error, asyncio.CancelledError)


async def test_what_cannot_be_decoded_is_unroutable(exchange: Exchange):
    mux = multiplex(exchange.uri, channel_extractor=by_stream, subscribe_msg=None)
    errors = told(mux, "error")
    async with mux:
        btc = await mux.subscribe("btc")
        exchange.send_text('{"stream":"btc"')
        exchange.send_text('{"stream":"btc"}')
        await btc.recv(5)
        assert mux.stats().unroutable_messages == 1
    error = errors.get_nowait()
    assert isinstance(error, jetsocket.DecodeError)
    assert error.raw == b'{"stream":"btc"'


async def test_a_full_queue_drops_the_oldest(exchange: Exchange):
    async with multiplex(exchange.uri, channel_extractor=by_stream, subscribe_msg=None, queue_size=2) as mux:
        btc, mark = await mux.subscribe("btc"), await mux.subscribe("mark")
        for number in range(5):
            exchange.send_text(json.dumps({"stream": "btc", "n": number}))
        exchange.send_text('{"stream":"mark"}')
        await mark.recv(5)
        assert [message["n"] for message in await btc.recv_batch()] == [3, 4]
        assert btc.stats().messages_dropped == 3
        stats = mux.stats()
        assert stats.total_messages_routed == 6
        assert stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped == 6


async def test_it_is_there_again_after_a_reconnect(exchange: Exchange):
    async with multiplex(exchange.uri, channel_extractor=by_stream) as mux:
        btc = await mux.subscribe("btc")
        await exchange.wait_subscribed("btc")
        exchange.drop_all()
        await exchange.wait_accepted(2)
        await exchange.wait_subscribed("btc")
        exchange.publish("btc", 1)
        assert (await btc.recv(5))["data"] == 1


async def test_unsubscribed_channels_are_unroutable(exchange: Exchange):
    options = {"channel_extractor": by_stream, "subscribe_msg": None, "unsubscribe_msg": None}
    async with multiplex(exchange.uri, **options) as mux:
        btc, eth = await mux.subscribe("btc"), await mux.subscribe("eth")
        await btc.close()
        exchange.send_text('{"stream":"btc"}')
        exchange.send_text('{"stream":"eth"}')
        await eth.recv(5)
        assert mux.stats().unroutable_messages == 1


def test_a_channel_has_one_queue():
    router = ExtractorRouter(by_stream, json.loads, print, None)
    router.add("btc", MessageRing())
    with pytest.raises(ValueError, match="channel 'btc' has a ring already"):
        router.add("btc", MessageRing())
    assert router.remove("btc")
    assert not router.remove("btc")


async def test_an_unroutable_message_may_be_an_application_pong(exchange: Exchange):
    heartbeat = HeartbeatConfig(
        60, payload="ping", use_application_ping=True, pong_matcher=lambda payload: payload == b'{"op":"pong"}'
    )
    async with multiplex(exchange.uri, channel_extractor=by_stream, heartbeat=heartbeat) as mux:
        btc = await mux.subscribe("btc")
        await exchange.wait_subscribed("btc")
        exchange.send_text('{"op":"pong"}')
        exchange.publish("btc", 1)
        assert (await btc.recv(5))["data"] == 1
        assert mux.stats().unroutable_messages == 2
