"""What is asked for beside a channel: checked, and held against what a subscription that is there was asked with."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from jetsocket import Gap, Multiplex, Sequence
from jetsocket.testing import Exchange

from .dialects import desk, name
from .peers import multiplex


class Trade(msgspec.Struct):
    data: int


async def recover(channel: str, gap: Gap) -> None:
    """Nothing can be recovered here."""


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"queue_size": 5}, {}),
    ({}, {"queue_size": 1000}),
    ({"queue_size": 5, "events": True}, {"events": True}),
    ({"events": True, "sequence": "data.t"}, {"sequence": Sequence("data.t"), "events": True}),
    ({"message_type": Trade}, {"message_type": Trade}),
    ({"message_type": Trade}, {}),
    ({"deserializer": bytes, "recover": recover}, {"recover": recover, "deserializer": bytes}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"queue_size": 5}, {"events": True}, "events=False"),
    ({"queue_size": 5}, {"overflow": "block", "queue_size": 6}, "overflow='drop_oldest', queue_size=5"),
    ({}, {"message_type": Trade}, "message_type=None"),
    ({"deserializer": json.loads}, {"deserializer": bytes}, f"deserializer={json.loads!r}"),
    ({"message_type": Trade}, {"deserializer": bytes}, f"deserializer=None, message_type={Trade!r}"),
    ({"events": True}, {"events": True, "sequence": Sequence("t", first="f")}, "sequence=None"),
    ({"stale_after": 9.0}, {"stale_after": None}, "stale_after=9.0"),
]


@pytest.mark.parametrize("first, second", SAME, ids=range(len(SAME)))
async def test_one_that_is_there_is_given_to_who_asks_for_nothing_else(
    exchange: Exchange, first: dict[str, Any], second: dict[str, Any]
) -> None:
    async with multiplex(exchange.uri) as mux:
        there = await mux.subscribe("a", **first)
        assert await mux.subscribe("a", **second) is there
        many = await mux.subscribe_many(["a", "b"], **second)
        assert many.subscriptions["a"] is there


@pytest.mark.parametrize("first, second, on", OTHER, ids=range(len(OTHER)))
async def test_who_asks_for_something_else_is_told_what_there_is(
    exchange: Exchange, first: dict[str, Any], second: dict[str, Any], on: str
) -> None:
    async with multiplex(exchange.uri) as mux:
        there = await mux.subscribe("a", **first)
        for asked in (mux.subscribe("a", **second), mux.subscribe_many(["b", "a"], **second)):
            with pytest.raises(ValueError) as caught:
                await asked
            text = f"'a' is subscribed to already on other terms ({on})"
            assert str(caught.value) == f"{text}; use shared=False for one of its own, or close it first"
        # Nothing has come of it, and there are the two ways that it names.
        assert mux.list_subscriptions() == ["a"]
        own = await mux.subscribe("a", shared=False, **second)
        await there.close()
        assert await mux.subscribe("a", **second) not in (there, own)


async def test_what_the_multiplex_decodes_with_is_nothing_else(exchange: Exchange) -> None:
    async with Multiplex(exchange.uri, channel_key="stream", message_type=Trade) as mux:
        there = await mux.subscribe("a")
        assert await mux.subscribe("a", message_type=Trade) is there
        with pytest.raises(ValueError, match="on other terms"):
            await mux.subscribe("a", deserializer=bytes)


async def test_who_comes_while_it_is_still_being_asked_for_is_told_too() -> None:
    channel = name("binance")
    async with desk("binance") as (exchange, mux):
        exchange.delay_acks()
        asking = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        with pytest.raises(ValueError, match="on other terms"):
            await mux.subscribe(channel, events=True)
        exchange.release_acks()
        assert (await asyncio.wait_for(asking, 5)).is_active


@pytest.mark.parametrize(
    "function, options, text",
    [
        ("subscribe", {"queue_sise": 5}, "subscribe() has no option 'queue_sise'; did you mean 'queue_size'?"),
        ("subscribe_many", {"deserialiser": bytes}, "subscribe_many() has no option 'deserialiser'; did you mean"),
        ("subscribe_many", {"shared": False}, "subscribe_many() has no option 'shared'"),
        ("subscribe_group", {"shared": False}, "subscribe_group() has no option 'shared'"),
    ],
)
async def test_an_option_that_there_is_not(
    exchange: Exchange, function: str, options: dict[str, Any], text: str
) -> None:
    async with multiplex(exchange.uri) as mux:
        with pytest.raises(TypeError) as caught:
            await getattr(mux, function)("a" if function == "subscribe" else ["a"], **options)
        assert str(caught.value).startswith(text)


async def test_many_may_be_decoded_in_their_own_way(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        typed = (await mux.subscribe_many(["a"], message_type=Trade)).subscriptions["a"]
        raw = (await mux.subscribe_many(["b"], deserializer=bytes)).subscriptions["b"]
        await exchange.wait_subscribed("a", "b")
        exchange.publish("a", 7)
        exchange.publish("b", 8)
        assert await typed.recv(5) == Trade(7)
        assert json.loads(await raw.recv(5))["data"] == 8
