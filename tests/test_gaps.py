"""Gaps: in their place between the messages, by every way of taking, and one for each time that data are missing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jetsocket import BufferOverflowError, Gap
from jetsocket.testing import Exchange

from .dialects import DIALECTS, desk, name
from .peers import multiplex, told
from .taking import (
    BTC,
    TAKING,
    Take,
    briefly,
    by_recv,
    datum,
    trade,
)

# After a reconnect.


@pytest.mark.parametrize("take", TAKING)
async def test_a_reconnect_is_a_gap_between_the_messages(take: Take) -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        resubscribed = told(mux, "resubscribed")
        exchange.publish(BTC, 2)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC, 2)
        await mux.ping()
        assert briefly(await take(trades, 5), trade) == [1, 2, "reconnect", 3, 4]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_its_times_lie_around_the_loss(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        subscription = await mux.subscribe(channel, events=True)
        arriving = subscription.messages()
        resubscribed, told_gaps = told(mux, "resubscribed"), told(mux, "gap")
        exchange.publish(channel)
        last: Any = await anext(arriving)
        await mux.ping()
        before_loss = time.time_ns()
        exchange.drop_all()
        # Who has read everything is told at once, and the end is known later.
        gap: Any = await anext(arriving)
        assert (gap.channel, gap.reason, gap.dropped, gap.recovered) == (channel, "reconnect", None, None)
        assert last.received_ns <= gap.since <= before_loss + 5_000_000
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(channel)
        first: Any = await anext(arriving)
        assert gap.since < before_loss + 5_000_000 < gap.until + 5_000_000
        assert gap.since <= gap.until <= first.received_ns
        assert told_gaps.get_nowait() is gap
        assert mux.stats().events["gap"] == 1


async def test_a_connection_that_fails_again_and_again_is_one_gap() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        resubscribed, gaps = told(mux, "resubscribed"), told(mux, "gap")
        exchange.publish(BTC)
        await mux.ping()
        # Connected, but never confirmed.
        exchange.ignore_requests(BTC)
        for number_of in (2, 3):
            requests = len(exchange.requests)
            exchange.drop_all()
            await exchange.wait_accepted(number_of)
            await exchange.wait_requests(requests + 1)
        # Nor connected.
        exchange.refuse_handshakes(times=2)
        exchange.drop_all()
        await exchange.wait_refused(2)
        exchange.accept()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC)
        assert briefly(await by_recv(trades, 3), trade) == [1, "reconnect", 2]
        assert gaps.qsize() == 1


async def test_in_the_plain_way_it_is_over_when_it_has_been_asked_for(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        plain, telling = await mux.subscribe("a"), await mux.subscribe("b", events=True)
        await exchange.wait_subscribed("a", "b")
        reconnected = told(mux, "reconnected")
        for channel in ("a", "b"):
            exchange.publish(channel, 1)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(reconnected.get(), 5)
        await exchange.wait_subscribed("a", "b")
        for channel in ("a", "b"):
            exchange.publish(channel, 2)
        assert briefly(await by_recv(plain, 2), datum) == [1, 2]
        found = await by_recv(telling, 3)
        assert briefly(found, datum) == [1, "reconnect", 2]
        assert found[1].until is not None


async def test_a_multiplex_that_is_closed_by_its_user_leaves_no_gap() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        exchange.publish(BTC)
        await mux.ping()
        await mux.close()
        assert [trade(item) async for item in trades] == [1]
        assert "gap" not in mux.stats().events


async def test_a_connection_that_is_lost_for_good_is_a_gap_and_then_its_error() -> None:
    async with desk("binance", options={"reconnect": False}) as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        exchange.publish(BTC)
        await mux.ping()
        exchange.drop_all()
        assert briefly(await by_recv(trades, 2), trade) == [1, "reconnect"]
        with pytest.raises(ConnectionError):
            await trades.recv(timeout=5)
        # The user connects again: the gap ends there.
        await mux.connect()
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC)
        assert trade(await trades.recv(timeout=5)) == 2


# After an overflow.


@pytest.mark.parametrize("take", TAKING)
@pytest.mark.parametrize(
    ("overflow", "expected"),
    [("drop_oldest", ["overflow", 4, 5, 6]), ("drop_newest", [1, 2, 3, "overflow"]), ("latest", ["overflow", 6])],
)
async def test_an_overflow_is_one_gap_with_the_count(take: Take, overflow: Any, expected: list[Any]) -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=3, overflow=overflow)
        gaps = told(mux, "gap")
        exchange.publish(BTC, 6)
        await mux.ping()
        found = await take(trades, len(expected))
        assert briefly(found, trade) == expected
        (gap,) = [item for item in found if isinstance(item, Gap)]
        assert (gap.channel, gap.dropped) == (BTC, trades.stats().messages_dropped)
        assert gap.dropped == (5 if overflow == "latest" else 3)
        assert await asyncio.wait_for(gaps.get(), 5) is gap
        assert gaps.empty()


async def test_an_overflow_that_raises_is_told_all_the_same() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=3, overflow="error")
        gaps = told(mux, "gap")
        exchange.publish(BTC, 6)
        await mux.ping()
        assert briefly(await by_recv(trades, 3), trade) == [1, 2, 3]
        with pytest.raises(BufferOverflowError, match=r"the queue of 'btcusdt@trade' was full: 3 messages dropped"):
            await trades.recv()
        assert (await asyncio.wait_for(gaps.get(), 5)).dropped == 3
        exchange.publish(BTC)
        assert trade(await trades.recv(timeout=5)) == 7


async def test_a_queue_that_blocks_has_no_gap() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=3, overflow="block")
        exchange.publish(BTC, 50)
        assert briefly(await by_recv(trades, 50), trade) == list(range(1, 51))


async def test_every_kind_of_gap_has_its_place_in_one_queue() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=4, overflow="drop_newest", sequence="data.t")
        resubscribed = told(mux, "resubscribed")
        exchange.publish(BTC)
        exchange.skip(BTC, 2)
        exchange.publish(BTC)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC, 5)
        await mux.ping()
        found = await by_recv(trades, 7)
        assert briefly(found, trade) == [1, "sequence", 4, "reconnect", 5, 6, "overflow"]
        assert [item.dropped for item in found if isinstance(item, Gap)] == [2, None, 3]
