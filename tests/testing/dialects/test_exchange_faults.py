from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from jetsocket.testing import VenueExchange

from .conftest import CHANNELS, DIALECTS, meeting, subscribe, user_of


@pytest.mark.parametrize("reset", [True, False])
async def test_connections_are_dropped(reset: bool) -> None:
    async with meeting("okx") as (exchange, user):
        assert exchange.drop_all(reset=reset) == 1
        error = await user.ended()
        assert error.rcvd is None
        assert isinstance(error.__cause__, ConnectionResetError) == reset
        closing = exchange.connections[0].closing
        assert closing is not None
        assert closing.by == "drop"


async def test_connections_are_closed_with_a_code() -> None:
    async with meeting("okx") as (exchange, user):
        assert exchange.close_all(4001, "expired") == 1
        await exchange.wait_disconnected()
        error = await user.ended()
        assert error.rcvd is not None
        assert (error.rcvd.code, error.rcvd.reason) == (4001, "expired")
        closing = exchange.connections[0].closing
        assert closing is not None
        assert (closing.by, closing.code, closing.reason) == ("server", 4001, "expired")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_silent_channel_answers_and_sends_no_data(dialect: str) -> None:
    channel, other = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        await user.ask(subscribe(dialect, channel))
        exchange.silence(channel)
        await user.ask(subscribe(dialect, other))
        assert (exchange.publish(channel), exchange.publish(other)) == (0, 1)
        await user.hear()
        exchange.silence()
        assert exchange.publish(other) == 0
        assert await user.hears_nothing()
        exchange.unsilence()
        assert exchange.publish(channel) == 1
        assert exchange.sequence(channel) == 1
        exchange.silence(channel)
        exchange.silence(other)
        exchange.unsilence(channel)
        assert (exchange.publish(channel), exchange.publish(other)) == (1, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_requests_are_ignored_for_one_channel_or_so_many_times(dialect: str) -> None:
    channel, other = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        exchange.ignore_requests(channel)
        await user.say(subscribe(dialect, channel))
        assert await user.hears_nothing()
        await user.ask(subscribe(dialect, other))
        assert exchange.subscribed() == [other]
        exchange.accept(channel)
        exchange.ignore_requests(times=2)
        for _ in range(2):
            await user.say(subscribe(dialect, channel))
            assert await user.hears_nothing()
        await user.ask(subscribe(dialect, channel))
        assert exchange.subscribed() == [other, channel]
        assert len(exchange.requests) == 5


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_channel_is_refused_until_it_is_accepted(dialect: str) -> None:
    channel, other = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        exchange.refuse(channel, msg="not today")
        for _ in range(2):
            assert "not today" in str(await user.ask(subscribe(dialect, channel)))
        await user.ask(subscribe(dialect, other))
        assert exchange.subscribed() == [other]
        exchange.accept(channel)
        await user.ask(subscribe(dialect, channel))
        assert exchange.subscribed() == [other, channel]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_answers_are_held_back(dialect: str) -> None:
    channel = CHANNELS[dialect][0]
    async with meeting(dialect) as (exchange, user):
        exchange.delay_acks()
        await user.say(subscribe(dialect, channel))
        await exchange.wait_subscribed(channel)
        assert await user.hears_nothing()
        assert exchange.release_acks() == 1
        await user.hear()
        await user.ask(subscribe(dialect, CHANNELS[dialect][1]))


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_data_come_before_the_answer(dialect: str) -> None:
    channel, other = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        exchange.data_before_ack()
        early = await user.ask(subscribe(dialect, channel))
        await user.hear()
        assert (exchange.sent(channel), exchange.sequence(channel)) == (1, 1)
        exchange.publish(channel)
        later = await user.hear()
        assert type(early) is type(later)
        if isinstance(early, dict):
            assert early.keys() == later.keys()
        exchange.data_before_ack(False)
        await user.ask(subscribe(dialect, other))
        assert exchange.sent(other) == 0


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_revoked_channel_gets_no_more_data(dialect: str) -> None:
    channel, other = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        await user.ask(subscribe(dialect, channel))
        await user.ask(subscribe(dialect, other))
        assert exchange.revoke(channel) == 1
        assert exchange.subscribed() == [other]
        assert exchange.publish(channel) == 0
        assert exchange.revoke(channel) == 0


async def test_a_notice_that_an_exchange_does_not_have_is_an_error() -> None:
    async with meeting("coinbase") as (exchange, _):
        with pytest.raises(ValueError, match="coinbase has no notice 'reconnect'; it has none"):
            exchange.notice("reconnect")
    async with meeting("okx") as (exchange, _):
        with pytest.raises(ValueError, match="okx has no notice 'resumed'; it has maintenance, reconnect"):
            exchange.notice("resumed")
        with pytest.raises(ValueError, match="okx sends no heartbeats"):
            exchange.heartbeat()


async def test_a_login_that_an_exchange_does_not_have_is_an_error() -> None:
    async with meeting("kraken") as (exchange, _):
        with pytest.raises(ValueError, match="kraken has no login"):
            exchange.require_login()


async def test_a_mute_exchange_reads_nothing() -> None:
    channel = CHANNELS["kraken"][0]
    async with meeting("kraken") as (exchange, user):
        await user.ask(subscribe("kraken", channel))
        exchange.mute()
        assert exchange.publish(channel) == 0
        async with user_of(exchange, welcomed=False) as second:
            pongs = [await one.connection.ping() for one in (user, second)]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(pongs[0]), 0.1)
            assert not pongs[1].done()
            exchange.unmute()
            for pong in pongs:
                await asyncio.wait_for(pong, 5)
        assert exchange.publish(channel) == 1


async def test_handshakes_are_refused() -> None:
    async with VenueExchange("okx") as exchange:
        exchange.refuse_handshakes(503, {"Retry-After": "7"}, "later", times=1)
        with pytest.raises(InvalidStatus) as caught:
            async with user_of(exchange):
                pytest.fail("the handshake was accepted")
        response = caught.value.response
        assert (response.status_code, response.headers["Retry-After"], response.body) == (503, "7", b"later")
        await exchange.wait_refused(1)
        async with user_of(exchange):
            pass
        exchange.refuse_handshakes()
        with pytest.raises(InvalidStatus):
            async with user_of(exchange):
                pytest.fail("the handshake was accepted")
        exchange.accept_handshakes()
        exchange.limits = type(exchange.limits)()
        async with user_of(exchange):
            pass
        with pytest.raises(ValueError, match="101"):
            exchange.refuse_handshakes(101)


async def test_an_address_without_its_token_is_refused() -> None:
    async with VenueExchange("kraken") as exchange:
        exchange.require_query("token", "second")
        for query in ("", "?token=first"):
            with pytest.raises(InvalidStatus) as caught:
                async with user_of(exchange, query):
                    pytest.fail("the handshake was accepted")
            assert caught.value.response.status_code == 401
        async with user_of(exchange, "?token=second"):
            pass
        exchange.require_query("token", None)
        async with user_of(exchange):
            pass
        assert [(upgrade.query.get("token"), upgrade.status) for upgrade in exchange.upgrades] == [
            (None, 401),
            ("first", 401),
            ("second", 101),
            (None, 101),
        ]


async def test_pongs_to_its_pings_are_counted() -> None:
    async with meeting("binance") as (exchange, _):
        assert exchange.server_ping(b"12") == 1
        await exchange.until(lambda: exchange.connections[0].pongs == 1)


async def test_any_text_can_be_sent() -> None:
    async with meeting("okx") as (exchange, user):
        assert exchange.send_text("null ✓") == 1
        assert await user.hear() == "null ✓"
