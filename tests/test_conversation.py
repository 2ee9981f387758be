"""What a Multiplex and its exchange say to one another: notices, the pace of requests, and events."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

import pytest

from jetsocket import Gap, Notice, Window

from .dialects import VENUES, desk, name, names, number, reach
from .peers import told

# Notices.


@pytest.mark.parametrize(
    ("dialect", "kind", "code"),
    [("okx", "reconnect", "64008"), ("binance", "maintenance", None), ("bitfinex", "reconnect", 20051)],
)
async def test_a_notice_that_asks_for_a_new_connection_leads_to_one(dialect: str, kind: str, code: Any) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        notices, replaced, resubscribed = told(mux, "notice"), told(mux, "replaced"), told(mux, "resubscribed")
        subscription = await mux.subscribe(channel, timeout=2)
        while not notices.empty():
            notices.get_nowait()
        exchange.notice(kind)
        notice = await asyncio.wait_for(notices.get(), 2)
        assert isinstance(notice, Notice)
        assert (notice.code, notice.then) == (code, "reconnect")
        assert notice.raw
        await asyncio.wait_for(replaced.get(), 2)
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 1
        assert len(exchange.connections) == 2
        assert exchange.connections[0].closing is not None
        assert exchange.connections[0].closing.by == "client"
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


async def test_a_notice_that_asks_for_new_subscriptions_leads_to_them() -> None:
    wanted = names("bitfinex", 3)
    async with desk("bitfinex") as (exchange, mux):
        notices = told(mux, "notice")
        many = await mux.subscribe_many(wanted, timeout=2)
        # The welcome.
        while not notices.empty():
            notices.get_nowait()
        exchange.notice("resumed")
        assert (await notices.get()).then == "resubscribe"
        # Each is left, and asked for.
        await exchange.wait_requests(9)
        events = [received.message["event"] for received in exchange.requests[3:]]
        assert sorted(events) == ["subscribe"] * 3 + ["unsubscribe"] * 3
        await exchange.wait_subscribed(*wanted)
        for channel in wanted:
            exchange.publish(channel)
            assert number("bitfinex", await many.subscriptions[channel].recv(timeout=2)) == 1
        assert len(exchange.connections) == 1


@pytest.mark.parametrize(("dialect", "kind"), [("bitfinex", "maintenance"), ("kraken", "maintenance")])
async def test_a_notice_that_asks_for_nothing_is_told_alone(dialect: str, kind: str) -> None:
    async with desk(dialect) as (exchange, mux):
        notices = told(mux, "notice")
        await mux.subscribe(name(dialect), timeout=2)
        before = len(exchange.requests)
        while not notices.empty():
            notices.get_nowait()
        exchange.notice(kind)
        assert (await notices.get()).then == "nothing"
        await mux.ping(timeout=2)
        assert len(exchange.requests) == before
        assert len(exchange.connections) == 1


async def test_the_answer_to_a_message_of_ones_own_is_a_notice_where_it_is_an_error() -> None:
    async with desk("binance") as (_, mux):
        notices = told(mux, "notice")
        await mux.subscribe(name("binance"), timeout=2)
        await mux.send({"method": "NONSENSE", "id": 4711})
        notice = await asyncio.wait_for(notices.get(), 2)
        assert (notice.code, notice.then) == (2, "nothing")
        assert json.loads(notice.raw)["id"] == 4711
        assert mux.list_subscriptions() == [name("binance")]


async def test_handlers_that_fail_disturb_nothing(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = names(dialect, 2)
    async with desk(dialect) as (exchange, mux):
        told_of: list[str] = []
        for event in ("refused", "resubscribed", "notice"):

            def fail(fact: Any, event: str = event) -> None:
                told_of.append(event)
                raise LookupError("a handler's own")

            mux.on(event, fail)
        exchange.refuse(bad)
        many = await mux.subscribe_many([good, bad], timeout=5)
        exchange.drop_all()
        await reach(lambda: {"refused", "resubscribed"} <= set(told_of))
        exchange.publish(good)
        assert number(dialect, await many.subscriptions[good].recv(timeout=2)) == 1


async def test_the_gap_of_a_reconnect_ends_when_its_channel_is_confirmed_again(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        resubscribed = told(mux, "resubscribed")
        subscription = await mux.subscribe(channel, timeout=2, events=True)
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1
        exchange.delay_acks()
        exchange.drop_all()
        gap: Any = await subscription.recv(timeout=2)
        assert isinstance(gap, Gap)
        assert (gap.channel, gap.reason, gap.until) == (channel, "reconnect", None)
        await exchange.wait_accepted(2)
        await exchange.wait_subscribed(channel)
        await mux.ping(timeout=2)
        assert gap.until is None
        exchange.release_acks()
        await resubscribed.get()
        assert gap.until is not None
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 2


# The pace, with the real exchanges' limits.


def fewest(dialect: str, channels: list[str]) -> int:
    """Requests for all of `channels`, each as long as the venue allows."""
    venue = VENUES[dialect]

    def size(some: list[str]) -> int:
        made = venue.subscribe(some, 1)
        return max(
            len(json.dumps(one, separators=(",", ":"))) for one in (made if isinstance(made, tuple) else (made,))
        )

    count, rest = 0, list(channels)
    while rest:
        most = venue.channels_per_message or len(rest)
        taken = min(most, len(rest))
        while venue.characters_per_message and size(rest[:taken]) > venue.characters_per_message:
            taken -= 1
        rest = rest[taken:]
        count += 1
    return count


def shortest(windows: tuple[Window, ...], kept: int, count: int) -> float:
    """Seconds between the first and the last of `count` messages, of each window `kept` for others."""
    return max((math.ceil(count / (window.count - kept)) - 1) * window.stretched for window in windows)


@pytest.mark.parametrize("dialect", ["binance", "okx", "coinbase"])
async def test_a_thousand_channels_are_there_again_as_fast_as_the_limits_allow(dialect: str) -> None:
    """In the fewest messages. The exchange ends the connection at the first that is too much, and its ping counts."""
    venue = VENUES[dialect]
    wanted = [name(dialect, 10**6 + number * 997) for number in range(1000)]
    if dialect == "okx":
        # So many that one message does not hold them.
        wanted += [channel.replace("tickers", "trades") for channel in wanted]
    messages = fewest(dialect, wanted)
    least = shortest(venue.pace, venue.reserve, messages)
    async with desk(dialect) as (exchange, mux):
        resubscribed = told(mux, "resubscribed")
        group = await mux.subscribe_group(wanted[1:], timeout=20, queue_size=10_000)
        first = await mux.subscribe(wanted[0], timeout=20)
        exchange.drop_all()
        await exchange.wait_accepted(2)
        await exchange.wait_subscribed(wanted[1])
        began = time.monotonic()
        exchange.server_ping()
        while set(exchange.subscribed()) < set(wanted):
            # Reading goes on, while requests wait for their turn.
            exchange.publish(wanted[1])
            assert (await group.recv(timeout=0.5))[0] == wanted[1]
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == len(wanted)
        assert exchange.violations == []
        assert len(exchange.connections) == 2
        requests = exchange.connections[1].requests
        assert len(requests) == messages
        assert requests[-1].time - requests[0].time >= least * 0.99
        assert exchange.connections[1].pongs == 1
        assert took < least + 0.4
        exchange.publish(wanted[0])
        await first.recv(timeout=2)


async def test_a_thousand_channels_take_no_longer_than_the_limits_demand() -> None:
    """Binance, and no pings: the fewest messages, in the shortest time."""
    wanted = [name("binance", 10**6 + number * 997) for number in range(1000)]
    venue = VENUES["binance"]
    messages = fewest("binance", wanted)
    least = shortest(venue.pace, venue.reserve, messages)
    assert least > 1
    async with desk("binance") as (exchange, mux):
        many = await mux.subscribe_many(wanted, timeout=20)
        assert many.failures == {}
        assert exchange.violations == []
        requests = exchange.connections[0].requests
        assert len(requests) == messages
        assert least * 0.99 <= requests[-1].time - requests[0].time < least + 0.3


async def test_users_messages_and_requests_share_one_pace() -> None:
    channel = name("binance")
    async with desk("binance") as (exchange, mux):
        await asyncio.gather(
            mux.subscribe(channel), *(mux.send({"method": "LIST_SUBSCRIPTIONS", "id": 9}) for _ in range(5))
        )
        assert exchange.violations == []
        assert len(exchange.requests) == 6
        # Those behind the pace's window have waited for it.
        window = VENUES["binance"].pace[0]
        assert exchange.requests[4].time - exchange.requests[0].time >= window.seconds
