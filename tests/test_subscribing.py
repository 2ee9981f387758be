"""How subscriptions come about and end, at exchanges that confirm: the same for the five dialects."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jetsocket import InvalidStateError, Multiplex, SubscriptionError, TimeoutError
from jetsocket.protocol.channels import ChannelState
from jetsocket.testing import VenueExchange

from .dialects import DIALECTS, VENUES, desk, gone, name, names, number, reach
from .peers import AT_ONCE, told

REASONS = {
    "binance": (2, "Invalid request: invalid stream"),
    "okx": ("60018", "doesn't exist"),
    "kraken": (None, "Currency pair not supported C0/USD"),
    "bitfinex": (10300, "symbol: invalid"),
    "coinbase": (None, "failure to subscribe"),
}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Confirmed, refused, silent.


async def test_subscribe_returns_when_the_server_has_confirmed(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        await mux.ping(timeout=2)
        assert not subscribing.done()
        exchange.release_acks()
        subscription = await subscribing
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1
        assert len(exchange.requests) == 1


async def test_a_refusal_says_what_the_server_said(dialect: str) -> None:
    channel = name(dialect)
    code, message = REASONS[dialect]
    async with desk(dialect) as (exchange, mux):
        exchange.refuse(channel)
        refused = told(mux, "refused")
        with pytest.raises(SubscriptionError) as caught:
            await mux.subscribe(channel, timeout=2)
        assert caught.value.channel == channel
        assert caught.value.code == code
        assert message in (caught.value.message or "")
        assert caught.value.raw is not None
        assert message.encode() in caught.value.raw
        assert repr(channel) in str(caught.value)
        assert (await refused.get()).channel == channel
        assert mux.list_subscriptions() == []
        assert mux.stats().active_subscriptions == 0


async def test_what_was_refused_can_be_asked_for_again(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.refuse(channel)
        with pytest.raises(SubscriptionError):
            await mux.subscribe(channel, timeout=2)
        exchange.accept(channel)
        subscription = await mux.subscribe(channel, timeout=2)
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_a_server_that_is_silent_is_told_to_stop_if_it_comes_after_all(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        with pytest.raises(TimeoutError) as caught:
            await mux.subscribe(channel, timeout=0.02)
        assert caught.value.operation == f"subscribe {channel!r}"
        assert exchange.subscribed() == [channel]
        exchange.release_acks()
        await exchange.until(gone(exchange, channel))
        subscription = await mux.subscribe(channel, timeout=2)
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_an_answer_that_comes_when_nobody_waits_for_it_any_more_is_heeded(dialect: str) -> None:
    """Later than the answer_timeout: whatever the client made of the silence, the server is told to stop."""
    channel = name(dialect)
    async with desk(dialect, answer_timeout=0.03, pace=()) as (exchange, mux):
        exchange.delay_acks()
        with pytest.raises(TimeoutError):
            await mux.subscribe(channel, timeout=0.01)
        await reach(lambda: mux._reconciler.state_of(channel) is ChannelState.IDLE)
        exchange.release_acks()
        await exchange.until(gone(exchange, channel))


async def test_what_is_not_answered_is_asked_for_again(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect, answer_timeout=0.05) as (exchange, mux):
        exchange.ignore_requests(channel, times=2)
        subscription = await mux.subscribe(channel, timeout=5)
        assert len(exchange.requests) == 3
        assert mux._reconciler.unanswered == 2
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_data_before_the_confirmation_are_kept(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.data_before_ack()
        subscription = await mux.subscribe(channel, timeout=2)
        exchange.publish(channel, 2)
        numbers = [number(dialect, await subscription.recv(timeout=2)) for _ in range(3)]
        assert numbers == [1, 2, 3]
        stats = mux.stats()
        assert stats.total_messages_routed == stats.total_messages_delivered == 3


async def test_data_right_behind_the_confirmation_are_kept(dialect: str) -> None:
    """In the same read: the snapshot that follows at once."""
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        exchange.release_acks()
        exchange.publish(channel, 3)
        subscription = await subscribing
        assert [number(dialect, await subscription.recv(timeout=2)) for _ in range(3)] == [1, 2, 3]


async def test_answers_never_reach_a_consumer(dialect: str) -> None:
    """Nor do what is refused, and what is left; and nothing of it is left over for `unrouted()`."""
    one, two, bad = names(dialect, 3)
    async with desk(dialect, options={"sequence": None}) as (exchange, mux):
        rest = mux.unrouted()
        exchange.refuse(bad)
        many = await mux.subscribe_many([one, two, bad], timeout=5)
        assert many.subscriptions.keys() == {one, two}
        assert many.failures.keys() == {bad}
        await mux.unsubscribe(two)
        await exchange.until(gone(exchange, two))
        exchange.publish(one)
        assert number(dialect, await many.subscriptions[one].recv(timeout=2)) == 1
        await mux.ping(timeout=2)
        assert [len(subscription.ring) for subscription in many.subscriptions.values()] == [0, 0]
        assert len(rest.ring) == 0


# Leaving.


async def test_the_server_confirms_the_end(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        subscription = await mux.subscribe(channel, timeout=2)
        exchange.publish(channel, 2)
        await reach(lambda: len(subscription.ring) == 2)
        assert await mux.unsubscribe(channel)
        await exchange.until(gone(exchange, channel))
        await reach(lambda: mux._reconciler.state_of(channel) is ChannelState.IDLE)
        assert [number(dialect, message) async for message in subscription] == [1, 2]
        assert not await mux.unsubscribe(channel)
        assert len(exchange.requests) == 2


async def test_an_unsubscribe_without_a_connection_is_honoured(dialect: str) -> None:
    one, two = names(dialect, 2)
    async with desk(dialect) as (exchange, mux):
        await mux.subscribe_many([one, two], timeout=5)
        disconnected, resubscribed = told(mux, "disconnected"), told(mux, "resubscribed")
        exchange.drop_all()
        await disconnected.get()
        assert await mux.unsubscribe(one)
        assert (await resubscribed.get()).channels == 1
        assert exchange.subscribed() == [two]
        assert all(one not in received.text for received in exchange.connections[1].requests)


async def test_what_is_left_and_wanted_again_at_once_goes_on(dialect: str) -> None:
    """Before the unsubscribe message could go: the server never hears of it, and the new consumer gets the data."""
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        await mux.subscribe(channel, timeout=2)
        await mux.unsubscribe(channel)
        subscription = await mux.subscribe(channel, timeout=2)
        await mux.ping(timeout=2)
        assert exchange.subscribed() == [channel]
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_what_is_wanted_again_while_it_is_being_left_is_asked_for_again(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        await mux.subscribe(channel, timeout=2)
        exchange.delay_acks()
        await mux.unsubscribe(channel)
        await exchange.until(gone(exchange, channel))
        subscribing = asyncio.ensure_future(mux.subscribe(channel, timeout=2))
        await mux.ping(timeout=2)
        assert not subscribing.done()
        exchange.release_acks()
        subscription = await subscribing
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_an_end_that_is_refused_leaves_the_channel_to_who_wants_it_again(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        await mux.subscribe(channel, timeout=2)
        exchange.refuse(channel, action="unsubscribe")
        exchange.delay_acks()
        await mux.unsubscribe(channel)
        await exchange.wait_requests(2)
        subscribing = asyncio.ensure_future(mux.subscribe(channel, timeout=2))
        await mux.ping(timeout=2)
        exchange.release_acks()
        subscription = await subscribing
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


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
    """OKX quotes the whole request; Binance's older form says nothing of whose it is."""
    from jetsocket.testing.dialects.binance import BinanceDialect

    dialect = "okx" if form == "quoted" else "binance"
    wanted = names(dialect, 9)
    venue = replace(VENUES[dialect], pace=())
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
    async with desk(dialect) as (exchange, mux):
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
    channel = name(dialect)
    async with desk(dialect, data_timeout=0.1) as (exchange, mux):
        exchange.refuse(channel)
        with pytest.raises(SubscriptionError):
            await mux.subscribe(channel, timeout=2, stale_after=0.02)
        stale, silent = told(mux, "stale"), told(mux, "silent")
        exchange.accept()
        other = name(dialect, 1)
        await mux.subscribe(other, timeout=2, stale_after=0.05)
        assert (await asyncio.wait_for(stale.get(), 2)).channel == other
        assert stale.empty()
        await mux.unsubscribe(other)
        assert len(mux._watching._stale) == 0
        assert mux._watching._data is not None
        assert not mux._watching._data.armed
        assert silent.empty() or mux.stats().connection_stats.reconnect_count


@pytest.mark.parametrize("function", ["subscribe_many", "subscribe_group"])
@pytest.mark.parametrize(
    "channels, text",
    [
        (None, "channels must be several names, got NoneType None"),
        ([["a"]], "channel must be a str, got list ['a']"),
        ("a", "channels must be several names, got str 'a'; use subscribe() for one"),
    ],
    ids=["nothing", "lists", "one name"],
)
async def test_channels_that_are_none(function: str, channels: Any, text: str) -> None:
    async with desk("binance") as (_, mux):
        with pytest.raises(TypeError) as caught:
            await getattr(mux, function)(channels)
        assert str(caught.value) == text


async def test_two_names_for_the_same_data_are_told_as_that() -> None:
    async with desk("coinbase") as (exchange, mux):
        await mux.subscribe("level2:BTC-USD")
        text = "cannot subscribe to 'l2_data:BTC-USD' beside 'level2:BTC-USD': the data of both are called"
        for asked in (mux.subscribe("l2_data:BTC-USD"), mux.subscribe_group(["user:A", "l2_data:BTC-USD"])):
            with pytest.raises(ValueError, match=text):
                await asked
        assert mux.list_subscriptions() == ["level2:BTC-USD"]
        assert len(exchange.requests) == 1
