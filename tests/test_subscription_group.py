"""Groups: one queue and one task for many channels."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import Any

import pytest

from jetsocket import (
    BufferOverflowError,
    Gap,
    InvalidStateError,
    Multiplex,
    SubscriptionError,
    TimeoutError,
)
from jetsocket.testing import Exchange

from .accounts import balanced
from .dialects import DIALECTS, UNHURRIED, desk, gone, names, reach
from .grouping import WAYS, drained, pairs
from .peers import multiplex, told

# Order.


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_messages_of_many_channels_come_in_the_order_of_their_arrival(dialect: str) -> None:
    channels = names(dialect, 10)
    async with desk(dialect) as (exchange, mux):
        group = await mux.subscribe_group(channels, timeout=5)
        assert group.channels == tuple(channels)
        assert group.refused == {}
        order = [channels[step * 7 % 10] for step in range(50)]
        for channel in order:
            exchange.publish(channel)
        seen: Counter[str] = Counter()
        expected = []
        for channel in order:
            seen[channel] += 1
            expected.append((channel, seen[channel]))
        assert await pairs(group, 50, dialect) == expected
        balanced(mux, group)


@pytest.mark.parametrize("way", WAYS)
async def test_in_the_plain_way_too(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        group = await mux.subscribe_group(["a", "b", "c"])
        await exchange.wait_subscribed("a", "b", "c")
        for step in range(9):
            exchange.publish("abc"[step * 2 % 3], step)
        expected = [("abc"[step * 2 % 3], step) for step in range(9)]
        found = [await group.recv(timeout=5) for _ in range(9)]
        assert [(channel, message["data"]) for channel, message in found] == expected
        balanced(mux, group)
        assert await mux.unsubscribe("b")
        balanced(mux, group)
        await group.close()
        await exchange.wait_requests(6)
        asked = [(request.message["method"], request.message["params"][0]) for request in exchange.requests]
        assert asked[3] == ("UNSUBSCRIBE", "b")
        assert sorted(asked[4:]) == [("UNSUBSCRIBE", "a"), ("UNSUBSCRIBE", "c")]
        balanced(mux, group)


async def test_it_is_asked_for_in_as_few_messages_as_several() -> None:
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(names("binance", 100), timeout=5)
        assert len(exchange.requests) == 1
        assert len(group.channels) == 100
        assert mux.list_subscriptions() == names("binance", 100)
        await group.close()
        await reach(lambda: not exchange.subscribed())
        assert len(exchange.requests) == 2


async def test_batches_and_whole_messages_name_their_channel() -> None:
    one, other = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group([one, other])
        for channel in (one, other, one):
            exchange.publish(channel)
        await mux.ping()
        assert [channel for channel, _ in await group.recv_batch(2)] == [one, other]
        message: Any = await anext(group.messages())
        assert (message.channel, message.decode()["stream"]) == (one, one)


@pytest.mark.parametrize(
    ("channels", "error", "text"),
    [
        ([], ValueError, "a group needs at least one channel"),
        ("btcusdt@trade", TypeError, "channels must be several names, got str 'btcusdt@trade'"),
        ([1], TypeError, "channel must be a str, got int 1"),
    ],
)
async def test_what_cannot_be_a_group(channels: Any, error: type[Exception], text: str) -> None:
    async with desk("binance") as (_, mux):
        with pytest.raises(error, match=text):
            await mux.subscribe_group(channels)
        with pytest.raises(ValueError, match="a group keeps the order of its channels"):
            await mux.subscribe_group(["a"], overflow="latest")
        assert mux.list_subscriptions() == []
        assert mux.stats().total_subscriptions == 0


async def test_before_it_is_connected_there_is_none() -> None:
    mux: Multiplex[Any] = multiplex("ws://127.0.0.1:1/")
    with pytest.raises(InvalidStateError):
        await mux.subscribe_group(["a"])


# Refused and revoked.


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_channels_that_are_refused_are_told_and_the_others_flow(dialect: str) -> None:
    good, bad, fine = names(dialect, 3)
    async with desk(dialect, **UNHURRIED) as (exchange, mux):
        exchange.refuse(bad)
        refused = told(mux, "refused")
        group = await mux.subscribe_group([good, bad, fine], timeout=5)
        assert group.channels == (good, fine)
        assert list(group.refused) == [bad]
        assert isinstance(group.refused[bad], SubscriptionError)
        assert (await asyncio.wait_for(refused.get(), 5)).channel == bad
        for channel in (fine, good):
            exchange.publish(channel)
        assert await pairs(group, 2, dialect) == [(fine, 1), (good, 1)]
        balanced(mux, group)
        # It stays so on the next connection.
        resubscribed = told(mux, "resubscribed")
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(resubscribed.get(), 5)
        assert sorted(exchange.subscribed()) == sorted([good, fine])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_group_of_which_all_are_refused_is_none(dialect: str) -> None:
    channels = names(dialect, 3)
    async with desk(dialect) as (exchange, mux):
        exchange.refuse()
        with pytest.raises(SubscriptionError):
            await mux.subscribe_group(channels, timeout=5)
        assert mux.list_subscriptions() == []
        stats = balanced(mux)
        assert stats.active_subscriptions == 0


async def test_a_group_that_is_not_confirmed_in_time_is_none() -> None:
    channels = names("binance", 3)
    async with desk("binance", answer_timeout=0.1) as (exchange, mux):
        exchange.ignore_requests()
        with pytest.raises(TimeoutError, match=r"subscribe to 3 channels timed out after 0\.05 s"):
            await mux.subscribe_group(channels, timeout=0.05)
        assert mux.list_subscriptions() == []
        exchange.accept()
        group = await mux.subscribe_group(channels, timeout=5)
        exchange.publish(channels[1])
        assert await pairs(group, 1) == [(channels[1], 1)]


async def test_a_channel_that_is_revoked_later_leaves_the_group() -> None:
    one, other = "tickers:BTC-USDT", "books5:BTC-USDT"
    async with desk("okx") as (exchange, mux):
        group = await mux.subscribe_group([one, other], timeout=5)
        refused = told(mux, "refused")
        exchange.publish(one)
        exchange.revoke(other)
        error = await asyncio.wait_for(refused.get(), 5)
        assert (error.channel, list(group.refused)) == (other, [other])
        exchange.publish(one)
        for _ in range(2):
            assert (await group.recv(timeout=5))[0] == one
        # With the last one it ends, for its reason.
        exchange.revoke(one)
        with pytest.raises(SubscriptionError, match="tickers:BTC-USDT"):
            await group.recv(timeout=5)
        assert not group.is_active
        balanced(mux, group)


async def test_a_channel_that_is_refused_on_the_next_connection_does_not_hold_up_the_others() -> None:
    """Its gap has no end, and the group's gaps are healed all the same."""
    one, other = names("binance", 2)

    async def recover(channel: str, gap: Gap) -> str:
        return f"snapshot of {channel}"

    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group([one, other], recover=recover, queue_size=1)
        await mux.ping()
        exchange.refuse(other)
        exchange.drop_all()
        found = {(gap := await group.recv(timeout=5)).channel: gap.recovered for _ in range(2)}
        assert found == {one: f"snapshot of {one}", other: None}


# Ending.


async def test_one_channel_of_a_group_can_be_unsubscribed() -> None:
    channels = names("binance", 3)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(channels)
        for channel in channels:
            exchange.publish(channel, 2)
        await mux.ping()
        assert await mux.unsubscribe(channels[1])
        await exchange.until(gone(exchange, channels[1]))
        assert group.channels == (channels[0], channels[2])
        for channel in channels:
            exchange.publish(channel)
        # What was queued of it can still be read.
        found = await pairs(group, 8)
        assert found[:6] == [(channel, step) for channel in channels for step in (1, 2)]
        assert found[6:] == [(channels[0], 3), (channels[2], 3)]
        stats = balanced(mux, group)
        assert (stats.total_messages_routed, stats.active_subscriptions) == (8, 1)
        for channel in (channels[0], channels[2]):
            assert await mux.unsubscribe(channel)
        assert await drained(group) == []
        balanced(mux, group)


async def test_a_closed_group_can_be_read_out() -> None:
    channels = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(channels)
        for channel in channels:
            exchange.publish(channel)
        await mux.ping()
        await group.close()
        await group.close()
        await reach(lambda: not exchange.subscribed())
        assert [channel for channel, _ in await drained(group)] == channels
        del group
        gc.collect()
        assert balanced(mux).total_messages_delivered == 2


async def test_the_end_of_the_multiplex_is_the_end_of_the_group() -> None:
    channels = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(channels)
        reading = asyncio.ensure_future(drained(group))
        exchange.publish(channels[0])
        await mux.ping()
        await mux.close()
        assert len(await asyncio.wait_for(reading, 5)) == 1


async def test_a_group_is_there_again_after_a_reconnect_with_a_gap_for_each_channel() -> None:
    channels = names("binance", 3)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(channels, events=True)
        resubscribed = told(mux, "resubscribed")
        exchange.publish(channels[0])
        await mux.ping()
        exchange.drop_all()
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 3
        exchange.publish(channels[2])
        found = await pairs(group, 5)
        assert found == [(channels[0], 1), *((channel, "reconnect") for channel in channels), (channels[2], 1)]


async def test_a_break_in_the_numbers_names_its_channel() -> None:
    channels = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(channels, events=True, sequence="data.t")
        for channel in channels:
            exchange.publish(channel)
        exchange.skip(channels[1])
        for channel in channels:
            exchange.publish(channel)
        found = await pairs(group, 5)
        one, other = channels
        assert found == [(one, 1), (other, 1), (one, 2), (other, "sequence"), (other, 3)]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "error", "block"])
async def test_the_queue_is_one_and_so_is_its_bound(overflow: Any) -> None:
    channels = names("binance", 4)
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group(channels, queue_size=6, overflow=overflow)
        for _ in range(5):
            for channel in channels:
                exchange.publish(channel)
        if overflow != "block":
            await mux.ping()
        taken = 0
        while taken < (20 if overflow == "block" else 6):
            taken += len(await group.recv_batch(timeout=5))
        if overflow == "error":
            with pytest.raises(BufferOverflowError, match="14 messages dropped"):
                await group.recv(timeout=5)
        stats = balanced(mux, group)
        assert stats.total_messages_dropped == (0 if overflow == "block" else 14)
