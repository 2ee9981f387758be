from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from websockets.exceptions import InvalidStatus

from jetsocket.protocol.pacing import Window
from jetsocket.testing import Limits, VenueExchange
from jetsocket.testing.dialects.limits import Spending, Tally

from .conftest import CHANNELS, DIALECTS, FREE, User, meeting, subscribe, user_of


def test_a_window_holds_its_count_and_not_one_more() -> None:
    tally = Tally()
    window = Window(3, 1.0)
    assert [tally.add(now, [window]) for now in (0.0, 0.5, 0.9)] == [None] * 3
    assert tally.add(0.99, [window]) is window


def test_a_window_rolls() -> None:
    tally = Tally()
    window = Window(2, 1.0)
    # Each is as far from the last but one as the window is long.
    assert [tally.add(now, [window]) for now in (0.75, 0.75, 1.75, 1.75, 2.75)] == [None] * 5
    assert tally.add(2.5, [window]) is window


def test_of_several_windows_each_counts() -> None:
    tally = Tally()
    short, long = Window(2, 1.0), Window(4, 10.0)
    assert [tally.add(now, [short, long]) for now in (0.0, 0.5, 2.0, 3.0)] == [None] * 4
    assert tally.add(9.0, [short, long]) is long
    assert Tally().add(0.0, []) is None


def test_control_frames_are_counted_where_the_exchange_does() -> None:
    for counts, expected in ((True, "messages"), (False, None)):
        spending = Spending()
        limits = Limits(messages=(Window(1, 1.0),), control_counts=counts)
        assert spending.control(limits, 0.0) is None
        broken = spending.control(limits, 0.1)
        assert (broken and broken[0]) == expected


async def ended_by(exchange: VenueExchange, user: User, limit: str, connection: int = 1) -> None:
    """The connection is closed for this, and nothing else was broken."""
    error = await user.ended()
    assert error.rcvd is not None
    assert error.rcvd.code == 1008
    violation = exchange.violations[-1]
    assert (violation.connection, violation.limit, len(exchange.violations)) == (connection, limit, 1)
    closing = exchange.connections[connection - 1].closing
    assert closing is not None
    assert (closing.by, closing.code) == ("server", 1008)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_message_too_many_ends_the_connection(dialect: str) -> None:
    limits = Limits(messages=(Window(3, 30.0),))
    async with meeting(dialect, limits) as (exchange, user):
        for number in range(3):
            await user.ask(subscribe(dialect, CHANNELS[dialect][0], number))
        assert exchange.violations == []
        await user.say(subscribe(dialect, CHANNELS[dialect][1]))
        await ended_by(exchange, user, "messages")
        assert exchange.connections[0].channels == [CHANNELS[dialect][0]]


async def test_what_was_said_leaves_the_window() -> None:
    seconds = 0.2
    async with meeting("binance", Limits(messages=(Window(2, seconds),))) as (exchange, user):
        for _ in range(2):
            await user.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await user.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            # Not waiting for something: the time itself is what is tested. Timers may be early by a millisecond or so.
            await asyncio.sleep(seconds + 0.01)
        assert exchange.violations == []


async def test_pings_and_pongs_count_as_messages_with_binance() -> None:
    async with meeting("binance", None) as (exchange, user):
        assert exchange.limits.messages == (Window(5, 1.0),)
        exchange.server_ping()
        await exchange.until(lambda: exchange.connections[0].pongs == 1)
        await user.ask(subscribe("binance", "btcusdt@trade"))
        for _ in range(3):
            await asyncio.wait_for(await user.connection.ping(), 5)
        assert exchange.violations == []
        await user.connection.ping()
        await ended_by(exchange, user, "messages")
        assert exchange.connections[0].pings == 4


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect != "binance"])
async def test_pings_count_nowhere_else(dialect: str) -> None:
    async with meeting(dialect, Limits(messages=(Window(1, 30.0),))) as (exchange, user):
        for _ in range(3):
            await asyncio.wait_for(await user.connection.ping(), 5)
        assert exchange.violations == []


async def test_the_hourly_budget_counts_subscribing_and_leaving_and_no_pings() -> None:
    async with meeting("okx", Limits(requests=(Window(3, 3600.0),))) as (exchange, user):
        request = subscribe("okx", "tickers:BTC-USDT")
        for _ in range(5):
            assert await user.ask("ping") == "pong"
        await user.ask(request)
        await user.ask({**request, "op": "unsubscribe"})
        await user.ask({"op": "login", "args": [{"apiKey": "k"}]})
        assert exchange.violations == []
        await user.say(request)
        await ended_by(exchange, user, "requests")


@pytest.mark.parametrize("dialect", ["binance", "okx", "kraken", "coinbase"])
async def test_a_channel_too_many_ends_the_connection(dialect: str) -> None:
    first, second = CHANNELS[dialect]
    async with meeting(dialect, Limits(channels=1)) as (exchange, user):
        await user.ask(subscribe(dialect, first))
        # The same once more is not one more.
        await user.ask(subscribe(dialect, first))
        assert exchange.violations == []
        await user.say(subscribe(dialect, second))
        await ended_by(exchange, user, "channels")


async def test_a_channel_too_many_is_refused_by_bitfinex_and_written_down() -> None:
    async with meeting("bitfinex", None) as (exchange, user):
        assert exchange.limits.channels == 25
        for number in range(25):
            assert (await user.ask(subscribe("bitfinex", f"trades:t{number}USD")))["event"] == "subscribed"
        assert exchange.violations == []
        answer = await user.ask(subscribe("bitfinex", "trades:tONEUSD"))
        assert (answer["code"], answer["msg"], answer["symbol"]) == (10305, "subscribe: limit", "tONEUSD")
        assert [violation.limit for violation in exchange.violations] == ["channels"]
        assert len(exchange.subscribed()) == 25


async def test_channels_asked_for_in_the_address_count_too() -> None:
    async with (
        VenueExchange("binance", limits=Limits(channels=1)) as exchange,
        user_of(exchange, "?streams=a@trade/b@trade") as user,
    ):
        await ended_by(exchange, user, "channels")


async def test_channels_of_one_message_are_limited() -> None:
    async with meeting("binance", Limits(channels_per_message=2)) as (exchange, user):
        await user.ask({"method": "SUBSCRIBE", "params": ["a", "b"], "id": 1})
        assert exchange.violations == []
        await user.say({"method": "SUBSCRIBE", "params": ["c", "d", "e"], "id": 1})
        await ended_by(exchange, user, "channels_per_message")


async def test_the_length_of_a_message_is_limited() -> None:
    async with meeting("okx", Limits(characters_per_message=100)) as (exchange, user):
        await user.ask("{" + 99 * " ")
        assert exchange.violations == []
        await user.say("{" + 100 * " ")
        await ended_by(exchange, user, "characters_per_message")


async def test_who_asks_for_nothing_in_time_is_closed() -> None:
    async with meeting("coinbase", Limits(first_subscribe=0.05)) as (exchange, user):
        await ended_by(exchange, user, "first_subscribe")
        exchange.limits = replace(exchange.limits, first_subscribe=0.3)
        async with user_of(exchange) as second:
            await second.ask(subscribe("coinbase", "ticker:BTC-USD"))
            await asyncio.sleep(0.35)
            assert len(exchange.violations) == 1
            assert exchange.present is not None


async def test_kraken_says_so_first() -> None:
    async with meeting("kraken", Limits(messages=(Window(1, 30.0),))) as (_, user):
        await user.ask({"method": "ping"})
        assert await user.ask({"method": "ping"}) == {"Error": "Exceeded msg rate"}


async def test_attempts_to_connect_are_limited_the_refused_ones_included() -> None:
    seconds = 0.4
    async with VenueExchange("okx", limits=Limits(connects=(Window(2, seconds),))) as exchange:
        for _ in range(2):
            async with user_of(exchange):
                pass
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                async with user_of(exchange):
                    pytest.fail("the handshake was accepted")
            assert caught.value.response.status_code == 429
        assert [upgrade.status for upgrade in exchange.upgrades] == [101, 101, 429, 429]
        assert [(one.connection, one.limit) for one in exchange.violations] == [(0, "connects")] * 2
        await asyncio.sleep(seconds + 0.01)
        async with user_of(exchange):
            pass


async def test_limits_may_be_set_at_any_time() -> None:
    async with meeting("kraken") as (exchange, user):
        await user.ask({"method": "ping"})
        exchange.limits = Limits(messages=(Window(1, 30.0),))
        await user.say({"method": "ping"})
        await ended_by(exchange, user, "messages")
        exchange.limits = FREE
        async with user_of(exchange) as second:
            for _ in range(3):
                await second.ask({"method": "ping"})


def test_each_dialect_has_the_documented_limits() -> None:
    limits = {name: VenueExchange(name).limits for name in DIALECTS}
    assert limits["binance"].channels == 1024
    assert limits["okx"].requests == (Window(480, 3600.0),)
    assert limits["coinbase"].first_subscribe == 5.0
    assert {name: of.connects for name, of in limits.items()} == {
        "binance": (Window(300, 300.0),),
        "okx": (Window(3, 1.0),),
        "kraken": (Window(150, 600.0),),
        "bitfinex": (Window(20, 60.0),),
        "coinbase": (Window(8, 1.0),),
    }
