"""A channel that is asked for anew: a gap for each time that data may be missing, and what blocks is not in the way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jetsocket import Gap, Multiplex
from jetsocket.protocol.channels import ChannelState
from jetsocket.testing import Exchange

from .dialects import DIALECTS, desk, gone, name, names, number, reach
from .peers import multiplex, told


async def read(subscription: Any, dialect: str, count: int) -> list[Any]:
    """Each message as its number, each gap as its reason."""
    return [_brief(dialect, await subscription.recv(timeout=5)) for _ in range(count)]


def _brief(dialect: str, item: Any) -> Any:
    return item.reason if isinstance(item, Gap) else number(dialect, item)


# Asked for anew on the same connection.


@pytest.mark.parametrize(
    ("dialect", "trigger"),
    [
        ("binance", "stale"),
        ("okx", "stale"),
        ("kraken", "stale"),
        ("bitfinex", "stale"),
        ("coinbase", "stale"),
        ("bitfinex", "notice"),
        ("bitfinex", "revoked"),
        ("coinbase", "revoked"),
    ],
)
async def test_a_channel_that_is_asked_for_anew_is_one_gap_for_each_consumer(dialect: str, trigger: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        told_gaps = told(mux, "gap")
        stale_after = 0.1 if trigger == "stale" else None
        one = await mux.subscribe(channel, events=True, stale_after=stale_after)
        other = await mux.subscribe(channel, shared=False, events=True)
        quiet = await mux.subscribe(channel, shared=False)
        exchange.publish(channel, 2)
        for subscription in (one, other, quiet):
            assert await read(subscription, dialect, 2) == [1, 2]
        before = time.time_ns()
        if trigger == "notice":
            exchange.notice("resumed")
        elif trigger == "revoked":
            exchange.revoke(channel)
        await asyncio.wait_for(exchange.until(gone(exchange, channel)), 5)
        # What it would have sent meanwhile.
        exchange.skip(channel, 3)
        await asyncio.wait_for(exchange.wait_subscribed(channel), 5)
        exchange.publish(channel)
        for subscription in (one, other):
            gap: Any = await subscription.recv(timeout=5)
            assert (gap.channel, gap.reason, gap.dropped) == (channel, "resubscribe", None)
            assert before <= gap.since <= gap.until <= time.time_ns()
            assert await read(subscription, dialect, 1) == [6]
            assert await asyncio.wait_for(told_gaps.get(), 5) is gap
        assert await read(quiet, dialect, 1) == [6]
        assert len(exchange.connections) == 1
        assert told_gaps.empty()


@pytest.mark.parametrize("dialect", ["bitfinex", "coinbase"])
async def test_what_it_missed_is_recovered_and_numbers_that_do_not_follow_are_no_further_gap(dialect: str) -> None:
    calls: list[tuple[str, str]] = []

    async def recover(channel: str, gap: Gap) -> int:
        calls.append((channel, gap.reason))
        return exchange.sequence(channel)

    channel = name(dialect)
    path = {"bitfinex": "[2][0]", "coinbase": "events[0].trades[0].trade_id"}[dialect]
    async with desk(dialect) as (exchange, mux):
        trades = await mux.subscribe(channel, recover=recover, sequence=path)
        exchange.publish(channel)
        await mux.ping()
        exchange.revoke(channel)
        exchange.publish(channel, 4)
        await asyncio.wait_for(exchange.wait_subscribed(channel), 5)
        exchange.publish(channel)
        assert await read(trades, dialect, 3) == [1, "resubscribe", 6]
        assert calls == [(channel, "resubscribe")]


async def test_a_new_consumer_is_given_the_old_ones_last_data_and_then_a_gap() -> None:
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        await mux.subscribe(channel)
        exchange.ignore_requests(channel)
        await mux.unsubscribe(channel)
        await asyncio.wait_for(exchange.wait_requests(2), 5)
        asked = asyncio.create_task(mux.subscribe(channel, events=True, timeout=5))
        group = asyncio.create_task(mux.subscribe_group([channel, name("bitfinex", 1)], events=True, timeout=5))
        await reach(lambda: reconciled(mux, channel) is ChannelState.RETURNING)
        exchange.publish(channel, 2)
        await mux.ping()
        late = asyncio.create_task(mux.subscribe(channel, events=True, timeout=5, shared=False))
        await asyncio.sleep(0)
        exchange.revoke(channel)
        exchange.publish(channel, 5)
        exchange.accept()
        trades = await asked
        exchange.publish(channel)
        assert await read(trades, "bitfinex", 4) == [1, 2, "resubscribe", 8]
        assert [_brief("bitfinex", item if isinstance(item, Gap) else item[1]) for item in await all_of(group, 4)] == [
            1,
            2,
            "resubscribe",
            8,
        ]
        # Of what was never there nothing is missing.
        assert await read(await late, "bitfinex", 1) == [8]


def reconciled(mux: Multiplex[Any], channel: str) -> ChannelState:
    """Where the channel stands."""
    assert mux._reconciler is not None
    return mux._reconciler.state_of(channel)


async def all_of(asked: asyncio.Task[Any], count: int) -> list[Any]:
    subscription = await asked
    return [await subscription.recv(timeout=5) for _ in range(count)]


async def test_in_the_plain_way_it_is_a_gap_that_is_over_at_once(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        trades = await mux.subscribe("a", events=True, stale_after=0.1)
        await exchange.wait_subscribed("a")
        exchange.publish("a", 1)
        assert (await trades.recv(timeout=5))["data"] == 1
        gap: Any = await trades.recv(timeout=5)
        assert (gap.channel, gap.reason) == ("a", "resubscribe")
        assert gap.since <= gap.until


# Lost once more before it was there again.


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_data_between_two_losses_make_the_second_one_a_gap_of_its_own(dialect: str) -> None:
    channel = name(dialect)
    recovered: list[Gap] = []

    async def recover(_: str, gap: Gap) -> None:
        recovered.append(gap)

    # Where data come before the key, they belong to nobody when the connection is lost.
    between = [] if dialect == "bitfinex" else [5, 6, "reconnect"]
    async with desk(dialect) as (exchange, mux):
        trades = await mux.subscribe(channel, recover=recover)
        exchange.publish(channel, 2)
        await mux.ping()
        exchange.delay_acks()
        exchange.drop_all()
        exchange.publish(channel, 2)
        await asyncio.wait_for(exchange.wait_subscribed(channel), 5)
        exchange.publish(channel, 2)
        await mux.ping()
        exchange.drop_all()
        exchange.publish(channel, 5)
        exchange.release_acks()
        await asyncio.wait_for(exchange.wait_accepted(3), 5)
        await asyncio.wait_for(exchange.wait_subscribed(channel), 5)
        exchange.publish(channel)
        expected = [1, 2, "reconnect", *between, 12]
        assert await read(trades, dialect, len(expected)) == expected
        assert all(gap.until is not None for gap in recovered)
        assert len(recovered) == expected.count("reconnect")


# What blocks.


def balanced(mux: Multiplex[Any]) -> None:
    stats = mux.stats()
    came_to = stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
    assert stats.total_messages_routed + stats.total_messages_copied == came_to
    assert stats.total_messages_dropped == 0


async def recover_nothing(_: str, gap: Gap) -> str:
    return gap.reason


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("how", ["lost", "asked anew"])
async def test_a_recorder_that_recovers_gets_an_answer_that_stands_behind_data(dialect: str, how: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        trades = await mux.subscribe(channel, overflow="block", queue_size=5, recover=recover_nothing)
        taking = asyncio.ensure_future(read(trades, dialect, 31))
        exchange.delay_acks()
        if how == "lost":
            exchange.drop_all()
        else:
            assert mux.ask_anew(channel)
            await asyncio.wait_for(exchange.until(gone(exchange, channel)), 5)
            exchange.release_acks()
            exchange.delay_acks()
        await asyncio.wait_for(exchange.wait_subscribed(channel), 5)
        exchange.publish(channel, 30)
        exchange.release_acks()
        assert await asyncio.wait_for(taking, 5) == [
            "reconnect" if how == "lost" else "resubscribe",
            *range(1, 31),
        ]
        assert (trades.ring.capacity, mux.is_held_up) == (5, False)
        balanced(mux)


async def test_a_group_that_recovers_has_no_bounds_until_all_of_its_channels_are_there() -> None:
    one, silent, other = channels = names("bitfinex", 3)
    async with desk("bitfinex") as (exchange, mux):
        group: Any = await mux.subscribe_group(channels, overflow="block", queue_size=5, recover=recover_nothing)
        assert group.ring.capacity == 5
        exchange.ignore_requests(silent)
        exchange.drop_all()
        await asyncio.wait_for(exchange.wait_subscribed(one, other), 5)
        await reach(lambda: reconciled(mux, other) is ChannelState.SUBSCRIBED)
        for channel in (one, other):
            exchange.publish(channel, 20)
        await mux.ping()
        assert (group.ring.capacity, mux.is_held_up) == (0, False)
        # A channel that goes is not waited for.
        await mux.unsubscribe(silent)
        assert group.ring.capacity == 5
        found = [await group.recv(timeout=5) for _ in range(43)]
        gaps = [item for item in found if isinstance(item, Gap)]
        assert [(gap.channel, gap.recovered) for gap in gaps] == [
            (one, "reconnect"),
            (silent, None),
            (other, "reconnect"),
        ]
        balanced(mux)


# What a group recovers.


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_group_recovers_each_channel_of_which_its_queue_has_dropped_some(overflow: Any) -> None:
    calls: list[tuple[str, int | None]] = []

    async def recover(channel: str, gap: Gap) -> None:
        calls.append((channel, gap.dropped))

    one, other, none = channels = names("kraken", 3)
    async with desk("kraken") as (exchange, mux):
        told_gaps = told(mux, "gap")
        group = await mux.subscribe_group(channels, overflow=overflow, queue_size=4, recover=recover)
        for _ in range(2):
            calls.clear()
            for channel, count in ((one, 3), (other, 2), (one, 3), (other, 1)):
                exchange.publish(channel, count)
            await mux.ping()
            found: list[Any] = [await group.recv(timeout=5) for _ in range(6)]
            gaps = [item for item in found if isinstance(item, Gap)]
            assert [(gap.channel, gap.dropped) for gap in gaps] == calls == [(one, 3), (other, 2)]
            assert {gap.reason for gap in gaps} == {"overflow"}
            assert [await asyncio.wait_for(told_gaps.get(), 5) for _ in gaps] == gaps
        assert none not in [channel for channel, _ in calls]


async def test_a_channel_that_has_left_the_group_is_recovered_as_far_as_it_is_queued() -> None:
    one, other = channels = names("kraken", 2)
    async with desk("kraken") as (exchange, mux):
        group = await mux.subscribe_group(channels, queue_size=4, recover=recover_nothing)
        exchange.publish(one, 3)
        await mux.ping()
        await mux.unsubscribe(one)
        exchange.publish(other, 3)
        await mux.ping()
        gap: Any = await group.recv(timeout=5)
        assert (gap.channel, gap.dropped, gap.recovered) == (one, 2, "overflow")
        assert [(await group.recv(timeout=5))[0] for _ in range(4)] == [one, other, other, other]


async def test_a_group_recovers_all_of_its_channels_where_nobody_knows_whose_numbers_are_missing() -> None:
    channels = names("coinbase", 2)
    calls: list[str] = []

    async def recover(channel: str, gap: Gap) -> None:
        calls.append(channel)
        assert (gap.reason, gap.dropped) == ("sequence", 5)

    async with desk("coinbase", options={"sequence": "sequence_num"}) as (exchange, mux):
        group = await mux.subscribe_group(channels, recover=recover)
        exchange.publish(channels[0])
        message = (await group.recv(timeout=5))[1]
        exchange.send_text(f'{{"channel":"nobody knows","sequence_num":{message["sequence_num"] + 6}}}')
        assert [(await group.recv(timeout=5)).channel for _ in channels] == channels == calls


async def test_who_only_asked_for_events_is_told_of_the_groups_queue_as_one() -> None:
    channels = names("kraken", 2)
    async with desk("kraken") as (exchange, mux):
        group = await mux.subscribe_group(channels, queue_size=2, events=True)
        exchange.publish(channels[0], 5)
        await mux.ping()
        gap: Any = await group.recv(timeout=5)
        assert (gap.channel, gap.reason, gap.dropped) == ("a group of 2 channels", "overflow", 3)
