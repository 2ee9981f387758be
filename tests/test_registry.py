"""Which subscriptions there are, what became of every message, and that nothing is kept for longer than its users."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from jetsocket import Gap
from jetsocket.testing import Exchange

from .peers import multiplex, told

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
