from __future__ import annotations

import asyncio

import pytest

from .conftest import CHANNELS, DIALECTS, meeting, subscribe


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_sends_to_each_channel_in_turn(dialect: str) -> None:
    async with meeting(dialect) as (exchange, user):
        for channel in CHANNELS[dialect]:
            await user.ask(subscribe(dialect, channel))
        await asyncio.wait_for(exchange.stream(20_000, 500), 5)
        assert [exchange.sent(channel) for channel in CHANNELS[dialect]] == [250, 250]
        for _ in range(500):
            await user.hear()


async def test_a_stream_waits_for_a_subscriber_and_goes_on_after_a_reconnect() -> None:
    async with meeting("okx") as (exchange, user):
        task = exchange.stream(5000)
        await user.ask(subscribe("okx", "trades:BTC-USDT"))
        await asyncio.wait_for(exchange.wait_sent(10), 5)
        with pytest.raises(RuntimeError, match="stop_stream"):
            exchange.stream(1)
        await exchange.stop_stream()
        assert task.cancelled()
        sent = exchange.sent()
        exchange.stream(5000, 5)
        await asyncio.wait_for(exchange.wait_sent(sent + 5), 5)


async def test_a_stream_has_a_rate() -> None:
    async with meeting("okx") as (exchange, user):
        await user.ask(subscribe("okx", "trades:BTC-USDT"))
        clock = asyncio.get_running_loop().time
        started = clock()
        await asyncio.wait_for(exchange.stream(500, 100), 5)
        # The first goes at once.
        assert clock() - started >= 99 / 500 - 0.01
        with pytest.raises(ValueError, match="got 0"):
            exchange.stream(0)


async def test_a_silenced_channel_is_not_counted() -> None:
    async with meeting("okx") as (exchange, user):
        for channel in CHANNELS["okx"]:
            await user.ask(subscribe("okx", channel))
        exchange.silence(CHANNELS["okx"][0])
        await asyncio.wait_for(exchange.stream(20_000, 100), 5)
        assert [exchange.sent(channel) for channel in CHANNELS["okx"]] == [0, 100]
