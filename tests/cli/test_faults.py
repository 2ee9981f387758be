from __future__ import annotations

import asyncio
import os
import signal
import sys
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


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
async def test_an_exchange_that_hangs_is_told_in_time() -> None:
    async with Exchange.spawn(paused=True) as exchange:
        assert exchange.pid is not None
        os.kill(exchange.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionError, match=r"^the exchange's process hangs: no answer in 5 s$"):
                await commit(exchange, [], time.monotonic() + 60, print)
        finally:
            os.kill(exchange.pid, signal.SIGCONT)


async def test_a_client_that_never_comes_back_is_told() -> None:
    told: list[str] = []
    async with Exchange.spawn(paused=True) as exchange:
        with pytest.raises(ConnectionError) as caught:
            await commit(exchange, CHANNELS, time.monotonic() + 60, told.append, recovery=0.2)
    assert str(caught.value) == f"{told[0]}: not every channel is live again after 0.2 s"
