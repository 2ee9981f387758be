"""What the server has is brought to what is wanted, on one connection after another: the same for the five dialects."""

from __future__ import annotations

import asyncio
import builtins
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from jetsocket import Multiplex, Subscription, SubscriptionError, TimeoutError, Window
from jetsocket.exchanges import BINANCE
from jetsocket.protocol.channels import ChannelState
from jetsocket.testing import Exchange, VenueExchange
from jetsocket.venue import Reply, Venue

from .dialects import DIALECTS, desk, gone, name, names, number, reach, state
from .peers import AT_ONCE, told


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Connections that follow one another.


async def test_all_that_is_wanted_is_there_again_after_a_reconnect(dialect: str) -> None:
    wanted = names(dialect, 4)
    async with desk(dialect) as (exchange, mux):
        resubscribed = told(mux, "resubscribed")
        many = await mux.subscribe_many(wanted, timeout=5)
        for reset in (True, False):
            exchange.drop_all(reset=reset)
            assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 4
            assert exchange.subscribed() == wanted
        for channel in wanted:
            exchange.publish(channel)
            assert number(dialect, await many.subscriptions[channel].recv(timeout=2)) == 1


async def test_what_was_refused_is_not_asked_for_on_the_next_connection(dialect: str) -> None:
    good, bad = names(dialect, 2)
    async with desk(dialect) as (exchange, mux):
        resubscribed = told(mux, "resubscribed")
        exchange.refuse(bad)
        await mux.subscribe(good, timeout=2)
        with pytest.raises(SubscriptionError):
            await mux.subscribe(bad, timeout=2)
        exchange.accept()
        exchange.drop_all()
        await resubscribed.get()
        assert exchange.subscribed() == [good]
        await mux.subscribe(bad, timeout=2)
        assert exchange.subscribed() == [good, bad]


async def test_what_is_refused_on_the_next_connection_ends_with_its_reason(dialect: str) -> None:
    good, bad = names(dialect, 2)
    async with desk(dialect) as (exchange, mux):
        refused, resubscribed = told(mux, "refused"), told(mux, "resubscribed")
        many = await mux.subscribe_many([good, bad], timeout=5)
        exchange.publish(bad)
        await reach(lambda: len(many.subscriptions[bad].ring) == 1)
        exchange.refuse(bad)
        exchange.drop_all()
        # That one has its answer too: it is no reason to wait for ever.
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 2
        assert (await refused.get()).channel == bad
        assert number(dialect, await many.subscriptions[bad].recv(timeout=2)) == 1
        with pytest.raises(SubscriptionError) as caught:
            await many.subscriptions[bad].recv(timeout=2)
        assert caught.value.channel == bad
        assert mux.list_subscriptions() == [good]


# Keys that are learned; how they are kept: tests/test_standing.py.


@pytest.mark.parametrize("form", ["one", "group", "of two consumers"])
async def test_what_comes_before_the_key_is_known_is_not_lost_where_the_queue_is_full_and_blocks(form: str) -> None:
    """After a reconnect: the queue is still full of what came before it."""
    one, two = names("bitfinex", 2)
    terms: dict[str, Any] = {"overflow": "block", "queue_size": 2}
    async with desk("bitfinex") as (exchange, mux):
        resubscribed = told(mux, "resubscribed")
        recorder: Subscription[Any]
        recorder = await (mux.subscribe_group([one, two], **terms) if form == "group" else mux.subscribe(one, **terms))
        rings = [recorder.ring]
        if form == "of two consumers":
            rings.append((await mux.subscribe(one, shared=False)).ring)
        exchange.publish(one, 2)
        await reach(lambda: [len(ring) for ring in rings] == [2] * len(rings))
        exchange.delay_acks()
        exchange.drop_all()
        await exchange.wait_subscribed(*recorder.channels)
        exchange.publish(one, 5)
        await mux.ping(timeout=2)
        # Of the next ones some are in the same read as the answer, and some may stand behind it.
        exchange.release_acks()
        exchange.publish(one, 500)
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(one)
        await reach(lambda: mux.is_held_up)
        assert mux.stats().total_messages_dropped == 0
        got = [await recorder.recv(timeout=5) for _ in range(508)]
        numbers = [number("bitfinex", item[1] if form == "group" else item) for item in got]
        assert numbers == list(range(1, 509))
        assert (recorder.ring.capacity, len(recorder.ring)) == (2, 0)
        assert mux.stats().total_messages_routed == 508
        assert [ring.received for ring in rings] == [508] * len(rings)


async def test_a_sign_of_life_of_a_channel_is_no_message() -> None:
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        subscription = await mux.subscribe(channel, timeout=2)
        exchange.heartbeat(channel)
        exchange.publish(channel)
        assert number("bitfinex", await subscription.recv(timeout=2)) == 1
        stats = mux.stats()
        assert stats.total_messages_routed == 1


async def test_data_of_a_channel_that_nobody_asked_for_are_not_kept_for_ever() -> None:
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        rest = mux.unrouted(queue_size=2000)
        exchange.ignore_requests(times=1)
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_requests(1)
        for count in range(1100):
            exchange.send_text(f'[1,"te",[{count},0,0.1,1.5]]')
        await mux.ping(timeout=2)
        early = mux._registry.unrouted.early
        assert early is not None
        assert len(early) == 1000
        subscribing.cancel()
        await asyncio.wait([subscribing])
        exchange.send_text('[1,"te",[1100,0,0.1,1.5]]')
        assert [(await rest.recv(timeout=2))[2][0] for _ in range(1101)] == list(range(1101))
        assert len(early) == 0


# A venue whose functions fail.


def failing(function: str, *, of: str, kind: type[BaseException] = LookupError) -> Venue:
    """Binance's venue with a function that fails on channels called `of`."""
    given = getattr(BINANCE, function)

    def fail(channels: Any, *rest: Any) -> Any:
        if of in channels:
            raise kind("no such thing")
        return given(channels, *rest) if given is not None else "all"

    return replace(BINANCE, pace=(), channels_per_message=1, **{function: fail})


@pytest.mark.parametrize("kind", [LookupError, asyncio.CancelledError])
@pytest.mark.parametrize("function", ["subscribe", "together"])
async def test_a_function_of_the_venue_that_fails_on_a_channel_refuses_that_one_alone(
    function: str, kind: type[BaseException]
) -> None:
    good, bad, other = names("binance", 3)
    async with (
        VenueExchange("binance") as exchange,
        Multiplex(exchange.uri, venue=failing(function, of=bad, kind=kind), backoff=AT_ONCE) as mux,
    ):
        many = await mux.subscribe_many([bad, good], timeout=5)
        assert list(many.failures) == [bad]
        assert isinstance(many.failures[bad], SubscriptionError)
        assert "Binance's subscribe failed: no such thing" in str(many.failures[bad])
        await mux.subscribe(other, timeout=2)
        assert exchange.subscribed() == [good, other]


async def test_of_a_request_for_several_the_one_that_cannot_be_made_is_refused_alone() -> None:
    good, other = names("okx", 2)
    async with desk("okx") as (exchange, mux):
        many = await mux.subscribe_many([good, "account", other], timeout=5)
        assert list(many.failures) == ["account"]
        assert "cannot subscribe 'account': OKX's subscribe failed: data of 'account' name no instrument" in str(
            many.failures["account"]
        )
        assert isinstance(many.failures["account"].__cause__, ValueError)
        assert exchange.subscribed() == [good, other]
        assert len(exchange.requests) == 1


async def test_what_can_be_asked_for_alone_but_not_together_is_refused() -> None:
    one, two = names("binance", 2)

    def subscribe(channels: Sequence[str], request_id: int) -> Any:
        if len(channels) > 1:
            raise LookupError("one at a time")
        return BINANCE.subscribe(channels, request_id)

    async with desk("binance", subscribe=subscribe) as (_, mux):
        many = await mux.subscribe_many([one, two], timeout=5)
        assert list(many.failures) == [one, two]
        await mux.subscribe(one, timeout=2)


async def test_an_unsubscribe_that_fails_ends_the_subscription_all_the_same() -> None:
    good, bad = names("binance", 2)
    async with (
        VenueExchange("binance") as exchange,
        Multiplex(exchange.uri, venue=failing("unsubscribe", of=bad), backoff=AT_ONCE) as mux,
    ):
        await mux.subscribe_many([good, bad], timeout=5)
        await mux.unsubscribe(bad)
        await mux.unsubscribe(good)
        await exchange.until(gone(exchange, good))
        assert state(mux, bad) is ChannelState.IDLE


async def test_a_request_of_several_messages_has_its_patience_from_the_last_one_on() -> None:
    """At the exchange's pace they take longer to send than the server has to answer."""

    def subscribe(channels: Sequence[str], request_id: int) -> tuple[Any, ...]:
        return tuple(BINANCE.subscribe([channel], request_id) for channel in channels)

    async with VenueExchange("binance") as exchange:
        venue = replace(BINANCE, subscribe=subscribe, answer_timeout=0.1, pace=(Window(2, 0.05),))
        exchange.limits = replace(exchange.limits, messages=())
        exchange.delay_acks()
        async with Multiplex(exchange.uri, venue=venue, backoff=AT_ONCE) as mux:
            wanted = names("binance", 5)
            subscribing = asyncio.ensure_future(mux.subscribe_many(wanted, timeout=5))
            await exchange.wait_requests(5)
            exchange.release_acks()
            assert (await subscribing).failures == {}
            assert len(exchange.requests) == 5
            assert mux._reconciler is not None
            assert mux._reconciler.unanswered == 0


# Where no answers come: the first data are one.


def mute_venue(**changes: Any) -> Venue:
    """The embedded exchange, as one whose answers nobody can read."""
    form = {"SUBSCRIBE": "subscribe", "UNSUBSCRIBE": "unsubscribe"}

    def asks(method: str) -> Any:
        return lambda channels, number: {"method": method, "params": list(channels), "id": number}

    functions = {form[method]: asks(method) for method in form}
    given: dict[str, Any] = {**functions, "classify": lambda raw: Reply("pong") if b'"id"' in raw else None, **changes}
    return Venue(name="Mute", uri="ws://127.0.0.1", channel_key="stream", matching="data", **given)


async def test_the_first_data_are_the_answer(exchange: Exchange) -> None:
    async with Multiplex(exchange.uri, venue=mute_venue(), backoff=AT_ONCE) as mux:
        subscribing = asyncio.ensure_future(mux.subscribe("a"))
        await exchange.wait_subscribed("a")
        await mux.ping(timeout=2)
        assert not subscribing.done()
        exchange.publish("a", 1)
        subscription = await asyncio.wait_for(subscribing, 2)
        assert (await subscription.recv(timeout=2))["data"] == 1
        await mux.unsubscribe("a")
        await exchange.wait_requests(2)
        assert exchange.requests[-1].message["method"] == "UNSUBSCRIBE"
        assert state(mux, "a") is ChannelState.IDLE


async def test_a_channel_that_brought_nothing_is_left_when_nobody_waits_any_more(exchange: Exchange) -> None:
    async with Multiplex(exchange.uri, venue=mute_venue(), backoff=AT_ONCE) as mux:
        with pytest.raises(TimeoutError):
            await mux.subscribe("a", timeout=0.01)
        await exchange.wait_requests(2)
        assert exchange.requests[-1].message["method"] == "UNSUBSCRIBE"
        assert state(mux, "a") is ChannelState.IDLE


async def test_data_of_the_last_connection_answer_nothing_on_the_next(exchange: Exchange) -> None:
    """They came just before the loss, and were not looked at yet."""
    async with Multiplex(exchange.uri, venue=mute_venue(), backoff=AT_ONCE) as mux:
        resubscribed = told(mux, "resubscribed")
        subscribing = asyncio.ensure_future(mux.subscribe("a"))
        await exchange.wait_subscribed("a")
        exchange.publish("a", 1)
        await reach(lambda: (found := mux.get_subscription("a")) is not None and len(found.ring) == 1)
        exchange.drop_all()
        await exchange.wait_requests(2)
        await mux.ping(timeout=2)
        assert state(mux, "a") is ChannelState.SUBSCRIBING
        assert not subscribing.done()
        exchange.publish("a", 2)
        await asyncio.wait_for(subscribing, 2)
        assert (await asyncio.wait_for(resubscribed.get(), 2)).channels == 1


async def test_many_reconnects_leave_one_look_behind(exchange: Exchange) -> None:
    async with Multiplex(exchange.uri, venue=mute_venue(), backoff=AT_ONCE) as mux:
        subscribing = asyncio.ensure_future(mux.subscribe("quiet"))
        for count in range(5):
            await exchange.wait_requests(count + 1)
            exchange.drop_all()
        await exchange.wait_requests(6)
        assert len(mux._conversation._first_data) == 1
        subscribing.cancel()
        await asyncio.wait([subscribing])


# All of it at once.


class Play:
    """Calls and faults at random, and at the end the server has what is wanted: no more, and no less."""

    def __init__(self, exchange: VenueExchange, mux: Multiplex[Any], dialect: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.exchange = exchange
        self.mux = mux
        self.dialect = dialect
        self.channels = names(dialect, 12)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.subscriptions: set[Subscription[Any]] = set()
        self.holds = False

    def begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self.done)
        self.tasks.add(task)

    def done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        if isinstance(task.result(), Subscription):
            self.subscriptions.add(task.result())

    async def over(self) -> None:
        """All calls have ended, in a way that they may end."""
        for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(outcome, (SubscriptionError, TimeoutError, asyncio.CancelledError)):
                continue
            if isinstance(outcome, BaseException) and "meanwhile" not in str(outcome):
                raise outcome

    def step(self) -> None:
        channel = self.random.choice(self.channels)
        doing = self.random.choices(
            ["subscribe", "hasty", "own", "many", "unsubscribe", "cancel", "close", "renew", "publish",
             "drop", "end", "refuse", "accept", "ignore", "hold", "release", "revoke", "early"],
            [12, 4, 3, 4, 12, 4, 4, 4, 10, 2, 1, 2, 3, 1, 3, 6, 2, 1],
        )[0]  # fmt: skip
        getattr(self, f"do_{doing}")(channel)

    def do_subscribe(self, channel: str) -> None:
        self.begin(self.mux.subscribe(channel))

    def do_hasty(self, channel: str) -> None:
        self.begin(self.mux.subscribe(channel, timeout=self.random.choice([0, 0.001, 0.02])))

    def do_own(self, channel: str) -> None:
        self.begin(self.mux.subscribe(channel, shared=False))

    def do_many(self, _: str) -> None:
        self.begin(self.mux.subscribe_many(self.random.sample(self.channels, 5)))

    def do_unsubscribe(self, channel: str) -> None:
        self.begin(self.mux.unsubscribe(channel))

    def do_cancel(self, _: str) -> None:
        waiting = [task for task in self.tasks if not task.done()]
        if waiting:
            self.random.choice(waiting).cancel()

    def do_close(self, _: str) -> None:
        if self.subscriptions:
            self.begin(self.subscriptions.pop().close())

    def do_renew(self, channel: str) -> None:
        self.mux.ask_anew(channel)

    def do_publish(self, channel: str) -> None:
        self.exchange.publish(channel, 2)

    def do_drop(self, _: str) -> None:
        self.exchange.drop_all(reset=self.random.random() < 0.5)

    def do_end(self, _: str) -> None:
        self.exchange.close_all(1001)

    def do_refuse(self, channel: str) -> None:
        self.exchange.refuse(channel)

    def do_accept(self, _: str) -> None:
        self.exchange.accept()

    def do_ignore(self, channel: str) -> None:
        # The third time that one does not hear of its being left, the client gives up: that is not what this is about.
        if state(self.mux, channel) not in (ChannelState.UNSUBSCRIBING, ChannelState.LINGERING):
            self.exchange.ignore_requests(channel, times=1)

    def leaving(self) -> list[str]:
        assert self.mux._reconciler is not None
        return [name for name, channel in self.mux._reconciler.channels.items() if not channel.state.is_wanted]

    def do_hold(self, _: str) -> None:
        self.holds = True
        self.exchange.delay_acks()

    def do_release(self, _: str) -> None:
        self.holds = False
        self.exchange.release_acks()

    def do_revoke(self, channel: str) -> None:
        # Binance says nothing of it, so that nobody can know; and no exchange says it before what it did earlier.
        if self.dialect != "binance" and not self.holds and channel in self.exchange.subscribed():
            self.exchange.revoke(channel)

    def do_early(self, _: str) -> None:
        self.exchange.data_before_ack(self.random.random() < 0.5)

    def settled(self) -> bool:
        wanted = self.mux.list_subscriptions()
        states = [state(self.mux, channel) for channel in wanted]
        return (
            self.mux.is_connected
            and not self.leaving()
            and all(one is ChannelState.SUBSCRIBED for one in states)
            and sorted(self.exchange.subscribed()) == sorted(wanted)
        )


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_happens_the_server_has_in_the_end_what_is_wanted(dialect: str, seed: int) -> None:
    faults = {"answer_timeout": 0.02, "pace": (), "connect_pace": ()}
    async with desk(dialect, **faults) as (exchange, mux):
        exchange.limits = replace(exchange.limits, messages=(), requests=(), connects=())
        play = Play(exchange, mux, dialect, seed)
        for _ in range(400):
            play.step()
            for _ in range(play.random.choice([0, 0, 1, 3, 10, 40])):
                await asyncio.sleep(0)
            if play.random.random() < 0.02:
                # Longer than the client waits for an answer.
                await asyncio.sleep(0.03)
        exchange.accept()
        exchange.release_acks()
        await asyncio.wait_for(play.over(), 5)
        await exchange.wait_connected()
        try:
            await reach(play.settled, 3)
        except builtins.TimeoutError:
            found = {channel: state(mux, channel).value for channel in play.channels}
            pytest.fail(f"wanted {mux.list_subscriptions()}, there {exchange.subscribed()}, states {found}")
        assert mux._reconciler is not None
        assert len(mux._reconciler._requests) == 0
        assert not any(channel.waiters for channel in mux._reconciler.channels.values())
        # Each gets its own data, and all of them.
        for channel in mux.list_subscriptions():
            shared = mux.get_subscription(channel)
            if shared is None:
                continue
            while len(shared.ring):
                await shared.recv(timeout=0)
            exchange.publish(channel)
            got = await shared.recv(timeout=2)
            assert number(dialect, got) == exchange.sequence(channel)
        stats = mux.stats()
        sums = stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
        assert stats.total_messages_routed <= sums
