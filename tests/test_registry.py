"""Which subscriptions there are, what was asked for on which connection, and what became of every message."""

from __future__ import annotations

import asyncio
import builtins
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jetsocket import Gap, HeartbeatConfig, InvalidStateError, Multiplex, SubscriptionError
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, multiplex, subscribe_msg, text, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"
WAYS: list[Any] = [
    pytest.param({}, id="channel_key"),
    pytest.param({"channel_extractor": lambda message: message.get("stream")}, id="channel_extractor"),
]


async def snapshot(channel: str, gap: Gap) -> str:
    """What a gap is healed with."""
    return f"{channel} since {gap.since}"


@pytest.mark.parametrize("way", WAYS)
async def test_no_message_is_lost_from_the_sums(exchange: Exchange, way: dict[str, Any]) -> None:
    """Subscriptions that are open, that are closed and can still be read, and that nobody holds any more."""
    async with multiplex(exchange.uri, **way) as mux:
        open_, closed, gone = [await mux.subscribe(channel) for channel in ("open", "closed", "gone")]
        await exchange.wait_subscribed("open", "closed", "gone")
        for number in range(3):
            for channel in ("open", "closed", "gone"):
                exchange.publish(channel, number)
        await mux.ping()
        for subscription in (open_, closed, gone):
            await subscription.recv()
        await closed.close()
        await gone.close()
        del gone, subscription
        gc.collect()
        stats = mux.stats()
        assert (stats.total_subscriptions, stats.active_subscriptions) == (3, 1)
        assert stats.total_messages_routed == 9
        assert stats.total_messages_delivered == 3
        assert (stats.total_messages_queued, stats.total_messages_dropped) == (4, 2)
        assert [(await closed.recv())["data"] for _ in range(2)] == [1, 2]
        assert mux.stats().total_messages_delivered == 5


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


async def test_a_message_that_cannot_be_made_again_ends_its_subscription_alone(exchange: Exchange) -> None:
    wanted = {BTC: 1, ETH: 2}

    def ask(channel: str) -> dict[str, Any]:
        wanted[channel] -= 1
        if wanted[channel] < 0:
            raise LookupError("no token left")
        return subscribe_msg(channel)

    async with multiplex(exchange.uri, subscribe_msg=ask) as mux:
        reconnected = told(mux, "reconnected")
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        exchange.drop_all()
        await reconnected.get()
        with pytest.raises(SubscriptionError, match=f"cannot subscribe again to '{BTC}'") as caught:
            await btc.recv()
        assert isinstance(caught.value.__cause__, LookupError)
        await exchange.wait_subscribed(ETH)
        exchange.publish(ETH, 1)
        assert (await eth.recv())["data"] == 1
        assert mux.list_subscriptions() == [ETH]


async def test_what_no_subscription_wants_is_looked_at_for_pongs(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"op":"pong"}') + text('{"stream":"a"}'))
        await peer.answer_close()

    looked_at = asyncio.Queue[bytes]()

    def is_pong(payload: bytes) -> bool:
        looked_at.put_nowait(payload)
        return True

    server = await scripted(script)
    heartbeat = HeartbeatConfig(60, payload="ping", use_application_ping=True, pong_matcher=is_pong)
    async with multiplex(server.uri, subscribe_msg=None, heartbeat=heartbeat) as mux:
        await mux.send("go on")
        assert [await looked_at.get() for _ in range(2)] == [b'{"op":"pong"}', b'{"stream":"a"}']
        assert mux.stats().unroutable_messages == 2


# Memory.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"events": True},
        {"overflow": "error"},
        {"overflow": "latest", "conflate_key": "data"},
        {"overflow": "block"},
        {"recover": snapshot},
        {"sequence": "data", "events": True, "stale_after": 60},
    ],
    ids=["plain", "events", "error", "latest", "block", "recover", "sequence"],
)
async def test_a_closed_subscription_goes_with_its_last_user_and_not_when_the_collector_runs(
    exchange: Exchange, terms: dict[str, Any], way: dict[str, Any]
) -> None:
    if (way and terms.keys() & {"sequence"}) or (way and terms.get("overflow") == "block"):
        pytest.skip("needs raw bytes")
    async with multiplex(exchange.uri, **way) as mux:
        reconnected = told(mux, "reconnected")
        made = [await mux.subscribe("a", **terms), await mux.subscribe("a", shared=False, **terms)]
        if terms.get("overflow") != "latest":
            made.append(await mux.subscribe_group(["a", "b"], **terms))
        made.append(mux.unrouted())
        await exchange.wait_subscribed("a")
        exchange.publish("a", 1)
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_subscribed("a")
        exchange.publish("a", 3)
        await mux.ping()
        for subscription in made[:-1]:
            await subscription.recv(timeout=5)
        rings = [weakref.ref(subscription.ring) for subscription in made]
        gc.collect()
        gc.disable()
        try:
            for subscription in made:
                await subscription.close()
            del subscription
            made.clear()
            assert [ring() for ring in rings] == [None] * len(rings)
        finally:
            gc.enable()


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
