"""Where channels stand: what is to be done for them, who is told, and which keys are whose."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import count
from typing import Any

import pytest

from jetsocket import SubscriptionError
from jetsocket.channel import Channel
from jetsocket.protocol.channels import ChannelEvent, ChannelState
from jetsocket.standing import FORGIVEN, Standing

from .dialects import desk, name, names, number
from .peers import told

E = ChannelEvent


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_confirmed(self, channel: str) -> None:
        self.told.append(("confirmed", channel))

    def on_key(self, channel: str, key: str, known: bool) -> None:
        self.told.append(("key", channel, key, known))

    def on_asked(self, channel: str) -> None:
        self.told.append(("asked", channel))

    def on_refused(self, channel: str, error: SubscriptionError) -> None:
        self.told.append(("refused", channel, error))

    def on_interrupted(self, channel: str, since: int) -> None:
        self.told.append(("interrupted", channel, since))

    def on_restored(self, channels: int, seconds: float) -> None:
        self.told.append(("restored", channels, seconds))

    def on_notice(self, reply: Any, raw: bytes) -> None:
        self.told.append(("notice", reply, raw))

    def on_told(self, notice: Any) -> None:
        self.told.append(("told", notice))

    def on_pong(self) -> None:
        self.told.append(("pong",))

    def is_held_up(self) -> bool:
        return False


def made() -> tuple[Standing, Owner]:
    """Its clock goes on by a second with each look."""
    owner = Owner()
    return Standing(owner, count().__next__), owner


def lead(standing: Standing, name: str, *events: ChannelEvent) -> Channel:
    channel = standing.enter(name)
    for event in events:
        standing.apply(channel, event)
    return channel


def queues(standing: Standing) -> tuple[list[str], list[str]]:
    return list(standing.wanted), list(standing.unwanted)


def test_what_is_to_be_done_stands_in_its_queue_in_the_order_of_the_wishes():
    standing, _ = made()
    for one in ("a", "b", "c"):
        lead(standing, one, E.WANT)
    assert queues(standing) == (["a", "b", "c"], [])
    lead(standing, "b", E.ASKED)
    lead(standing, "c", E.ASKED, E.ACCEPTED, E.UNWANT)
    lead(standing, "a", E.ASKED, E.ACCEPTED, E.RENEW)
    assert queues(standing) == ([], ["c", "a"])
    lead(standing, "b", E.UNWANT, E.SILENT)
    assert queues(standing) == ([], ["c", "a", "b"])
    for one in ("a", "b", "c"):
        lead(standing, one, E.LEFT)
    assert queues(standing) == ([], [])


def test_work_is_announced_when_there_is_some():
    standing, _ = made()
    lead(standing, "a", E.WANT)
    assert standing.work.is_set()
    standing.work.clear()
    lead(standing, "a", E.ASKED)
    assert not standing.work.is_set()


def test_an_idle_channel_is_forgotten():
    standing, _ = made()
    lead(standing, "a", E.WANT, E.UNWANT)
    assert standing.channels == {}
    lead(standing, "a", E.WANT, E.ASKED, E.UNWANT, E.SILENT, E.LEFT, E.UNHEARD)
    assert standing.channels == {}


def test_places_are_taken_by_what_is_wanted_or_may_be_there_and_not_by_what_is_left_or_refused():
    standing, _ = made()
    for one in ("a", "b"):
        lead(standing, one, E.WANT, E.ASKED)
    assert (standing.taken, standing.has_place("a", 2), standing.has_place("c", 2)) == (2, True, False)
    lead(standing, "a", E.UNWANT)
    assert not standing.has_place("c", 2)
    lead(standing, "a", E.ACCEPTED)
    lead(standing, "b", E.REFUSED)
    assert (standing.taken, standing.has_place("c", 1)) == (0, True)
    standing.enter_late("d", "7")
    assert (standing.taken, queues(standing)) == (0, ([], ["a", "d"]))


def test_the_owner_is_told_once_that_all_has_its_answer_again():
    standing, owner = made()
    for one in ("a", "b", "c"):
        lead(standing, one, E.WANT)
    standing.restore()
    lead(standing, "a", E.ASKED, E.ACCEPTED)
    lead(standing, "b", E.UNWANT)
    lead(standing, "late", E.WANT, E.ASKED, E.ACCEPTED)
    refusal = SubscriptionError("no", channel="c")
    standing.apply(standing.enter("c"), E.ASKED)
    assert not [fact for fact in owner.told if fact[0] == "restored"]
    standing.refuse(standing.enter("c"), refusal)
    assert owner.told == [("confirmed", "a"), ("confirmed", "late"), ("restored", 3, 3), ("refused", "c", refusal)]
    standing.refuse(standing.enter("c"), refusal)
    assert len(owner.told) == 4


@pytest.mark.parametrize(
    ("events", "times"),
    [
        # The exchange ended it.
        ((E.RELEASED,), 1),
        # It is stale, and the unsubscribe is answered, or not, or overtaken.
        ((E.RENEW, E.RELEASED), 1),
        ((E.RENEW, E.LEFT, E.RELEASED, E.ASKED, E.ACCEPTED), 1),
        ((E.RENEW, E.LEFT, E.SILENT), 1),
        ((E.RENEW, E.LEFT, E.REVOKED), 1),
        # An answer that comes late: there may have been data in between.
        ((E.RENEW, E.LEFT, E.SILENT, E.ASKED, E.RELEASED), 2),
        # Wanted again, before it was left and after.
        ((E.UNWANT, E.WANT), 0),
        ((E.UNWANT, E.LEFT, E.WANT, E.RELEASED), 1),
        ((E.UNWANT, E.LEFT, E.SILENT, E.WANT, E.ASKED, E.ACCEPTED), 1),
        ((E.RENEW, E.LEFT, E.KEPT), 0),
        ((E.RENEW, E.LEFT, E.LOST), 0),
        ((E.UNWANT, E.LEFT, E.RELEASED), 0),
        ((E.REVOKED,), 0),
    ],
)
def test_the_owner_is_told_where_what_is_wanted_was_ended_on_the_same_connection(events, times):
    standing, owner = made()
    channel = lead(standing, "a", E.WANT, E.ASKED, E.ACCEPTED)
    before = time.time_ns()
    lead(standing, "a", *events)
    told_of = [fact for fact in owner.told if fact[0] == "interrupted"]
    assert len(told_of) == times
    assert all(name == "a" and before <= since <= time.time_ns() for _, name, since in told_of)
    assert channel.left_ns == 0 or E.LEFT in events


def test_a_channel_that_gets_another_key_was_begun_anew():
    standing, owner = made()
    channel = lead(standing, "a", E.WANT, E.ASKED)
    standing.learn(channel, "1")
    standing.apply(channel, E.ACCEPTED)
    owner.told.clear()
    standing.learn(channel, "2")
    assert [fact[0] for fact in owner.told] == ["interrupted", "key", "key", "confirmed"]


def test_what_was_asked_for_and_not_confirmed_is_not_ended():
    standing, owner = made()
    lead(standing, "a", E.WANT, E.ASKED, E.SILENT, E.ASKED, E.UNDECIDED, E.ASKED, E.ACCEPTED)
    assert owner.told == [("confirmed", "a")]


def test_a_loss_ends_the_keys_and_doubts_and_what_was_to_be_restored():
    standing, owner = made()
    kept = lead(standing, "kept", E.WANT, E.ASKED, E.SILENT)
    assert kept.doubtful
    lead(standing, "left", E.WANT, E.ASKED, E.ACCEPTED, E.UNWANT)
    standing.learn(kept, "1")
    standing.restore()
    standing.lost()
    assert (kept.doubtful, kept.key, kept.state) == (False, None, ChannelState.WANTED)
    assert list(standing.channels) == ["kept"]
    lead(standing, "kept", E.ASKED, E.ACCEPTED)
    assert owner.told == [
        ("confirmed", "left"),
        ("key", "kept", "1", True),
        ("key", "kept", "1", False),
        ("confirmed", "kept"),
    ]


def test_a_key_is_of_one_channel_the_last_that_it_was_given_to():
    standing, owner = made()
    one, other = lead(standing, "one", E.WANT), lead(standing, "other", E.WANT)
    standing.learn(one, "1")
    standing.learn(one, "1")
    standing.learn(other, "1")
    standing.learn(other, "2")
    assert (one.key, other.key) == (None, "2")
    assert owner.told == [
        ("key", "one", "1", True),
        ("key", "one", "1", False),
        ("key", "other", "1", True),
        ("key", "other", "1", False),
        ("key", "other", "2", True),
    ]


@pytest.mark.parametrize("event", [E.RELEASED, E.REVOKED, E.LOST])
def test_what_ends_a_subscription_ends_its_key(event: ChannelEvent):
    standing, owner = made()
    channel = lead(standing, "a", E.WANT, E.ASKED, E.ACCEPTED)
    standing.learn(channel, "1")
    standing.apply(channel, event)
    assert channel.key is None
    assert owner.told[-1] == ("key", "a", "1", False)


async def test_who_waits_is_woken_when_there_is_an_answer():
    standing, _ = made()
    channel = lead(standing, "a", E.WANT)
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    channel.waiters.append(waiter)
    standing.apply(channel, E.ASKED)
    assert not waiter.done()
    standing.apply(channel, E.ACCEPTED)
    assert waiter.done()


def test_what_was_refused_is_forgotten():
    standing, owner = made()
    refusal = SubscriptionError("no", channel="a")
    standing.refuse(lead(standing, "a", E.WANT, E.ASKED), refusal)
    assert standing.channels == {}
    assert owner.told == [("refused", "a", refusal)]


async def test_each_who_waits_gets_a_refusal_of_its_own():
    standing, _ = made()
    channel = lead(standing, "a", E.WANT, E.ASKED)
    loop = asyncio.get_running_loop()
    waiters = channel.waiters = [loop.create_future(), loop.create_future()]
    refusal = SubscriptionError("no", channel="a", code=7)
    refusal.__cause__ = LookupError("why")
    standing.refuse(channel, refusal)
    for waiter in waiters:
        error = waiter.exception()
        assert isinstance(error, SubscriptionError)
        assert error is not refusal
        assert (str(error), error.code, error.__cause__) == ("no", 7, refusal.__cause__)


async def test_what_the_server_ends_is_put_off_until_it_was_live_for_a_minute():
    owner, now = Owner(), [0.0]
    standing = Standing(owner, lambda: now[0])
    channel = lead(standing, "a", E.WANT)
    for seconds in (0, 1, 2, 4, 8, 16, 32, 60, 60):
        lead(standing, "a", E.ASKED, E.ACCEPTED, E.RELEASED)
        assert standing.put_off(channel) == seconds
        # The next connection has it at once.
        assert queues(standing) == ([] if seconds else ["a"], [])
        standing.lost()
        assert queues(standing) == (["a"], [])
    lead(standing, "a", E.ASKED, E.ACCEPTED)
    now[0] += FORGIVEN
    lead(standing, "a", E.RELEASED)
    assert standing.put_off(channel) == 0
    lead(standing, "a", E.ASKED, E.ACCEPTED, E.RELEASED)
    assert standing.put_off(channel) == 1
    lead(standing, "a", E.UNWANT)
    assert (standing.channels, channel.held) == ({}, None)


# At an exchange that gives out keys.


async def test_a_number_given_to_another_channel_after_a_reconnect_brings_its_data_to_that_one() -> None:
    """Bitfinex: the second connection's first number is the first one's second."""
    one, two = names("bitfinex", 2)
    async with desk("bitfinex") as (exchange, mux):
        resubscribed = told(mux, "resubscribed")
        exchange.skip(one, 1000)
        exchange.skip(two, 2000)
        many = await mux.subscribe_many([one, two], timeout=5)
        keys = {channel: mux._reconciler.channels[channel].key for channel in (one, two)}
        exchange.delay_acks()
        exchange.drop_all()
        await exchange.wait_subscribed(one, two)
        # Their answers have not come: whose these are nobody can know yet.
        exchange.publish(two)
        exchange.publish(one)
        await mux.ping(timeout=2)
        assert [len(many.subscriptions[channel].ring) for channel in (one, two)] == [0, 0]
        exchange.release_acks()
        await resubscribed.get()
        assert mux._reconciler.channels[one].key == keys[two]
        for channel, expected in ((one, 1001), (two, 2001)):
            assert number("bitfinex", await many.subscriptions[channel].recv(timeout=2)) == expected
            assert len(many.subscriptions[channel].ring) == 0


async def test_a_number_given_to_another_channel_on_the_same_connection_is_not_used_to_leave_it() -> None:
    one, two = names("bitfinex", 2)
    async with desk("bitfinex") as (exchange, mux):
        await mux.subscribe(one, timeout=2)
        key = mux._reconciler.channels[one].key
        exchange.ignore_requests()
        subscribing = asyncio.ensure_future(mux.subscribe(two))
        await exchange.wait_requests(2)
        exchange.send_text(
            json.dumps({"event": "subscribed", "channel": "trades", "chanId": int(key), "symbol": "tC1USD"})
        )
        await subscribing
        assert mux._reconciler.channels[one].key is None
        await mux.unsubscribe(one)
        await mux.ping(timeout=2)
        assert len(exchange.requests) == 2
        exchange.send_text(json.dumps([int(key), "te", [7, 0, 0.1, 1.5]]))
        assert number("bitfinex", await (await subscribing).recv(timeout=2)) == 7


async def test_a_duplicate_is_accepted_with_the_number_that_it_names() -> None:
    """The first request was done, but its answer got lost."""
    channel = name("bitfinex")
    async with desk("bitfinex", answer_timeout=0.05) as (exchange, mux):
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_requests(2)
        exchange.release_acks()
        subscription = await subscribing
        exchange.publish(channel)
        assert number("bitfinex", await subscription.recv(timeout=2)) == 1
