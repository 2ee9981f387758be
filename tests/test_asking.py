"""What is asked for and left where no server confirms: once on each connection, and no longer than it is wanted."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jetsocket import InvalidStateError, Multiplex, SubscriptionError
from jetsocket.testing import Exchange

from .peers import multiplex, subscribe_msg, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


async def test_each_channel_is_asked_for_once_on_each_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        reconnected = told(mux, "reconnected")
        for channel in (BTC, ETH, BTC):
            await mux.subscribe(channel)
        await mux.unsubscribe(ETH)
        await exchange.wait_requests(3)
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_requests(4)
        methods = [(request.message["method"], request.message["params"]) for request in exchange.requests]
        assert methods == [("SUBSCRIBE", [BTC]), ("SUBSCRIBE", [ETH]), ("UNSUBSCRIBE", [ETH]), ("SUBSCRIBE", [BTC])]


@pytest.mark.parametrize("kind", [LookupError, asyncio.CancelledError])
async def test_a_message_that_cannot_be_made_again_ends_its_subscription_alone(
    exchange: Exchange, kind: type[BaseException]
) -> None:
    wanted = {BTC: 1, ETH: 2}

    def ask(channel: str) -> dict[str, Any]:
        wanted[channel] -= 1
        if wanted[channel] < 0:
            raise kind("no token left")
        return subscribe_msg(channel)

    async with multiplex(exchange.uri, subscribe_msg=ask) as mux:
        reconnected = told(mux, "reconnected")
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        exchange.drop_all()
        await reconnected.get()
        with pytest.raises(SubscriptionError, match=f"cannot subscribe again to '{BTC}'") as caught:
            await btc.recv()
        assert isinstance(caught.value.__cause__, kind)
        await exchange.wait_subscribed(ETH)
        exchange.publish(ETH, 1)
        assert (await eth.recv())["data"] == 1
        assert mux.list_subscriptions() == [ETH]


# A server that does not read for a while.


@asynccontextmanager
async def deaf(exchange: Exchange) -> AsyncIterator[Multiplex[Any]]:
    """A multiplex whose socket takes no more."""
    async with multiplex(exchange.uri, compress=False) as mux:
        await mux.ping()
        exchange.stall()
        with pytest.raises(builtins.TimeoutError):
            while True:
                async with asyncio.timeout(0.2):
                    await mux.send("x" * 1_000_000)
        yield mux


async def test_a_channel_that_is_unsubscribed_before_it_could_be_asked_for(exchange: Exchange) -> None:
    async with deaf(exchange) as mux:
        subscribing = asyncio.create_task(mux.subscribe(BTC))
        await asyncio.sleep(0)
        assert mux.list_subscriptions() == [BTC]
        assert await mux.unsubscribe(BTC)
        exchange.resume()
        with pytest.raises(InvalidStateError, match="'btcusdt@trade' was unsubscribed meanwhile"):
            await subscribing
        await mux.ping()
        assert exchange.account().subscribes == 0


async def test_a_connection_that_is_lost_before_it_could_be_asked_on(exchange: Exchange) -> None:
    async with deaf(exchange) as mux:
        reconnected = told(mux, "reconnected")
        subscribing = asyncio.create_task(mux.subscribe(BTC))
        await asyncio.sleep(0)
        exchange.drop_all()
        exchange.resume()
        await reconnected.get()
        btc = await subscribing
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1
        assert exchange.account().subscribes == 1
