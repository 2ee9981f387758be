"""Gaps: in their place between the messages, by every way of taking, and one for each time that data are missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jetsocket import BufferOverflowError, Gap, InvalidStateError, Message, Multiplex, Sequence, Subscription
from jetsocket.testing import Exchange, VenueExchange

from .dialects import DIALECTS, desk, name, number
from .peers import multiplex, told

BTC = "btcusdt@trade"
Take = Callable[[Subscription[Any], int], Coroutine[Any, Any, list[Any]]]


def decoded(item: Any) -> Any:
    return item.decode() if isinstance(item, Message) else item


async def by_iterating(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for item in subscription:
        found.append(item)
        if len(found) == count:
            break
    return found


async def by_recv(subscription: Subscription[Any], count: int) -> list[Any]:
    return [await subscription.recv(timeout=5) for _ in range(count)]


async def by_recv_batch(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += await subscription.recv_batch(timeout=5)
    return found


async def by_batches(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for batch in subscription.batches(2):
        assert 0 < len(batch) <= 2
        found += batch
        if len(found) >= count:
            break
    return found


async def by_messages(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for item in subscription.messages():
        found.append(decoded(item))
        if len(found) == count:
            break
    return found


async def by_listening(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    enough = asyncio.Event()

    def take(item: Any) -> None:
        found.append(item)
        if len(found) == count:
            enough.set()

    with subscription.listen(take):
        await asyncio.wait_for(enough.wait(), 5)
    return found


TAKING: list[Take] = [by_iterating, by_recv, by_recv_batch, by_batches, by_messages, by_listening]
WAITING = TAKING[:-1]


def briefly(items: list[Any], read: Callable[[Any], Any]) -> list[Any]:
    """Each message as its number, each gap as its reason."""
    return [item.reason if isinstance(item, Gap) else read(item) for item in items]


def trade(item: Any) -> int:
    return number("binance", item)


def datum(item: Any) -> Any:
    return item["data"]


# After a reconnect.


@pytest.mark.parametrize("take", TAKING)
async def test_a_reconnect_is_a_gap_between_the_messages(take: Take) -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        resubscribed = told(mux, "resubscribed")
        exchange.publish(BTC, 2)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC, 2)
        await mux.ping()
        assert briefly(await take(trades, 5), trade) == [1, 2, "reconnect", 3, 4]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_its_times_lie_around_the_loss(dialect: str) -> None:
    channel = name(dialect)
    async with desk(dialect) as (exchange, mux):
        subscription = await mux.subscribe(channel, events=True)
        arriving = subscription.messages()
        resubscribed, told_gaps = told(mux, "resubscribed"), told(mux, "gap")
        exchange.publish(channel)
        last: Any = await anext(arriving)
        await mux.ping()
        before_loss = time.time_ns()
        exchange.drop_all()
        # Who has read everything is told at once, and the end is known later.
        gap: Any = await anext(arriving)
        assert (gap.channel, gap.reason, gap.dropped, gap.recovered) == (channel, "reconnect", None, None)
        assert last.received_ns <= gap.since <= before_loss + 5_000_000
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(channel)
        first: Any = await anext(arriving)
        assert gap.since < before_loss + 5_000_000 < gap.until + 5_000_000
        assert gap.since <= gap.until <= first.received_ns
        assert told_gaps.get_nowait() is gap
        assert mux.stats().events["gap"] == 1


async def test_a_connection_that_fails_again_and_again_is_one_gap() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        resubscribed, gaps = told(mux, "resubscribed"), told(mux, "gap")
        exchange.publish(BTC)
        await mux.ping()
        # Connected, but never confirmed.
        exchange.ignore_requests(BTC)
        for number_of in (2, 3):
            requests = len(exchange.requests)
            exchange.drop_all()
            await exchange.wait_accepted(number_of)
            await exchange.wait_requests(requests + 1)
        # Nor connected.
        exchange.refuse_handshakes(times=2)
        exchange.drop_all()
        await exchange.wait_refused(2)
        exchange.accept()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC)
        assert briefly(await by_recv(trades, 3), trade) == [1, "reconnect", 2]
        assert gaps.qsize() == 1


async def test_in_the_plain_way_it_is_over_when_it_has_been_asked_for(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        plain, telling = await mux.subscribe("a"), await mux.subscribe("b", events=True)
        await exchange.wait_subscribed("a", "b")
        reconnected = told(mux, "reconnected")
        for channel in ("a", "b"):
            exchange.publish(channel, 1)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(reconnected.get(), 5)
        await exchange.wait_subscribed("a", "b")
        for channel in ("a", "b"):
            exchange.publish(channel, 2)
        assert briefly(await by_recv(plain, 2), datum) == [1, 2]
        found = await by_recv(telling, 3)
        assert briefly(found, datum) == [1, "reconnect", 2]
        assert found[1].until is not None


async def test_a_multiplex_that_is_closed_by_its_user_leaves_no_gap() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        exchange.publish(BTC)
        await mux.ping()
        await mux.close()
        assert [trade(item) async for item in trades] == [1]
        assert "gap" not in mux.stats().events


async def test_a_connection_that_is_lost_for_good_is_a_gap_and_then_its_error() -> None:
    async with desk("binance", options={"reconnect": False}) as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True)
        exchange.publish(BTC)
        await mux.ping()
        exchange.drop_all()
        assert briefly(await by_recv(trades, 2), trade) == [1, "reconnect"]
        with pytest.raises(ConnectionError):
            await trades.recv(timeout=5)
        # The user connects again: the gap ends there.
        await mux.connect()
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC)
        assert trade(await trades.recv(timeout=5)) == 2


# After an overflow.


@pytest.mark.parametrize("take", TAKING)
@pytest.mark.parametrize(
    ("overflow", "expected"),
    [("drop_oldest", ["overflow", 4, 5, 6]), ("drop_newest", [1, 2, 3, "overflow"]), ("latest", ["overflow", 6])],
)
async def test_an_overflow_is_one_gap_with_the_count(take: Take, overflow: Any, expected: list[Any]) -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=3, overflow=overflow)
        gaps = told(mux, "gap")
        exchange.publish(BTC, 6)
        await mux.ping()
        found = await take(trades, len(expected))
        assert briefly(found, trade) == expected
        (gap,) = [item for item in found if isinstance(item, Gap)]
        assert (gap.channel, gap.dropped) == (BTC, trades.stats().messages_dropped)
        assert gap.dropped == (5 if overflow == "latest" else 3)
        assert await asyncio.wait_for(gaps.get(), 5) is gap
        assert gaps.empty()


async def test_an_overflow_that_raises_is_told_all_the_same() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=3, overflow="error")
        gaps = told(mux, "gap")
        exchange.publish(BTC, 6)
        await mux.ping()
        assert briefly(await by_recv(trades, 3), trade) == [1, 2, 3]
        with pytest.raises(BufferOverflowError, match=r"the queue of 'btcusdt@trade' was full: 3 messages dropped"):
            await trades.recv()
        assert (await asyncio.wait_for(gaps.get(), 5)).dropped == 3
        exchange.publish(BTC)
        assert trade(await trades.recv(timeout=5)) == 7


async def test_a_queue_that_blocks_has_no_gap() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=3, overflow="block")
        exchange.publish(BTC, 50)
        assert briefly(await by_recv(trades, 50), trade) == list(range(1, 51))


async def test_every_kind_of_gap_has_its_place_in_one_queue() -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, queue_size=4, overflow="drop_newest", sequence="data.t")
        resubscribed = told(mux, "resubscribed")
        exchange.publish(BTC)
        exchange.skip(BTC, 2)
        exchange.publish(BTC)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC, 5)
        await mux.ping()
        found = await by_recv(trades, 7)
        assert briefly(found, trade) == [1, "sequence", 4, "reconnect", 5, 6, "overflow"]
        assert [item.dropped for item in found if isinstance(item, Gap)] == [2, None, 3]


# After a break in the numbers.


@pytest.mark.parametrize("take", TAKING)
async def test_numbers_that_do_not_follow_are_a_gap(take: Take) -> None:
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, sequence="data.t")
        exchange.publish(BTC, 2)
        exchange.skip(BTC, 3)
        exchange.publish(BTC, 2)
        await mux.ping()
        found = await take(trades, 5)
        assert briefly(found, trade) == [1, 2, "sequence", 6, 7]
        gap = found[2]
        assert (gap.channel, gap.dropped) == (BTC, 3)
        assert gap.since <= gap.until


async def test_a_message_that_names_its_predecessor() -> None:
    channel = "books:BTC-USDT"
    rule = Sequence("data[0].seqId", previous="data[0].prevSeqId")
    async with desk("okx") as (exchange, mux):
        books = await mux.subscribe(channel, events=True, sequence=rule)
        exchange.publish(channel, 2)
        exchange.skip(channel, 7)
        exchange.publish(channel)
        found = await by_recv(books, 4)
        assert briefly(found, lambda item: item["data"][0]["seqId"]) == [1, 2, "sequence", 10]
        # What is between is known to the exchange alone.
        assert found[2].dropped is None


async def test_a_message_of_several_numbers() -> None:
    channel = "btcusdt@depth"
    rule = Sequence("data.u", first="data.U")
    async with desk("binance") as (exchange, mux):
        depth = await mux.subscribe(channel, events=True, sequence=rule)
        exchange.publish(channel, 2)
        exchange.skip(channel)
        exchange.publish(channel)
        found = await by_recv(depth, 4)
        assert briefly(found, lambda item: item["data"]["u"]) == [2, 4, "sequence", 8]
        assert found[2].dropped == 2


async def test_numbers_of_the_connection_are_everybodys() -> None:
    one, other = name("coinbase", 0), name("coinbase", 1)
    async with desk("coinbase", options={"sequence": "sequence_num"}) as (exchange, mux):
        first, second = await mux.subscribe(one, events=True), await mux.subscribe(other, events=True)
        silent = await mux.subscribe(name("coinbase", 2))
        exchange.publish(one, 2)
        exchange.publish(other)
        assert briefly(await by_recv(first, 2), lambda item: item["sequence_num"]) == [3, 4]
        assert exchange.present is not None
        exchange.send_text('{"channel":"nobody knows","sequence_num":9}')
        # Whose the missing ones were nobody can say; and who waits is told at once.
        for channel, subscription in ((one, first), (other, second)):
            *_, gap = await by_recv(subscription, 1 if subscription is first else 2)
            assert (gap.channel, gap.reason, gap.dropped) == (channel, "sequence", 3)
        with pytest.raises(TimeoutError):
            await silent.recv(timeout=0)


@pytest.mark.parametrize("options", [{}, {"sequence": "data.t"}], ids=["channel", "connection"])
async def test_after_a_reconnect_the_numbers_begin_anew(options: dict[str, Any]) -> None:
    terms = {} if options else {"sequence": "data.t"}
    async with desk("binance", options=options) as (exchange, mux):
        trades = await mux.subscribe(BTC, events=True, **terms)
        resubscribed = told(mux, "resubscribed")
        exchange.publish(BTC)
        await mux.ping()
        exchange.drop_all()
        exchange.skip(BTC, 100)
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(BTC)
        exchange.skip(BTC, 1)
        exchange.publish(BTC)
        found = await by_recv(trades, 5)
        assert briefly(found, trade) == [1, "reconnect", 102, "sequence", 104]
        assert found[3].dropped == 1


async def test_numbers_are_looked_at_for_who_asks_and_not_for_the_others() -> None:
    """The channel has a consumer already when the first asks for its numbers, and another who has other ones."""
    async with desk("binance") as (exchange, mux):
        plain = await mux.subscribe(BTC)
        telling = await mux.subscribe(BTC, shared=False, events=True, sequence="data.t")
        other = await mux.subscribe(BTC, shared=False, overflow="drop_newest")
        with pytest.raises(ValueError, match="sequence needs events=True or recover="):
            await mux.subscribe(BTC, shared=False, sequence="data.t")
        with pytest.raises(ValueError, match="has another sequence already"):
            await mux.subscribe(BTC, shared=False, events=True, sequence="data.T")
        exchange.publish(BTC)
        exchange.skip(BTC)
        exchange.publish(BTC)
        assert briefly(await by_recv(telling, 3), trade) == [1, "sequence", 3]
        for subscription in (plain, other):
            assert briefly(await by_recv(subscription, 2), trade) == [1, 3]
        assert len(exchange.requests) == 1


async def test_numbers_of_a_channel_whose_key_is_learned() -> None:
    """Bitfinex gives a channel another number on each connection."""
    channel = "trades:tBTCUSD"
    async with desk("bitfinex") as (exchange, mux):
        plain = await mux.subscribe(channel)
        trades = await mux.subscribe(channel, shared=False, events=True, sequence="[2][0]")
        resubscribed = told(mux, "resubscribed")
        exchange.publish(channel)
        exchange.skip(channel)
        exchange.publish(channel)
        await mux.ping()
        exchange.drop_all()
        await asyncio.wait_for(resubscribed.get(), 5)
        exchange.publish(channel)
        found = await by_recv(trades, 5)
        assert [item.reason for item in found if isinstance(item, Gap)] == ["sequence", "reconnect"]
        assert len(await by_recv(plain, 3)) == 3


# Recovering.


class Snapshots:
    """A hook that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[str, Gap]] = asyncio.Queue()
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    async def __call__(self, channel: str, gap: Gap) -> Any:
        self.asked.put_nowait((channel, gap))
        answer = await self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def lose(exchange: VenueExchange, mux: Multiplex[Any]) -> None:
    """The connection is lost, and is there again."""
    resubscribed: asyncio.Event = asyncio.Event()
    mux.on("resubscribed", lambda _: resubscribed.set())
    await mux.ping()
    exchange.drop_all()
    await asyncio.wait_for(resubscribed.wait(), 5)


@pytest.mark.parametrize("take", WAITING)
async def test_messages_wait_until_the_gap_is_healed(take: Take) -> None:
    recover = Snapshots()
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover)
        exchange.publish(BTC, 2)
        await lose(exchange, mux)
        exchange.publish(BTC, 2)
        await mux.ping()
        taking = asyncio.ensure_future(take(trades, 5))
        channel, gap = await asyncio.wait_for(recover.asked.get(), 5)
        assert (channel, gap.reason) == (BTC, "reconnect")
        exchange.publish(BTC)
        await mux.ping()
        assert not taking.done()
        recover.answers.put_nowait("a snapshot")
        found = await asyncio.wait_for(taking, 5)
        assert briefly(found[:5], trade) == [1, 2, "reconnect", 3, 4]
        assert found[2].recovered == "a snapshot"
        assert recover.asked.empty()


@pytest.mark.parametrize("take", WAITING)
async def test_what_the_hook_raises_comes_in_the_gaps_place_and_then_the_gap(take: Take) -> None:
    recover = Snapshots()
    recover.answers.put_nowait(LookupError("no snapshot"))
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover, sequence="data.t")
        exchange.publish(BTC)
        exchange.skip(BTC)
        exchange.publish(BTC)
        await mux.ping()
        found = await take(trades, 1)
        with pytest.raises(LookupError, match="no snapshot"):
            await take(trades, 1)
        found += await take(trades, 2)
        assert briefly(found, trade) == [1, "sequence", 3]
        assert recover.asked.qsize() == 1


@pytest.mark.parametrize("iterate", [lambda it: it.messages(), lambda it: it.batches()], ids=["messages", "batches"])
async def test_an_iterator_goes_on_behind_what_it_raised(iterate: Callable[[Any], Any]) -> None:
    recover = Snapshots()
    recover.answers.put_nowait(LookupError("no snapshot"))
    async with desk("binance") as (exchange, mux):
        arriving = iterate(await mux.subscribe(BTC, recover=recover, sequence="data.t"))
        exchange.publish(BTC)
        exchange.skip(BTC)
        exchange.publish(BTC)
        await mux.ping()
        await anext(arriving)
        with pytest.raises(LookupError):
            await anext(arriving)
        found = await anext(arriving)
        assert isinstance(found[0] if isinstance(found, list) else found, Gap)


@pytest.mark.parametrize("take", WAITING)
async def test_who_is_cancelled_while_it_recovers_loses_nothing(take: Take) -> None:
    recover = Snapshots()
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover, sequence="data.t")
        exchange.skip(BTC)
        exchange.publish(BTC)
        exchange.skip(BTC)
        exchange.publish(BTC, 3)
        await mux.ping()
        found = await take(trades, 1)
        taking = asyncio.ensure_future(take(trades, 1))
        await asyncio.wait_for(recover.asked.get(), 5)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        recover.answers.put_nowait("a snapshot")
        while len(found) < 5:
            found += await take(trades, 1)
        assert briefly(found, trade) == [2, "sequence", 4, 5, 6]
        assert found[1].recovered == "a snapshot"


async def test_the_hook_waits_for_the_connection() -> None:
    recover = Snapshots()
    recover.answers.put_nowait("a snapshot")
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover)
        resubscribed = told(mux, "resubscribed")
        exchange.ignore_requests()
        exchange.drop_all()
        await exchange.wait_requests(2)
        with pytest.raises(TimeoutError):
            await trades.recv(timeout=0.01)
        taking = asyncio.ensure_future(trades.recv())
        exchange.drop_all()
        await exchange.wait_requests(3)
        assert recover.asked.empty()
        exchange.accept()
        exchange.drop_all()
        assert (await asyncio.wait_for(taking, 5)).recovered == "a snapshot"
        await asyncio.wait_for(resubscribed.get(), 5)
        assert recover.asked.qsize() == 1


async def test_a_connection_that_is_lost_while_it_recovers_is_one_more_gap() -> None:
    recover = Snapshots()
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover)
        exchange.publish(BTC)
        await lose(exchange, mux)
        exchange.publish(BTC)
        await mux.ping()
        taking = asyncio.ensure_future(by_recv(trades, 5))
        await asyncio.wait_for(recover.asked.get(), 5)
        await lose(exchange, mux)
        exchange.publish(BTC)
        for answer in ("one", "two"):
            recover.answers.put_nowait(answer)
        found = await asyncio.wait_for(taking, 5)
        assert briefly(found, trade) == [1, "reconnect", 2, "reconnect", 3]
        assert [item.recovered for item in found if isinstance(item, Gap)] == ["one", "two"]


@pytest.mark.parametrize("end", ["close", "unsubscribe", "lost for good"])
async def test_a_gap_behind_which_nothing_comes_is_not_healed(end: str) -> None:
    recover = Snapshots()
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover)
        exchange.publish(BTC)
        exchange.ignore_requests()
        await mux.ping()
        exchange.drop_all()
        await exchange.wait_requests(2)
        taking = asyncio.ensure_future(by_recv(trades, 2))
        await asyncio.sleep(0)
        if end == "close":
            await mux.close()
        elif end == "unsubscribe":
            await mux.unsubscribe(BTC)
        else:
            exchange.refuse_handshakes(404)
            exchange.drop_all()
        found = await asyncio.wait_for(taking, 5)
        assert briefly(found, trade) == [1, "reconnect"]
        assert (found[1].until, recover.asked.qsize()) == (None, 0)


async def test_closing_while_it_recovers_lets_the_hook_finish() -> None:
    recover = Snapshots()
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover)
        exchange.publish(BTC)
        await lose(exchange, mux)
        exchange.publish(BTC)
        await mux.ping()
        taking = asyncio.ensure_future(by_recv(trades, 3))
        await asyncio.wait_for(recover.asked.get(), 5)
        await asyncio.wait_for(mux.close(), 5)
        recover.answers.put_nowait("a snapshot")
        assert briefly(await asyncio.wait_for(taking, 5), trade) == [1, "reconnect", 2]
        assert [item async for item in trades] == []


async def test_several_tasks_share_what_one_of_them_recovers() -> None:
    recover = Snapshots()
    async with desk("binance") as (exchange, mux):
        trades = await mux.subscribe(BTC, recover=recover, sequence="data.t")
        exchange.publish(BTC)
        exchange.skip(BTC)
        exchange.publish(BTC, 6)
        await mux.ping()
        tasks = [asyncio.ensure_future(take(trades, 1)) for take in (by_recv, by_recv_batch, by_recv, by_recv)]
        await asyncio.wait_for(recover.asked.get(), 5)
        with pytest.raises(TimeoutError):
            await trades.recv(timeout=0)
        recover.answers.put_nowait("a snapshot")
        # The batch has all that was there: for the other two there is more.
        exchange.publish(BTC, 2)
        found = [item for batch in await asyncio.wait_for(asyncio.gather(*tasks), 5) for item in batch]
        assert sorted(map(str, briefly(found, trade))) == ["1", "10", "3", "4", "5", "6", "7", "8", "9", "sequence"]
        assert recover.asked.empty()


async def test_a_hook_is_not_for_a_callback() -> None:
    async with desk("binance") as (_, mux):
        trades = await mux.subscribe(BTC, recover=Snapshots())
        with pytest.raises(InvalidStateError, match="recover= needs a consumer that waits"):
            trades.listen(print)
