"""Groups beside a subscription of its own to one of their channels; several consumers of one channel."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from jetsocket.testing import Exchange

from .accounts import balanced
from .dialects import DIALECTS, desk, gone, name, names, number, reach
from .grouping import WAYS, pairs
from .peers import multiplex, told


async def test_a_group_and_a_single_subscription_of_the_same_channel() -> None:
    one, other = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group([one, other])
        single = await mux.subscribe(one)
        assert mux.get_subscription(one) is single
        assert mux.get_subscription(other) is None
        for channel in (one, other):
            exchange.publish(channel, 2)
        assert await pairs(group, 4) == [(one, 1), (one, 2), (other, 1), (other, 2)]
        assert [number("binance", await single.recv(timeout=5)) for _ in range(2)] == [1, 2]
        stats = balanced(mux, group, single)
        assert (stats.total_messages_routed, stats.total_messages_copied) == (4, 2)
        requests = len(exchange.requests)
        await single.close()
        balanced(mux, group, single)
        exchange.publish(one)
        assert await pairs(group, 1) == [(one, 3)]
        assert len(exchange.requests) == requests
        await group.close()
        await reach(lambda: not exchange.subscribed())


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_server_is_told_when_the_last_consumer_ends_and_only_then(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        shared = await mux.subscribe(channel)
        first, second = [await mux.subscribe(channel, shared=False) for _ in range(2)]
        assert len({id(each) for each in (shared, first, second, await mux.subscribe(channel))}) == 3
        assert len(exchange.requests) == 1
        exchange.publish(channel)
        for consumer in (shared, first, second):
            assert number(dialect, await consumer.recv(timeout=5)) == 1
        for closing, left in ((shared, [first, second]), (first, [second])):
            await closing.close()
            exchange.publish(channel)
            await mux.ping()
            for consumer in left:
                await consumer.recv(timeout=5)
            balanced(mux, shared, first, second)
        assert exchange.subscribed() == [channel]
        assert len(exchange.requests) == 1
        await second.close()
        await exchange.until(gone(exchange, channel))
        assert len(exchange.requests) == 2
        assert not any(each.is_active for each in (shared, first, second))


@pytest.mark.parametrize("way", WAYS)
async def test_consumers_that_come_and_go_are_counted_right(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, queue_size=3, **way) as mux:
        consumers = [await mux.subscribe("a", shared=False)]
        await exchange.wait_subscribed("a")
        sent = copied = 0

        async def publish(count: int) -> None:
            nonlocal sent, copied
            sent += count
            copied += count * (len(consumers) - 1)
            for step in range(count):
                exchange.publish("a", step)
            await mux.ping()
            stats = balanced(mux, *consumers)
            assert (stats.total_messages_routed, stats.total_messages_copied) == (sent, copied)

        await publish(2)
        consumers.append(await mux.subscribe("a", shared=False))
        await publish(3)
        consumers.append(await mux.subscribe("a"))
        await publish(5)
        await consumers.pop(0).close()
        await publish(1)
        await consumers.pop().close()
        await publish(4)
        consumers.append(await mux.subscribe_group(["a", "b"]))
        await publish(2)
        assert await mux.unsubscribe("a")
        gc.collect()
        balanced(mux, *consumers)


async def test_unsubscribe_ends_all_consumers_of_a_channel() -> None:
    channel, other = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        consumers = [await mux.subscribe(channel), await mux.subscribe(channel, shared=False)]
        group = await mux.subscribe_group([channel, other])
        assert await mux.unsubscribe(channel)
        await exchange.until(gone(exchange, channel))
        assert not any(consumer.is_active for consumer in consumers)
        assert group.is_active
        assert group.channels == (other,)
        assert not await mux.unsubscribe(channel)


async def test_a_second_consumer_is_restored_as_the_first_is() -> None:
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        first, second = await mux.subscribe(channel), await mux.subscribe(channel, shared=False)
        resubscribed = told(mux, "resubscribed")
        exchange.drop_all()
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 1
        exchange.publish(channel)
        for consumer in (first, second):
            assert number("bitfinex", await consumer.recv(timeout=5)) == 1
        balanced(mux, first, second)


async def test_what_a_decoding_cannot_read_names_its_channel(exchange: Exchange) -> None:
    def refuse(raw: bytes) -> Any:
        raise LookupError("no")

    async with multiplex(exchange.uri) as mux:
        group = await mux.subscribe_group(["a", "b"], deserializer=refuse)
        await exchange.wait_subscribed("a", "b")
        exchange.publish("b", 1)
        with pytest.raises(ValueError, match="cannot decode a message of 'b'"):
            await group.recv(timeout=5)
