"""Several channels or several who ask, at exchanges that confirm: the same for the five dialects."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jetsocket import InvalidStateError, Multiplex, SubscriptionError
from jetsocket.testing import VenueExchange

from .dialects import UNHURRIED, VENUES, desk, gone, name, names, number
from .peers import AT_ONCE, told

# Several at once.


async def test_one_bad_channel_does_not_refuse_the_others(dialect: str) -> None:
    wanted = names(dialect, 12)
    bad = wanted[5]
    async with desk(dialect, pace=(), exchange={"limits": None}) as (exchange, mux):
        exchange.limits = replace(exchange.limits, messages=())
        exchange.refuse(bad)
        many = await mux.subscribe_many(wanted, timeout=10)
        assert sorted(exchange.subscribed()) == sorted(set(wanted) - {bad})
        assert list(many.failures) == [bad]
        assert isinstance(many.failures[bad], SubscriptionError)
        with pytest.raises(SubscriptionError):
            many.raise_failed()


@pytest.mark.parametrize("form", ["quoted", "unnumbered"])
async def test_one_bad_channel_of_a_request_that_is_refused_as_a_whole(form: str) -> None:
    """OKX quotes the whole request; Binance's older form says nothing of whose it is: it must be the only one."""
    from jetsocket.testing.dialects.binance import BinanceDialect

    dialect = "okx" if form == "quoted" else "binance"
    wanted = names(dialect, 9)
    venue = replace(VENUES[dialect], pace=(), one_at_a_time=form == "unnumbered")
    spoken: Any = "okx" if form == "quoted" else BinanceDialect(errors_with_id=False)
    async with (
        VenueExchange(spoken) as exchange,
        Multiplex(exchange.uri, venue=venue, backoff=AT_ONCE) as mux,
    ):
        exchange.limits = replace(exchange.limits, messages=())
        exchange.refuse(wanted[7], "60012" if form == "quoted" else None)
        many = await mux.subscribe_many(wanted, timeout=10)
        assert list(many.failures) == [wanted[7]]
        assert sorted(exchange.subscribed()) == sorted(set(wanted) - {wanted[7]})


async def test_two_who_ask_for_the_same_ask_once(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        first, second = await asyncio.gather(mux.subscribe(channel), mux.subscribe(channel))
        assert first is second
        assert len(exchange.requests) == 1


async def test_of_two_who_ask_for_the_same_one_may_give_up(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        first = asyncio.ensure_future(mux.subscribe(channel))
        second = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        first.cancel()
        await asyncio.wait([first])
        exchange.release_acks()
        subscription = await second
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1
        assert len(exchange.requests) == 1


async def test_when_both_give_up_the_server_is_told(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        both = [asyncio.ensure_future(mux.subscribe(channel)) for _ in range(2)]
        await exchange.wait_subscribed(channel)
        for one in both:
            one.cancel()
        await asyncio.wait(both)
        assert mux.list_subscriptions() == []
        exchange.release_acks()
        await exchange.until(gone(exchange, channel))


async def test_an_unsubscribe_ends_a_subscribe_that_still_waits(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        assert await mux.unsubscribe(channel)
        with pytest.raises(InvalidStateError, match="unsubscribed meanwhile"):
            await subscribing
        exchange.release_acks()
        await exchange.until(gone(exchange, channel))


async def test_who_was_unsubscribed_is_not_given_what_another_has_asked_for_since(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        first = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        await mux.unsubscribe(channel)
        asyncio.get_running_loop().call_soon(exchange.release_acks)
        subscription = await mux.subscribe(channel)
        with pytest.raises(InvalidStateError, match="unsubscribed meanwhile"):
            await first
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_a_close_ends_a_subscribe_that_waits(dialect: str) -> None:
    async with desk(dialect) as (exchange, mux):
        exchange.ignore_requests()
        subscribing = [asyncio.ensure_future(mux.subscribe(channel)) for channel in names(dialect, 3)]
        await exchange.wait_requests(1)
        await mux.close()
        outcomes = await asyncio.gather(*subscribing, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [InvalidStateError] * 3
        assert mux.stats().active_subscriptions == 0


async def test_a_subscribe_waits_for_the_next_connection(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.ignore_requests()
        subscribing = asyncio.ensure_future(mux.subscribe(channel, timeout=5))
        await exchange.wait_requests(1)
        exchange.accept()
        exchange.drop_all()
        subscription = await subscribing
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


# As many as a connection may have.


async def test_no_more_channels_than_a_connection_may_have(dialect: str) -> None:
    one, two, three = names(dialect, 3)
    async with desk(dialect, max_channels=2) as (exchange, mux):
        many = await mux.subscribe_many([one, two, three], timeout=5)
        assert list(many.failures) == [three]
        assert "allows 2 channels on a connection; use another Multiplex" in str(many.failures[three])
        assert mux.list_subscriptions() == [one, two]
        # What is left makes room at once, though the server has not confirmed it yet.
        await mux.unsubscribe(one)
        await mux.subscribe(three, timeout=2)
        assert sorted(exchange.subscribed()) == [two, three]
        assert exchange.violations == []


async def test_what_was_refused_takes_no_place(dialect: str) -> None:
    one, two, three = names(dialect, 3)
    async with desk(dialect, max_channels=2) as (exchange, mux):
        exchange.refuse(one)
        exchange.refuse(two)
        for channel in (one, two):
            with pytest.raises(SubscriptionError):
                await mux.subscribe(channel, timeout=2)
        exchange.accept()
        await mux.subscribe(three, timeout=2)
        await mux.subscribe(one, timeout=2)
        with pytest.raises(SubscriptionError, match="allows 2 channels"):
            await mux.subscribe(two, timeout=2)


async def test_a_group_goes_on_without_what_finds_no_place(dialect: str) -> None:
    one, two, three = names(dialect, 3)
    async with desk(dialect, max_channels=2) as (exchange, mux):
        group = await mux.subscribe_group([one, two, three], timeout=5)
        assert list(group.refused) == [three]
        assert group.channels == (one, two)
        exchange.publish(two)
        channel, message = await group.recv(timeout=2)
        assert (channel, number(dialect, message)) == (two, 1)
        assert mux.list_subscriptions() == [one, two]


async def test_a_group_goes_on_without_what_is_refused(dialect: str) -> None:
    wanted = names(dialect, 4)
    async with desk(dialect, **UNHURRIED) as (exchange, mux):
        exchange.refuse(wanted[1])
        group = await mux.subscribe_group(wanted, timeout=5)
        assert list(group.refused) == [wanted[1]]
        assert group.channels == (wanted[0], *wanted[2:])
        exchange.publish(wanted[3], 2)
        assert [channel for channel, _ in [await group.recv(timeout=2) for _ in range(2)]] == [wanted[3]] * 2


async def test_a_group_of_which_all_is_refused_fails(dialect: str) -> None:
    async with desk(dialect) as (exchange, mux):
        exchange.refuse()
        with pytest.raises(SubscriptionError):
            await mux.subscribe_group(names(dialect, 3), timeout=5)
        assert mux.list_subscriptions() == []
        assert mux.stats().active_subscriptions == 0


async def test_a_refused_channel_is_watched_no_more(dialect: str) -> None:
    """Neither is its silence a reason to replace the connection, nor that nothing comes where nothing is left."""
    channel, other = names(dialect, 2)
    async with desk(dialect, data_timeout=0.1) as (exchange, mux), desk(dialect, data_timeout=0.1) as (_, quiet):
        exchange.refuse(channel)
        with pytest.raises(SubscriptionError):
            await mux.subscribe(channel, timeout=2, stale_after=0.02)
        stale, silent = told(mux, "stale"), told(mux, "silent")
        exchange.accept()
        await mux.subscribe(other, timeout=2, stale_after=0.05)
        assert (await asyncio.wait_for(stale.get(), 2)).channel == other
        assert stale.empty()
        await mux.unsubscribe(other)
        # On a busy machine the other was silent for long enough for more.
        for queue in (stale, silent):
            while not queue.empty():
                queue.get_nowait()
        # Where something is left it is noticed, of what began later.
        noticed = told(quiet, "silent")
        await quiet.subscribe(channel, timeout=2)
        await asyncio.wait_for(noticed.get(), 2)
        assert silent.empty()
        assert stale.empty()
