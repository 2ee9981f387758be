"""Recorded runs of real exchanges, replayed flat out into a Multiplex: every message arrives where it belongs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket import Multiplex
from jetsocket.testing import Exchange

from .peers import AT_ONCE
from .recordings import captured, path_of

pytestmark = pytest.mark.recorded

# The channel key, and the same said with json and indexing.
RUNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "binance_spot_btcusdt_2024": ("stream", lambda message: message["stream"]),
    "okx_2022": (
        "{arg.channel}:{arg.instId}",
        lambda message: f"{message['arg']['channel']}:{message['arg']['instId']}",
    ),
    "kucoin_2021": ("topic", lambda message: message["topic"]),
    "bitfinex_2021": ("[0]", lambda message: str(message[0])),
}


def by_channel(run: str) -> tuple[dict[str, list[bytes]], int]:
    """The messages of each channel in their order, and how many have none."""
    channel_of = RUNS[run][1]
    channels: dict[str, list[bytes]] = defaultdict(list)
    without = 0
    for text in captured(run):
        try:
            channels[channel_of(json.loads(text))].append(text)
        except (ValueError, KeyError, TypeError):
            without += 1
    return channels, without


def multiplex(exchange: Exchange, run: str, **options: Any) -> Multiplex[bytes]:
    return Multiplex(
        exchange.uri, **{"channel_key": RUNS[run][0], "deserializer": bytes, "backoff": AT_ONCE, **options}
    )


@pytest.mark.parametrize("run", RUNS)
async def test_every_message_arrives_where_it_belongs(run: str):
    channels, without = by_channel(run)
    total = sum(map(len, channels.values())) + without
    assert total > 300
    async with Exchange.replay(path_of(run), speed=0, paused=True) as exchange:
        async with multiplex(exchange, run, queue_size=0) as mux:
            subscriptions = {channel: await mux.subscribe(channel) for channel in channels}
            exchange.start()
            await exchange.wait_sent(total)
            # Its pong comes behind the last message.
            await mux.ping(10)
            stats = mux.stats()
            assert (stats.total_messages_routed, stats.unroutable_messages) == (total - without, without)
            assert stats.connection_stats.messages_received == total
        for channel, subscription in subscriptions.items():
            assert [payload async for payload in subscription] == channels[channel]
            assert subscription.stats().messages_delivered == len(channels[channel])


@pytest.mark.parametrize("run", RUNS)
async def test_by_an_extractor_it_is_the_same(run: str):
    channels, without = by_channel(run)
    total = sum(map(len, channels.values())) + without
    extract = RUNS[run][1]
    options = {"channel_key": None, "channel_extractor": extract, "deserializer": json.loads, "queue_size": 0}
    async with Exchange.replay(path_of(run), speed=0, paused=True) as exchange:
        async with multiplex(exchange, run, **options) as mux:
            subscriptions = {channel: await mux.subscribe(channel) for channel in channels}
            exchange.start()
            await exchange.wait_sent(total)
            await mux.ping(10)
            stats = mux.stats()
            assert (stats.total_messages_routed, stats.unroutable_messages) == (total - without, without)
        for channel, subscription in subscriptions.items():
            assert [message async for message in subscription] == list(map(json.loads, channels[channel]))


async def test_short_queues_keep_the_latest_and_count_the_rest():
    run = "binance_spot_btcusdt_2024"
    channels, without = by_channel(run)
    total = sum(map(len, channels.values())) + without
    async with (
        Exchange.replay(path_of(run), speed=0, paused=True) as exchange,
        multiplex(exchange, run, queue_size=10) as mux,
    ):
        subscriptions = {channel: await mux.subscribe(channel) for channel in channels}
        exchange.start()
        await exchange.wait_sent(total)
        await mux.ping(10)
        for channel, subscription in subscriptions.items():
            expected = channels[channel][-10:]
            assert await subscription.recv_batch() == expected
            assert subscription.stats().messages_dropped == len(channels[channel]) - len(expected)


async def test_decoded_as_json_it_is_what_json_says():
    run = "okx_2022"
    channels, _ = by_channel(run)
    channel, texts = max(channels.items(), key=lambda item: len(item[1]))
    async with (
        Exchange.replay(path_of(run), speed=0, paused=True) as exchange,
        multiplex(exchange, run, deserializer=None) as mux,
    ):
        subscription = await mux.subscribe(channel)
        exchange.start()
        for text in texts:
            assert await subscription.recv(10) == json.loads(text)


async def test_confirmations_of_okx_come_as_data():
    # They carry the same path: a consumer tells them by their "event".
    run = "okx_2022"
    channels, _ = by_channel(run)
    confirmed = [channel for channel, texts in channels.items() if any(json.loads(text).get("event") for text in texts)]
    assert confirmed
    async with (
        Exchange.replay(path_of(run), speed=0, paused=True) as exchange,
        multiplex(exchange, run, deserializer=None) as mux,
    ):
        subscription = await mux.subscribe(confirmed[0])
        exchange.start()
        messages = [await subscription.recv(10) for _ in channels[confirmed[0]]]
        # The run holds several connections, each with its own.
        assert {message["event"] for message in messages if "event" in message} == {"subscribe"}
        assert all("data" in message for message in messages if "event" not in message)
