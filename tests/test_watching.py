"""Liveness of a Multiplex's data over a connection: silent ones are replaced, stale channels asked for anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket import Blocked, HeartbeatConfig, Replaced, Silent, Stale, Stalled
from jetsocket.testing import Exchange

from .dialects import DIALECTS, desk, name, names, number
from .looking import block
from .peers import multiplex, told

# Seconds after which data count as missing here.
SHORT = 0.06


def asked_of(exchange: Any, channel: str) -> list[str]:
    """Binance's: what was asked for `channel` alone."""
    asked = [request.text for request in exchange.requests if f'"params":["{channel}"]' in request.text]
    return ["unsubscribe" if "UNSUBSCRIBE" in text else "subscribe" for text in asked]


class Beating:
    """Does `beat()` again and again, until it is left."""

    def __init__(self, beat: Callable[[], object], every: float = SHORT / 6) -> None:
        self._beat = beat
        self._every = every
        self._task: asyncio.Task[None] | None = None

    async def _go_on(self) -> None:
        while True:
            self._beat()
            await asyncio.sleep(self._every)

    async def __aenter__(self) -> None:
        self._task = asyncio.ensure_future(self._go_on())

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


# The connection.


async def test_a_connection_without_data_is_replaced_and_they_flow_again() -> None:
    channel = name("binance")
    async with desk("binance", options={"data_timeout": SHORT}) as (exchange, mux):
        happened: list[object] = []
        for event in (Silent, Replaced):
            mux.on(event, happened.append)
        resubscribed = told(mux, "resubscribed")
        subscription = await mux.subscribe(channel)
        exchange.publish(channel)
        exchange.silence()
        await asyncio.wait_for(resubscribed.get(), 5)
        assert happened[0] == Silent(SHORT)
        assert isinstance(happened[1], Replaced)
        assert happened[1].why == f"as no data came for {SHORT:g} s"
        exchange.unsilence()
        exchange.publish(channel)
        assert [number("binance", await subscription.recv(timeout=5)) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("dialect", ["kraken", "bitfinex", "coinbase"])
async def test_heartbeats_of_the_exchange_are_no_data(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect, options={"data_timeout": SHORT, "heartbeat": None}) as (exchange, mux):
        silent = told(mux, "silent")
        await mux.subscribe(channel)
        exchange.publish(channel)
        exchange.silence()
        of = channel if dialect == "bitfinex" else None
        async with Beating(lambda: exchange.heartbeat(of)):
            assert await asyncio.wait_for(silent.get(), 5) == Silent(SHORT)


async def test_data_keep_the_connection_and_so_does_it_that_nothing_is_wanted() -> None:
    channel = name("binance")
    async with desk("binance", options={"data_timeout": SHORT}) as (exchange, mux):
        # Nothing is subscribed to.
        await asyncio.sleep(2 * SHORT)
        subscription = await mux.subscribe(channel)
        async with Beating(lambda: exchange.publish(channel)):
            await asyncio.sleep(3 * SHORT)
        await subscription.close()
        await asyncio.sleep(2 * SHORT)
        # What is refused is not wanted, either.
        exchange.refuse(channel)
        await mux.subscribe_many([channel], timeout=5)
        await asyncio.sleep(2 * SHORT)
        assert len(exchange.connections) == 1
        assert "silent" not in mux.stats().events


async def test_the_venue_knows_how_long_it_may_be_silent() -> None:
    async with desk("binance", data_timeout=SHORT) as (exchange, mux):
        silent = told(mux, "silent")
        await mux.subscribe(name("binance"))
        assert await asyncio.wait_for(silent.get(), 5) == Silent(SHORT)
        await exchange.wait_accepted(2)


async def test_nothing_is_silent_nor_stale_while_there_is_no_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, data_timeout=SHORT) as mux:
        await mux.subscribe("a", stale_after=SHORT)
        await exchange.wait_subscribed("a")
        disconnected = told(mux, "disconnected")
        exchange.refuse_handshakes()
        exchange.drop_all()
        await asyncio.wait_for(disconnected.get(), 5)
        before = mux.stats().events
        await asyncio.sleep(4 * SHORT)
        assert {"silent", "stale", "replaced"}.isdisjoint(mux.stats().events.keys() - before.keys())
        exchange.accept_handshakes()
        await exchange.wait_subscribed("a")


# A channel.


async def test_a_stale_channel_is_asked_for_anew_alone_and_then_the_connection_is_replaced() -> None:
    stale, lively = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        happened = told(mux, "stale")
        replaced = told(mux, "replaced")
        subscription = await mux.subscribe(stale, stale_after=SHORT)
        await mux.subscribe(lively)
        exchange.silence(stale)
        async with Beating(lambda: exchange.publish(lively)):
            assert await asyncio.wait_for(happened.get(), 5) == Stale(stale, SHORT, "resubscribe")
            await exchange.until(lambda: asked_of(exchange, stale) == ["subscribe", "unsubscribe", "subscribe"])
            assert asked_of(exchange, lively) == ["subscribe"]
            assert await asyncio.wait_for(happened.get(), 5) == Stale(stale, 2 * SHORT, "reconnect")
            assert isinstance(await asyncio.wait_for(replaced.get(), 5), Replaced)
            await exchange.wait_accepted(2)
            exchange.unsilence()
            await exchange.wait_subscribed(stale, lively)
            exchange.publish(stale)
            assert number("binance", await subscription.recv(timeout=5)) == 1
        assert mux.stats().events["stale"] == 2


async def test_a_channel_that_is_merely_quiet_costs_the_connection_less_and_less_often() -> None:
    quiet, lively = names("binance", 2)
    async with desk("binance") as (exchange, mux):
        happened = told(mux, "stale")
        subscription = await mux.subscribe(quiet, stale_after=SHORT / 2)
        await mux.subscribe(lively)
        exchange.silence(quiet)
        async with Beating(lambda: exchange.publish(lively)):
            steps = [(await asyncio.wait_for(happened.get(), 5))[1:] for _ in range(6)]
            assert [step for _, step in steps] == ["resubscribe", "reconnect"] * 3
            assert [seconds / SHORT for seconds, _ in steps] == pytest.approx([0.5, 1, 1, 2, 2, 4])
            # A message, and it has as little patience as at first.
            exchange.unsilence()
            await exchange.wait_accepted(4)
            await exchange.wait_subscribed(quiet)
            exchange.publish(quiet)
            await subscription.recv(timeout=5)
            assert await asyncio.wait_for(happened.get(), 5) == Stale(quiet, SHORT / 2, "resubscribe")


async def test_data_that_a_new_connection_does_not_bring_are_waited_for_twice_as_long() -> None:
    channel = name("binance")
    async with desk("binance", options={"data_timeout": SHORT}) as (exchange, mux):
        silent, replaced = told(mux, "silent"), told(mux, "replaced")
        await mux.subscribe(channel)
        exchange.silence()
        assert [(await asyncio.wait_for(silent.get(), 5)).seconds / SHORT for _ in range(3)] == [1, 2, 4]
        assert [replaced.get_nowait().why for _ in range(2)] == [
            f"as no data came for {seconds:g} s" for seconds in (SHORT, 2 * SHORT)
        ]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_asking_anew_is_enough_where_the_channel_was_forgotten(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        happened = told(mux, "stale")
        subscription = await mux.subscribe(channel, stale_after=SHORT)
        before = len(exchange.requests)
        exchange.silence(channel)
        assert (await asyncio.wait_for(happened.get(), 5)).step == "resubscribe"
        await exchange.wait_requests(before + 2)
        exchange.unsilence(channel)
        async with Beating(lambda: exchange.publish(channel)):
            await subscription.recv(timeout=5)
            await asyncio.sleep(2 * SHORT)
        assert len(exchange.connections) == 1


async def test_in_the_plain_way_too(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        happened = told(mux, "stale")
        await mux.subscribe("a", stale_after=SHORT)
        assert (await asyncio.wait_for(happened.get(), 5)).step == "resubscribe"
        await exchange.wait_requests(3)
        methods = [request.message["method"] for request in exchange.requests]
        assert methods == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
        assert (await asyncio.wait_for(happened.get(), 5)).step == "reconnect"
        await exchange.wait_accepted(2)


async def test_a_channels_own_sign_of_life_refreshes_it_and_is_never_delivered() -> None:
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        unrouted = mux.unrouted()
        subscription = await mux.subscribe(channel, stale_after=SHORT)
        async with Beating(lambda: exchange.heartbeat(channel)):
            await asyncio.sleep(3 * SHORT)
        exchange.publish(channel)
        assert number("bitfinex", await subscription.recv(timeout=5)) == 1
        assert "stale" not in mux.stats().events
        assert (subscription.stats().messages_received, unrouted.stats().messages_received) == (1, 0)
        assert mux.stats().unroutable_messages >= 10


@pytest.mark.parametrize("end", ["unsubscribe", "revoke", "refuse"])
async def test_a_channel_that_is_no_more_is_not_stale(end: str) -> None:
    channel, other = "tickers:BTC-USDT", "books5:BTC-USDT"
    async with desk("okx") as (exchange, mux):
        refused = told(mux, "refused")
        await mux.subscribe(other)
        if end == "refuse":
            exchange.refuse(channel)
        await mux.subscribe_many([channel], stale_after=SHORT, timeout=5)
        if end == "unsubscribe":
            await mux.unsubscribe(channel)
        else:
            if end == "revoke":
                exchange.revoke(channel)
            await asyncio.wait_for(refused.get(), 5)
        await asyncio.sleep(3 * SHORT)
        assert "stale" not in mux.stats().events
        assert len(exchange.connections) == 1


async def test_every_channel_of_a_group_is_watched_by_itself() -> None:
    channels = names("binance", 3)
    async with desk("binance") as (exchange, mux):
        happened = told(mux, "stale")
        await mux.subscribe_group(channels, stale_after=SHORT)

        def beat() -> None:
            exchange.publish(channels[0])
            exchange.publish(channels[2])

        async with Beating(beat):
            assert (await asyncio.wait_for(happened.get(), 5)).channel == channels[1]
            await exchange.until(lambda: len(asked_of(exchange, channels[1])) == 2)
        assert asked_of(exchange, channels[0]) == asked_of(exchange, channels[2]) == []


# Several consumers of one channel.


@pytest.mark.parametrize("times", [(SHORT, 60), (60, SHORT), (60, SHORT, None), (SHORT, SHORT)])
async def test_of_several_consumers_the_shortest_time_counts(times: tuple[float | None, ...]) -> None:
    channel = name("binance")
    async with desk("binance") as (exchange, mux):
        happened = told(mux, "stale")
        for seconds in times:
            await mux.subscribe(channel, shared=False, stale_after=seconds)
        assert await asyncio.wait_for(happened.get(), 5) == Stale(channel, SHORT, "resubscribe")
        await exchange.until(lambda: asked_of(exchange, channel) == ["subscribe", "unsubscribe", "subscribe"])


@pytest.mark.parametrize("of", ["a subscription", "a group"])
async def test_with_its_consumer_the_shortest_time_goes_and_the_next_one_counts(of: str) -> None:
    channel, other = names("binance", 2)
    async with desk("binance") as (_, mux):
        happened = told(mux, "stale")
        await mux.subscribe(channel, shared=False, stale_after=2 * SHORT)
        hasty: Any
        if of == "a group":
            hasty = await mux.subscribe_group([channel, other], stale_after=SHORT)
        else:
            hasty = await mux.subscribe(channel, stale_after=SHORT)
        await hasty.close()
        assert await asyncio.wait_for(happened.get(), 5) == Stale(channel, 2 * SHORT, "resubscribe")


async def test_when_the_last_that_gave_a_time_is_closed_the_channel_may_be_quiet() -> None:
    channel, marker = names("binance", 2)
    async with desk("binance") as (_, mux):
        happened = told(mux, "stale")
        patient = await mux.subscribe(channel)
        hasty = await mux.subscribe(channel, shared=False, stale_after=SHORT)
        await hasty.close()
        await mux.subscribe(marker, stale_after=3 * SHORT)
        assert await asyncio.wait_for(happened.get(), 5) == Stale(marker, 3 * SHORT, "resubscribe")
        assert patient.is_active
        assert mux.stats().events["stale"] == 1


async def test_who_comes_with_as_much_patience_or_more_does_not_begin_the_time_anew() -> None:
    """Else a channel to which consumers come and go would never be stale."""
    channel = name("binance")
    async with desk("binance") as (_, mux):
        happened = told(mux, "stale")
        await mux.subscribe(channel, stale_after=SHORT)
        began = asyncio.get_running_loop().time()
        while happened.empty() and asyncio.get_running_loop().time() - began < 5:
            passing = await mux.subscribe(channel, shared=False, stale_after=2 * SHORT)
            await asyncio.sleep(SHORT / 4)
        assert passing.is_active
        assert happened.get_nowait() == Stale(channel, SHORT, "resubscribe")


# A queue that is full and blocks.


@pytest.mark.parametrize("kind", ["a subscription", "a group"])
async def test_a_consumer_that_holds_up_the_connection_is_named_once_each_time(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jetsocket.watching.LONGEST_HOLD", SHORT)
    full, lively = names("binance", 2)
    # All other watches excuse what is held up.
    options = {"data_timeout": SHORT, "heartbeat": HeartbeatConfig(interval=SHORT, timeout=SHORT)}
    async with desk("binance", options=options) as (exchange, mux):
        stalled = told(mux, "stalled")
        block_it: Any = {"overflow": "block", "queue_size": 10}
        held: Any
        if kind == "a group":
            held = await mux.subscribe_group([full], **block_it)
        else:
            held = await mux.subscribe(full, **block_it)
        subscription = await mux.subscribe(lively, stale_after=SHORT)
        for number in (1, 2):
            exchange.publish(full, 20)
            exchange.publish(lively)
            assert await asyncio.wait_for(stalled.get(), 5) == Stalled(held.channel, SHORT)
            # As long again: it is told once.
            await asyncio.sleep(2 * SHORT)
            for _ in range(20):
                await held.recv(timeout=5)
            await subscription.recv(timeout=5)
            assert mux.stats().events["stalled"] == number
        assert {"silent", "stale", "replaced", "disconnected"}.isdisjoint(mux.stats().events)
    said = [record.getMessage() for record in caplog.records if record.name == "jetsocket.subscriptions"]
    text = f"nothing is read for {SHORT:g} s by now, as the queue of {held.channel!r} is full and blocks"
    assert said == [f"{text}: does its consumer live?"] * 2


async def test_a_slow_consumer_that_takes_messages_now_and_then_stalls_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetsocket.watching.LONGEST_HOLD", 4 * SHORT)
    channel = name("binance")
    async with desk("binance") as (exchange, mux):
        held = await mux.subscribe(channel, overflow="block", queue_size=2)
        exchange.publish(channel, 20)
        for _ in range(20):
            await held.recv(timeout=5)
            await asyncio.sleep(SHORT / 2)
        assert "stalled" not in mux.stats().events


# The event loop.


async def test_a_blocked_loop_is_named_and_the_peer_is_not_declared_dead() -> None:
    """Several times as long as pings, data and the channel have patience."""
    channel = name("binance")
    heartbeat = HeartbeatConfig(interval=0.1, timeout=0.1)
    options = {"heartbeat": heartbeat, "data_timeout": 0.4}
    async with desk("binance", options=options) as (exchange, mux):
        blocked = told(mux, "blocked")
        subscription = await mux.subscribe(channel, stale_after=0.4)

        def handle_trade_slowly(_: object) -> None:
            time.sleep(0.9)

        exchange.publish(channel)
        with subscription.listen(handle_trade_slowly):
            fact = await asyncio.wait_for(blocked.get(), 5)
        assert isinstance(fact, Blocked)
        assert 0.3 < fact.seconds < 5
        assert fact.by is not None
        assert "handle_trade_slowly (test_watching.py:" in fact.by
        await mux.ping()
        assert {"silent", "stale", "replaced", "disconnected"}.isdisjoint(mux.stats().events)


async def test_who_asks_to_be_told_is_told_without_anything_else_being_watched(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux, multiplex(exchange.uri) as other:
        first, second = told(mux, "blocked"), told(other, "blocked")
        block(0.9)
        assert await asyncio.wait_for(first.get(), 5) == await asyncio.wait_for(second.get(), 5)
