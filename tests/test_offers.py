"""What a Multiplex offers to those who subscribe: what they read of it, and that the type checker is not told else."""

from __future__ import annotations

import inspect
from typing import Any, get_overloads

import pytest

from jetsocket import Gap, Multiplex, Subscription, SubscriptionGroup
from jetsocket.offers import Offers
from jetsocket.testing import Exchange

from .peers import multiplex

KNOWN = {"timeout", "deserializer", "message_type"}
OFFERS = {
    "subscribe": Offers.subscribe,
    "subscribe_many": Offers.subscribe_many,
    "subscribe_group": Offers.subscribe_group,
}


@pytest.mark.parametrize("name", OFFERS)
def test_what_help_shows_is_short_and_names_what_there_is(name: str) -> None:
    parameters = inspect.signature(getattr(Multiplex, name)).parameters
    assert set(parameters) - {"self", "channel", "channels", "shared"} == {*KNOWN, "terms"}
    assert ("shared" in parameters) == (name == "subscribe")
    assert (inspect.getdoc(getattr(Multiplex, name)) or "").count("\n") > 1


@pytest.mark.parametrize("name", OFFERS)
def test_messages_gaps_and_whatever_else_have_a_type_each(name: str) -> None:
    overloads = get_overloads(OFFERS[name])
    assert len(overloads) == 10
    assert sum("Gap" in inspect.signature(one).return_annotation for one in overloads) == 6


async def test_with_events_gaps_are_among_the_items_of_each_kind(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        terms: Any = {"events": True, "queue_size": 1}
        one = await mux.subscribe("a", **terms)
        (several,) = (await mux.subscribe_many(["b"], **terms)).subscriptions.values()
        group = await mux.subscribe_group(["c"], **terms)
        assert (type(one), type(several), type(group)) == (Subscription, Subscription, SubscriptionGroup)
        await exchange.wait_subscribed("a", "b", "c")
        for channel, subscription in (("a", one), ("b", several), ("c", group)):
            exchange.publish(channel, 1)
            exchange.publish(channel, 2)
            await mux.ping()
            gap = await subscription.recv(5)
            assert isinstance(gap, Gap)
            assert (gap.channel, gap.reason, gap.dropped) == (subscription.channel, "overflow", 1)
            message = await subscription.recv(5)
            assert (message[1] if subscription is group else message)["data"] == 2
