from __future__ import annotations

import asyncio

import pytest

from jetsocket.testing import VenueExchange

from .conftest import CHANNELS, DIALECTS, meeting, subscribe, user_of


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_gap_is_in_the_numbers(dialect: str) -> None:
    channel, _ = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        await user.ask(subscribe(dialect, channel))
        exchange.publish(channel)
        exchange.skip(channel, 5)
        exchange.publish(channel)
        assert exchange.sequence(channel) == 7
        assert (exchange.sent(channel), len([await user.hear(), await user.hear()])) == (2, 2)
        assert await user.hears_nothing()


async def test_a_channel_has_one_numbering_for_all_who_follow_it() -> None:
    channel = "btcusdt@trade"
    async with meeting("binance") as (exchange, one), user_of(exchange) as two:
        for number, user in enumerate((one, two), start=1):
            await user.ask(subscribe("binance", channel))
            assert exchange.publish(channel) == number
        assert [(await one.hear())["data"]["t"] for _ in range(2)] == [1, 2]
        assert (await two.hear())["data"]["t"] == 2
        assert exchange.sent(channel) == 3


async def test_who_waits_is_told_of_each_change() -> None:
    channel = CHANNELS["okx"][0]
    async with VenueExchange("okx") as exchange:
        waiting = [
            asyncio.ensure_future(exchange.wait_subscribed(channel)),
            asyncio.ensure_future(exchange.wait_sent(2, channel)),
            asyncio.ensure_future(exchange.wait_requests(1)),
            asyncio.ensure_future(exchange.until(lambda: exchange.connections[-1:] != [] and exchange.present is None)),
        ]
        async with user_of(exchange) as user:
            await user.ask(subscribe("okx", channel))
            exchange.publish(channel, 2)
        await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_the_present_connection_is_the_one_that_counts() -> None:
    channel = CHANNELS["okx"][0]
    async with meeting("okx") as (exchange, user):
        await user.ask(subscribe("okx", channel))
        await exchange.wait_subscribed(channel)
        async with user_of(exchange):
            await exchange.wait_connected(2)
            waiting = asyncio.ensure_future(exchange.wait_subscribed(channel))
            await asyncio.sleep(0)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 5)
