from __future__ import annotations

import asyncio
import time

import pytest

from jetsocket import BackoffConfig, HeartbeatConfig, Multiplex
from jetsocket.cli.faults import commit
from jetsocket.testing import Exchange

CHANNELS = ["btcusdt@trade", "ethusdt@trade"]


@pytest.mark.slow
async def test_a_client_survives_every_fault_and_is_subscribed_again() -> None:
    told: list[str] = []
    async with (
        Exchange.spawn(rate=1000) as exchange,
        Multiplex(
            exchange.uri,
            channel_key="stream",
            subscribe_msg=lambda channel: {"method": "SUBSCRIBE", "params": [channel], "id": 1},
            backoff=BackoffConfig(base=0.05),
            heartbeat=HeartbeatConfig(interval=0.3, timeout=0.3),
        ) as mux,
    ):
        for channel in CHANNELS:
            await mux.subscribe(channel)
        await exchange.wait_subscribed(*CHANNELS)
        seven = asyncio.Event()

        def tell(text: str) -> None:
            told.append(text)
            if len(told) == 8:
                seven.set()

        committing = asyncio.create_task(commit(exchange, CHANNELS, time.monotonic() + 60, tell))
        await asyncio.wait_for(seven.wait(), 30)
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        assert len(set(told[:7])) == 7
        assert told[7] == told[0]
        account = await exchange.account()
        assert account.refused == 2
        assert account.injected == 4
        assert mux.stats().connection_stats.reconnect_count >= 6


async def test_none_is_committed_after_the_end() -> None:
    told: list[str] = []
    async with Exchange.spawn(paused=True) as exchange:
        await commit(exchange, [], time.monotonic(), told.append)
        assert told == []
        assert (await exchange.account()).accepted == 0
