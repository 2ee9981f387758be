"""What an exchange says, and that it says nothing: whose answer one is, and what it means; the dialects alike."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import weakref
from dataclasses import replace
from typing import Any

import pytest

from jetsocket import Greeting, Multiplex, SubscriptionError, TimeoutError, Window, pausing
from jetsocket.exchanges import BINANCE
from jetsocket.protocol.channels import ChannelState
from jetsocket.testing import VenueExchange

from .dialects import DIALECTS, desk, gone, name, names, number, reach, state
from .peers import AT_ONCE, told


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Whose answer it is.


async def test_an_answer_held_back_over_a_loss_answers_nothing(dialect: str) -> None:
    """The old connection's answers come when the new one has asked, unanswered, for something else."""
    one, two = names(dialect, 2)
    async with desk(dialect) as (exchange, mux):
        exchange.delay_acks()
        first = asyncio.ensure_future(mux.subscribe(one))
        await exchange.wait_subscribed(one)
        old = exchange.present
        exchange.drop_all()
        await exchange.until(lambda: exchange.present not in (None, old))
        second = asyncio.ensure_future(mux.subscribe(two))
        await exchange.wait_subscribed(one)
        await mux.ping(timeout=2)
        assert not first.done()
        assert not second.done()
        exchange.release_acks()
        await asyncio.gather(first, second)
        assert sorted(exchange.subscribed()) == [one, two]


@pytest.mark.parametrize("outcome", ["accepted", "refused"])
async def test_an_answer_with_the_number_of_an_earlier_request_is_not_taken_for_the_present_ones(outcome: str) -> None:
    """Numbers never repeat, also from one connection to the next."""
    channel = name("binance")
    async with desk("binance") as (exchange, mux):
        notices = told(mux, "notice")
        exchange.ignore_requests()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_requests(1)
        exchange.drop_all()
        await exchange.wait_requests(2)
        old, present = [received.message["id"] for received in exchange.requests]
        assert old != present
        text = {"result": None, "id": old} if outcome == "accepted" else {"error": {"code": 2, "msg": "bad"}, "id": old}
        exchange.send_text(json.dumps(text))
        await mux.ping(timeout=2)
        assert not subscribing.done()
        assert notices.qsize() == (outcome == "refused")
        exchange.send_text(json.dumps({"result": None, "id": present}))
        await subscribing


@pytest.mark.parametrize("given", [LookupError, asyncio.CancelledError, "accepted", 7], ids=str)
async def test_a_classify_that_fails_or_says_nonsense_is_of_one_message(given: Any) -> None:
    def classify(raw: bytes) -> Any:
        if b"odd" not in raw:
            return BINANCE.classify(raw)
        if isinstance(given, type):
            raise given("no such thing")
        return given

    channel = name("binance")
    async with VenueExchange("binance") as exchange:
        venue = replace(BINANCE, classify=classify)
        async with Multiplex(exchange.uri, venue=venue, backoff=AT_ONCE) as mux:
            rest = mux.unrouted()
            exchange.send_text('{"odd":1}')
            assert await rest.recv(timeout=2) == {"odd": 1}
            await mux.subscribe(channel, timeout=2)
            assert mux.stats().connection_stats.reconnect_count == 0


async def test_the_answer_to_a_request_of_the_users_own_is_taken_for_no_answer_to_ours() -> None:
    """Theirs begin at 1. It is answered when ours waits for its refusal."""
    channel = name("binance")

    async def greet(connection: Greeting) -> None:
        await connection.send({"method": "SET_PROPERTY", "params": ["combined", True], "id": 1})

    async with desk("binance", options={"on_connect": greet}) as (exchange, mux):
        exchange.refuse(channel, 2, "Invalid request: invalid stream")
        with pytest.raises(SubscriptionError, match="invalid stream"):
            await mux.subscribe(channel, timeout=5)
        assert mux.list_subscriptions() == []


@pytest.mark.parametrize(
    "dialect, said",
    [
        ("binance", '{"code":2,"msg":"Invalid request: property name must be a string"}'),
        ("binance", '{"result":null,"id":null}'),
        ("bitfinex", '{"event":"error","msg":"event: invalid","code":10000}'),
        ("okx", '{"event":"error","code":"60012","msg":"Invalid request: {}"}'),
        ("kraken", '{"method":"subscribe","success":false,"error":"Malformed request"}'),
    ],
)
async def test_what_names_neither_request_nor_channel_decides_about_nothing(dialect: str, said: str) -> None:
    """It may answer what the user has sent."""
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        notices = told(mux, "notice")
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel, timeout=5))
        await exchange.wait_subscribed(channel)
        exchange.send_text(said)
        await mux.ping(timeout=2)
        assert state(mux, channel) is ChannelState.SUBSCRIBING
        # One may be the exchange's welcome.
        raws = [notices.get_nowait().raw for _ in range(notices.qsize())]
        assert (said.encode() in raws) == ("result" not in said)
        exchange.release_acks()
        await subscribing


# Silence.


async def test_silence_is_counted_and_does_not_outlast_the_connection(dialect: str) -> None:
    """A timer of the old connection that ran on would have everything asked for twice on the new one."""
    channel = name(dialect)
    async with desk(dialect, answer_timeout=0.1) as (exchange, mux):
        exchange.ignore_requests(times=1)
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_requests(1)
        exchange.drop_all()
        await subscribing
        assert mux._reconciler is not None
        assert len(mux._reconciler._requests) == 0
        assert mux._reconciler.unanswered == 0
        assert len(exchange.requests) == 2


async def test_what_was_asked_for_in_vain_is_left_when_nobody_wants_it_any_more() -> None:
    """Between the first request's silence and the second, which waits for its turn: the server has it all the same."""
    channel = name("binance")
    pace = {"pace": (Window(1, 0.3),), "reserve": 0, "pace_counts_control": False, "answer_timeout": 0.03}
    async with desk("binance", **pace) as (exchange, mux):
        exchange.delay_acks()
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await exchange.wait_subscribed(channel)
        await reach(lambda: state(mux, channel) is ChannelState.WANTED)
        subscribing.cancel()
        await asyncio.wait([subscribing])
        await exchange.until(gone(exchange, channel))
        assert [received.message["method"] for received in exchange.requests] == ["SUBSCRIBE", "UNSUBSCRIBE"]


# Leaving, where no answer comes.


def leave_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of unanswered requests to leave: how each sentence ends."""
    return [
        record.message.rpartition("; ")[2]
        for record in caplog.records
        if record.levelno == logging.WARNING and "has not answered: unsubscribe" in record.message
    ]


async def test_what_is_not_heard_to_be_left_is_left_again(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    one, other = names(dialect, 2)
    async with desk(dialect, answer_timeout=0.05, pace=()) as (exchange, mux):
        exchange.limits = replace(exchange.limits, messages=())
        await mux.subscribe_many([one, other], timeout=5)
        before = len(exchange.requests)
        exchange.ignore_requests(one, times=2)
        await mux.unsubscribe(one)
        await asyncio.wait_for(exchange.until(gone(exchange, one)), 5)
        await reach(lambda: state(mux, one) is ChannelState.IDLE)
        assert len(exchange.requests) == before + 3
        assert exchange.subscribed() == [other]
        assert leave_lines(caplog) == ["asking again"] * 2


async def test_what_is_never_heard_to_be_left_is_given_up_and_can_be_had_again(
    dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    channel = name(dialect)
    async with desk(dialect, answer_timeout=0.02, pace=()) as (exchange, mux):
        exchange.limits = replace(exchange.limits, messages=())
        await mux.subscribe(channel, timeout=5)
        before = len(exchange.requests)
        exchange.ignore_requests(channel)
        await mux.unsubscribe(channel)
        await reach(lambda: state(mux, channel) is ChannelState.IDLE)
        assert len(exchange.requests) == before + 3
        assert leave_lines(caplog) == ["asking again", "asking again", "it may go on sending"]
        # It does, and nobody gets it until somebody wants it.
        exchange.publish(channel)
        await mux.ping(timeout=2)
        exchange.accept()
        subscription = await mux.subscribe(channel, timeout=5)
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 2
        # And then all of it begins anew.
        exchange.ignore_requests(channel, times=2)
        await mux.unsubscribe(channel)
        await asyncio.wait_for(exchange.until(gone(exchange, channel)), 5)


async def test_of_a_request_to_leave_several_each_is_left_again(caplog: pytest.LogCaptureFixture) -> None:
    """Together, in as few messages as the exchange allows."""
    one, two, kept = names("binance", 3)
    async with desk("binance", answer_timeout=0.05) as (exchange, mux):
        await mux.subscribe_many([one, two, kept], timeout=5)
        exchange.ignore_requests(times=1)
        await asyncio.gather(mux.unsubscribe(one), mux.unsubscribe(two))
        await asyncio.wait_for(exchange.until(lambda: exchange.subscribed() == [kept]), 5)
        methods = [received.message["method"] for received in exchange.requests]
        assert methods == ["SUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE"]
        assert ["unsubscribe 2 channels; asking again" in line for line in caplog.messages].count(True) == 1


# So slow that a request which has to be made again waits for its turn.
SLOW: dict[str, Any] = {
    "pace": (Window(1, 0.35),),
    "reserve": 0,
    "pace_counts_control": False,
    "answer_timeout": 0.08,
}
in_three_ways = pytest.mark.parametrize("dialect", ["binance", "bitfinex", "coinbase"])


@in_three_ways
async def test_what_was_left_without_an_answer_and_is_wanted_again_is_asked_for(dialect: str) -> None:
    """The server has left it, and only its answer is late: who takes the channel for live gets nothing."""
    channel = name(dialect)
    async with desk(dialect, **SLOW) as (exchange, mux):
        await mux.subscribe(channel, timeout=5)
        exchange.delay_acks()
        await mux.unsubscribe(channel)
        await asyncio.wait_for(exchange.until(gone(exchange, channel)), 5)
        await reach(lambda: state(mux, channel) is ChannelState.LINGERING)
        subscribing = asyncio.ensure_future(mux.subscribe(channel, timeout=5))
        await asyncio.sleep(0)
        exchange.release_acks()
        subscription = await subscribing
        assert exchange.subscribed() == [channel]
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1
        assert len(exchange.requests) == 3


@in_three_ways
async def test_what_was_left_without_an_answer_and_is_wanted_for_a_moment_is_left_all_the_same(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect, **SLOW) as (exchange, mux):
        await mux.subscribe(channel, timeout=5)
        exchange.ignore_requests(channel, times=1)
        await mux.unsubscribe(channel)
        await reach(lambda: state(mux, channel) is ChannelState.LINGERING)
        with pytest.raises(TimeoutError):
            await mux.subscribe(channel, timeout=0)
        await asyncio.wait_for(exchange.until(gone(exchange, channel)), 5)
        await reach(lambda: state(mux, channel) is ChannelState.IDLE)
        assert len(exchange.requests) == 3


@in_three_ways
async def test_what_is_wanted_for_a_moment_while_it_is_left_without_an_answer_is_left_all_the_same(
    dialect: str,
) -> None:
    channel = name(dialect)
    async with desk(dialect, **SLOW) as (exchange, mux):
        await mux.subscribe(channel, timeout=5)
        exchange.ignore_requests(channel, times=1)
        await mux.unsubscribe(channel)
        await exchange.wait_requests(2)
        subscribing = asyncio.ensure_future(mux.subscribe(channel))
        await reach(lambda: state(mux, channel) is ChannelState.WANTED)
        subscribing.cancel()
        await asyncio.wait([subscribing])
        await asyncio.wait_for(exchange.until(gone(exchange, channel)), 5)
        assert len(exchange.requests) == 3


@in_three_ways
async def test_what_was_asked_for_in_vain_and_given_up_and_is_wanted_again_is_asked_for_again(dialect: str) -> None:
    """The first request got lost: nothing says that the server has the channel."""
    channel = name(dialect)
    async with desk(dialect, **SLOW) as (exchange, mux):
        exchange.ignore_requests(channel, times=1)
        with pytest.raises(TimeoutError):
            await mux.subscribe(channel, timeout=0.04)
        await reach(lambda: state(mux, channel) not in (ChannelState.SUBSCRIBING, ChannelState.CANCELLING))
        subscription = await mux.subscribe(channel, timeout=5)
        assert exchange.subscribed() == [channel]
        exchange.publish(channel)
        assert number(dialect, await subscription.recv(timeout=2)) == 1


# What the server does by itself.


@pytest.mark.parametrize("dialect", ["bitfinex", "kraken", "coinbase"])
async def test_what_the_server_ends_without_a_reason_is_asked_for_again(dialect: str) -> None:
    one, two = names(dialect, 2)
    async with desk(dialect) as (exchange, mux):
        many = await mux.subscribe_many([one, two], timeout=5)
        before = len(exchange.requests)
        exchange.revoke(one)
        await exchange.wait_requests(before + 1)
        await exchange.wait_subscribed(one, two)
        await reach(lambda: state(mux, one) is ChannelState.SUBSCRIBED)
        exchange.publish(one)
        assert number(dialect, await many.subscriptions[one].recv(timeout=2)) == 1


async def test_a_revocation_ends_the_subscriptions_with_its_reason() -> None:
    """OKX names the kind of channel alone."""
    async with desk("okx") as (exchange, mux):
        refused = told(mux, "refused")
        tickers, trades = names("okx", 2), ["trades:A-B"]
        many = await mux.subscribe_many(tickers + trades, timeout=5)
        exchange.publish(tickers[0])
        await reach(lambda: len(many.subscriptions[tickers[0]].ring) == 1)
        exchange.revoke(tickers[1])
        assert {(await refused.get()).channel for _ in tickers} == set(tickers)
        assert (await many.subscriptions[tickers[0]].recv(timeout=2))["arg"]["channel"] == "tickers"
        for channel in tickers:
            with pytest.raises(SubscriptionError, match="OKX ended") as caught:
                await many.subscriptions[channel].recv(timeout=2)
            assert (caught.value.code, caught.value.message) == ("channel-conn-count-error", "connCount 30")
            assert caught.value.raw is not None
        assert mux.list_subscriptions() == trades
        # Nor is it asked for on another connection.
        resubscribed = told(mux, "resubscribed")
        exchange.drop_all()
        assert (await resubscribed.get()).channels == 1
        assert exchange.subscribed() == trades
        await mux.subscribe(tickers[0], timeout=2)


async def test_a_revocation_is_not_about_what_has_no_answer_yet() -> None:
    """It crosses the request: what the server says behind it counts."""
    one, two = names("okx", 2)
    async with desk("okx") as (exchange, mux):
        await mux.subscribe(one, timeout=2)
        exchange.ignore_requests(two)
        subscribing = asyncio.ensure_future(mux.subscribe(two))
        await exchange.wait_requests(2)
        exchange.revoke(one)
        await reach(lambda: state(mux, one) is ChannelState.IDLE)
        assert state(mux, two) is ChannelState.SUBSCRIBING
        subscribing.cancel()
        await asyncio.wait([subscribing])


# Later.


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest pause."""
    monkeypatch.setattr(pausing, "SHORTEST", 0.02)


def warned(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    """The warnings with these words."""
    return [one.message for one in caplog.records if one.levelno == logging.WARNING and words in one.message]


@pytest.mark.usefixtures("soon")
async def test_what_the_exchange_wants_to_be_asked_later_is_put_back_whole(caplog: pytest.LogCaptureFixture) -> None:
    """After a reconnect: as a refusal it would end what was live."""
    wanted = names("okx", 4)
    async with desk("okx") as (exchange, mux):
        await mux.subscribe_many(wanted, timeout=5)
        notices, refused, resubscribed = told(mux, "notice"), told(mux, "refused"), told(mux, "resubscribed")
        exchange.refuse(None, "60014", "Requests too frequent")
        exchange.drop_all()
        await reach(lambda: notices.qsize() >= 8)
        exchange.accept()
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 4
        assert sorted(exchange.subscribed()) == sorted(wanted)
        assert sorted(mux.list_subscriptions()) == sorted(wanted)
        assert refused.empty()
        notice = notices.get_nowait()
        assert (notice.code, notice.message) == ("60014", "Requests too frequent")
        assert {len(request.message["args"]) for request in exchange.requests} == {4}
        assert len(warned(caplog, "OKX asks to wait: Requests too frequent (code 60014); asking again in 0.02 s")) == 1


@pytest.mark.usefixtures("soon")
async def test_what_is_to_be_left_later_is_left_later() -> None:
    one, two = names("okx", 2)
    async with desk("okx") as (exchange, mux):
        await mux.subscribe_many([one, two], timeout=5)
        exchange.refuse(one, "60014", "Requests too frequent", action="unsubscribe")
        await mux.unsubscribe(one)
        await exchange.wait_requests(3)
        assert exchange.subscribed() == [one, two]
        exchange.accept()
        await asyncio.wait_for(exchange.until(gone(exchange, one)), 5)
        await reach(lambda: state(mux, one) is ChannelState.IDLE)
        assert exchange.subscribed() == [two]


async def test_while_the_exchange_asks_to_wait_nothing_is_asked() -> None:
    """Kraken does not say which request it speaks of. A user's own does not count."""
    one, two = names("kraken", 2)
    async with desk("kraken") as (exchange, mux):
        await mux.subscribe(one, timeout=2)
        exchange.send_text('{"method":"subscribe","success":false,"error":"EAPI:Rate limit exceeded","req_id":7}')
        await mux.subscribe(two, timeout=0.9)
        await mux.unsubscribe(two)
        await exchange.until(gone(exchange, two))
        before = len(exchange.requests)
        exchange.send_text('{"Error":"Exceeded msg rate"}')
        await mux.ping(timeout=2)
        with pytest.raises(TimeoutError, match=f"'{two}' still waits for its turn: Kraken asks to wait, 0.. s more"):
            await mux.subscribe(two, timeout=0.05)
        assert len(exchange.requests) == before


# Ended by the server.


@pytest.mark.parametrize("dialect", ["bitfinex", "coinbase"])
async def test_what_the_server_ends_again_and_again_is_asked_for_later_and_later(
    dialect: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pausing, "SHORTEST", 0.05)
    one, other = names(dialect, 2)
    async with desk(dialect, pace=()) as (exchange, mux):
        exchange.limits = replace(exchange.limits, messages=())
        notices = told(mux, "notice")
        await mux.subscribe(one, timeout=5)
        before = len(exchange.requests)
        for count in range(4):
            await asyncio.wait_for(exchange.wait_subscribed(one), 5)
            await reach(lambda: state(mux, one) is ChannelState.SUBSCRIBED)
            exchange.revoke(one)
            await reach(lambda: state(mux, one) is not ChannelState.SUBSCRIBED)
            assert len(exchange.requests) - before <= count + 1
        # It waits; others have their turn.
        await mux.subscribe(other, timeout=2)
        with pytest.raises(TimeoutError, match=f"ends '{one}' again and again by itself, and is asked again later"):
            await mux.subscribe(one, shared=False, timeout=0)
        ends = [line.rpartition("; ")[2] for line in warned(caplog, f"has ended '{one}' by itself")]
        assert ends == ["asking again", "asking again in 0.05 s", "asking again in 0.1 s", "asking again in 0.2 s"]
        told_so = [notice.message for notice in iter_now(notices) if "by itself" in (notice.message or "")]
        assert len(told_so) == 4
        # On another connection it is asked for at once.
        resubscribed = told(mux, "resubscribed")
        exchange.drop_all()
        assert (await asyncio.wait_for(resubscribed.get(), 5)).channels == 2


def iter_now(queue: asyncio.Queue[Any]) -> list[Any]:
    """All that is in it."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_what_nobody_wants_any_more_is_not_asked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "SHORTEST", 0.05)
    channel = name("bitfinex")
    async with desk("bitfinex") as (exchange, mux):
        await mux.subscribe(channel, timeout=5)
        for _ in range(2):
            await asyncio.wait_for(exchange.wait_subscribed(channel), 5)
            await reach(lambda: state(mux, channel) is ChannelState.SUBSCRIBED)
            exchange.revoke(channel)
            await reach(lambda: state(mux, channel) is not ChannelState.SUBSCRIBED)
        before = len(exchange.requests)
        await mux.unsubscribe(channel)
        assert state(mux, channel) is ChannelState.IDLE
        await mux.subscribe(name("bitfinex", 1), timeout=5)
        await mux.ping(timeout=2)
        assert len(exchange.requests) == before + 1


# While nothing is read.


async def test_while_a_full_queue_stops_reading_no_request_counts_as_unanswered() -> None:
    one, two = names("okx", 2)
    async with desk("okx", answer_timeout=0.05) as (exchange, mux):
        recorder = await mux.subscribe(one, timeout=5, overflow="block", queue_size=10)
        exchange.publish(one, 50)
        await reach(lambda: mux.is_held_up)
        subscribing = asyncio.ensure_future(mux.subscribe(two, timeout=5))
        await exchange.wait_requests(2)
        # Time itself: much more than the exchange has for its answer.
        await asyncio.sleep(0.3)
        assert mux.is_held_up
        for count in range(50):
            assert number("okx", await recorder.recv(timeout=2)) == count + 1
        await subscribing
        assert len(exchange.requests) == 2
        assert mux._reconciler is not None
        assert mux._reconciler.unanswered == 0


# Refused and forgotten.


async def test_a_refusal_is_forgotten_and_keeps_nothing_of_who_asked(dialect: str) -> None:
    class Heavy:
        """What a caller has in its hands."""

    seen: list[weakref.ref[Heavy]] = []
    errors: list[SubscriptionError] = []

    async def attempt(channel: str) -> None:
        mine = Heavy()
        seen.append(weakref.ref(mine))
        try:
            await mux.subscribe(channel, timeout=5)
        except SubscriptionError as error:
            errors.append(error.with_traceback(None))

    bad = name(dialect)
    async with desk(dialect, pace=()) as (exchange, mux):
        exchange.limits = replace(exchange.limits, messages=())
        exchange.refuse(bad)
        await asyncio.gather(attempt(bad), attempt(bad))
        assert mux._reconciler is not None
        assert mux._reconciler.channels == {}
        assert len({id(error) for error in errors}) == 2
        assert errors[0].args == errors[1].args
        assert (errors[0].code, errors[0].raw) == (errors[1].code, errors[1].raw)
        gc.collect()
        assert [one() for one in seen] == [None, None]
