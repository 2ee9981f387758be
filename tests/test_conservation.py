"""Received = routed + unroutable, and routed = delivered + queued + dropped: at every moment, whatever happens."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from jetsocket import DecodeError, Multiplex, MultiplexStats, Subscription
from jetsocket.testing import Exchange

from .peers import multiplex, told

CHANNELS = [f"c{number}usdt@trade" for number in range(8)]
WAYS: list[Any] = [
    pytest.param({}, id="channel_key"),
    pytest.param({"channel_extractor": lambda message: message.get("stream")}, id="channel_extractor"),
]


def balance(mux: Multiplex[Any]) -> MultiplexStats:
    """The statistics, in which nothing is missing."""
    stats = mux.stats()
    assert stats.connection_stats.messages_received == stats.total_messages_routed + stats.unroutable_messages
    assert stats.total_messages_routed == (
        stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
    )
    for channel in mux.list_subscriptions():
        subscription = mux.get_subscription(channel)
        assert subscription is not None
        own = subscription.stats()
        assert own.messages_received == own.messages_delivered + own.queue_size + own.messages_dropped
    return stats


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("queue_size", [0, 10, 1000])
async def test_under_load_with_slow_and_quick_consumers(options: dict[str, Any], queue_size: int) -> None:
    async with (
        Exchange(rate=0, limit=20_000) as exchange,
        multiplex(exchange.uri, queue_size=queue_size, **options) as mux,
    ):
        subscriptions = [await mux.subscribe(channel) for channel in CHANNELS]
        taken = 0

        async def consume(subscription: Subscription[Any]) -> None:
            nonlocal taken
            async for _ in subscription:
                taken += 1
                if taken % 100 == 0:
                    balance(mux)

        async def batches(subscription: Subscription[Any]) -> None:
            nonlocal taken
            async for batch in subscription.batches(7):
                taken += len(batch)
                balance(mux)

        # Of the eight the first are read one by one, then some in batches, and the last not at all.
        consumers = [asyncio.create_task(consume(subscription)) for subscription in subscriptions[:3]]
        consumers += [asyncio.create_task(batches(subscription)) for subscription in subscriptions[3:5]]
        while exchange.sent() < 20_000:
            await exchange.wait_sent(min(exchange.sent() + 1000, 20_000))
            balance(mux)
        await mux.ping()
        stats = balance(mux)
        account = exchange.account()
        assert stats.total_messages_routed == account.messages == 20_000
        assert stats.unroutable_messages == account.answers
        await mux.close()
        await asyncio.gather(*consumers)
        assert balance(mux).total_messages_delivered == taken


@pytest.mark.parametrize("options", WAYS)
async def test_through_losses_of_the_connection(options: dict[str, Any]) -> None:
    async with Exchange(rate=0) as exchange, multiplex(exchange.uri, queue_size=100, **options) as mux:
        subscriptions = [await mux.subscribe(channel) for channel in CHANNELS]
        reconnected = told(mux, "reconnected")
        for turn in range(10):
            await exchange.wait_sent(exchange.sent() + 2000)
            balance(mux)
            exchange.drop_all(reset=bool(turn % 2))
            balance(mux)
            await reconnected.get()
            balance(mux)
            await subscriptions[0].recv_batch()
        stats = balance(mux)
        assert stats.total_messages_dropped > 0
        assert stats.connection_stats.reconnect_count == 10
        # What was in flight when a connection was cut is lost on the way, and nothing else.
        assert stats.connection_stats.messages_received <= exchange.account().total


@pytest.mark.parametrize("options", WAYS)
async def test_through_unsubscribes_and_forgotten_subscriptions(options: dict[str, Any]) -> None:
    async with Exchange(rate=0) as exchange, multiplex(exchange.uri, queue_size=50, **options) as mux:
        kept = []
        for turn in range(2 * len(CHANNELS)):
            channel = CHANNELS[turn % len(CHANNELS)]
            subscription = await mux.subscribe(channel)
            await subscription.recv(timeout=10)
            await exchange.wait_sent(exchange.sent() + 200)
            balance(mux)
            assert await mux.unsubscribe(channel)
            balance(mux)
            if turn % 2:
                kept.append(subscription)
            del subscription
            gc.collect()
            balance(mux)
        queued = balance(mux).total_messages_queued
        assert queued == sum(subscription.stats().queue_size for subscription in kept) > 0
        for subscription in kept:
            async for _ in subscription:
                balance(mux)
        assert balance(mux).total_messages_queued == 0
        kept.clear()
        gc.collect()
        stats = balance(mux)
        assert (stats.total_subscriptions, stats.active_subscriptions) == (2 * len(CHANNELS), 0)


@pytest.mark.parametrize("options", WAYS)
async def test_a_subscription_that_nobody_holds_is_still_one(exchange: Exchange, options: dict[str, Any]) -> None:
    """The multiplex holds it: a channel that was asked for is not lost with the caller's reference."""
    async with multiplex(exchange.uri, **options) as mux:
        await mux.subscribe("a")
        gc.collect()
        await exchange.wait_subscribed("a")
        exchange.publish("a", 1)
        await mux.ping()
        assert balance(mux).total_messages_queued == 1
        subscription = mux.get_subscription("a")
        assert subscription is not None
        assert (await subscription.recv())["data"] == 1


async def test_an_iterator_outlives_its_subscription(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        subscription = await mux.subscribe("a")
        await exchange.wait_subscribed("a")
        exchange.publish("a", 1)
        await mux.ping()
        arriving = aiter(subscription)
        await subscription.close()
        del subscription
        gc.collect()
        assert balance(mux).total_messages_queued == 1
        assert (await anext(arriving))["data"] == 1
        assert balance(mux).total_messages_delivered == 1


@pytest.mark.parametrize("options", WAYS)
async def test_messages_that_cannot_be_decoded_count_as_delivered(exchange: Exchange, options: dict[str, Any]) -> None:
    def refuse(raw: bytes) -> Any:
        raise LookupError("no")

    async with multiplex(exchange.uri, **options) as mux:
        subscription = await mux.subscribe("a", deserializer=refuse)
        await exchange.wait_subscribed("a")
        for number in range(3):
            exchange.publish("a", number)
        for _ in range(3):
            with pytest.raises(DecodeError):
                await subscription.recv()
        assert balance(mux).total_messages_delivered == 3


async def test_after_the_end_it_still_balances(exchange: Exchange) -> None:
    mux = multiplex(exchange.uri, queue_size=2)
    await mux.connect()
    subscription = await mux.subscribe("a")
    await exchange.wait_subscribed("a")
    for number in range(5):
        exchange.publish("a", number)
    await mux.ping()
    await mux.close()
    stats = balance(mux)
    assert (stats.total_messages_routed, stats.total_messages_queued, stats.total_messages_dropped) == (5, 2, 3)
    assert [message["data"] async for message in subscription] == [3, 4]
    assert balance(mux).total_messages_delivered == 2
