"""How subscriptions come about and end, at exchanges that confirm: the same for the five dialects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetsocket import BackoffConfig, SubscriptionError, TimeoutError, Window

from .dialects import UNHURRIED, desk, gone, name, names, number, reach
from .peers import told, turns

REASONS = {
    "binance": (2, "Invalid request: invalid stream"),
    "okx": ("60018", "doesn't exist"),
    "kraken": (None, "Currency pair not supported C0/USD"),
    "bitfinex": (10300, "symbol: invalid"),
    "coinbase": (None, "failure to subscribe"),
}


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
    channel, other = names(dialect, 2)
    async with desk(dialect, answer_timeout=0.03, pace=()) as (exchange, mux):
        exchange.delay_acks()
        exchange.ignore_requests(other)
        with pytest.raises(TimeoutError):
            await mux.subscribe(channel, timeout=0.01)
        # Asked for once and ended at most once, while what came later was given up and asked for again.
        asking = asyncio.ensure_future(mux.subscribe(other))
        await exchange.wait_requests(6)
        asking.cancel()
        exchange.release_acks()
        await exchange.until(gone(exchange, channel))


async def test_what_is_not_answered_is_asked_for_again(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect, answer_timeout=0.05) as (exchange, mux):
        exchange.ignore_requests(channel, times=2)
        subscription = await mux.subscribe(channel, timeout=5)
        assert len(exchange.requests) == 3
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
    async with desk(dialect, options={"sequence": None}, **UNHURRIED) as (exchange, mux):
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
        # Its pong comes behind the confirmation.
        await mux.ping(timeout=2)
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


# What is waited for when the time is over.


async def test_a_timeout_says_that_the_server_was_silent(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        exchange.ignore_requests()
        words = (
            rf"^subscribe '{channel}' timed out after 0\.1 s: '{channel}' was asked for 0\.\d s ago, and \w+ is silent"
        )
        with pytest.raises(TimeoutError, match=words) as caught:
            await mux.subscribe(channel, timeout=0.1)
        assert (caught.value.timeout, caught.value.operation) == (0.1, f"subscribe '{channel}'")
        await exchange.wait_requests(1)


async def test_a_timeout_says_that_the_pace_did_not_allow_a_request() -> None:
    first, *wanted = names("bitfinex", 4)
    async with desk("bitfinex", pace=(Window(1, 3600.0),)) as (_, mux):
        await mux.subscribe(first, timeout=2)
        waiting = [asyncio.ensure_future(mux.subscribe(channel)) for channel in wanted[:2]]
        await turns(2)
        words = rf"'{wanted[2]}' still waits for its turn, 2 before it: the next request to Bitfinex goes in 3\d+\.\d s"
        with pytest.raises(TimeoutError, match=words):
            await mux.subscribe(wanted[2], timeout=0.05)
        with pytest.raises(TimeoutError, match=rf"^subscribe to 2 channels timed out after .* s: '{wanted[0]}' still"):
            await mux.subscribe_group(wanted[:2], timeout=0.05)
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)


async def test_a_timeout_says_that_the_answer_to_another_request_is_awaited() -> None:
    one, two = names("coinbase", 2)
    async with desk("coinbase") as (exchange, mux):
        exchange.ignore_requests()
        waiting = asyncio.ensure_future(mux.subscribe(one))
        await exchange.wait_requests(1)
        with pytest.raises(TimeoutError, match="0 before it: the next request to Coinbase goes, after the answer to"):
            await mux.subscribe(two, timeout=0.05)
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_a_timeout_says_that_there_is_no_connection() -> None:
    channel = name("okx")
    async with desk("okx", options={"backoff": BackoffConfig(base=60.0, jitter=False)}) as (exchange, mux):
        lost = told(mux, "disconnected")
        await exchange.close()
        await asyncio.wait_for(lost.get(), 2)
        with pytest.raises(TimeoutError, match=f"subscribe '{channel}' timed out after 0.05 s: there is no connection"):
            await mux.subscribe(channel, timeout=0.05)


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
