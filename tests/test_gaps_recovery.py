"""Gaps that a hook heals: messages wait meanwhile, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket import Gap, InvalidStateError, Multiplex, Subscription
from jetsocket.testing import VenueExchange

from .dialects import desk
from .peers import told
from .taking import (
    BTC,
    WAITING,
    Take,
    briefly,
    by_recv,
    by_recv_batch,
    trade,
)


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


async def recovering(
    exchange: VenueExchange, mux: Multiplex[Any], recover: Snapshots, count: int
) -> tuple[Subscription[Any], asyncio.Future[list[Any]]]:
    """A subscription of which so many items are being taken; behind the first is a gap, and `recover` was asked."""
    trades = await mux.subscribe(BTC, recover=recover)
    exchange.publish(BTC)
    await lose(exchange, mux)
    exchange.publish(BTC)
    await mux.ping()
    taking = asyncio.ensure_future(by_recv(trades, count))
    await asyncio.wait_for(recover.asked.get(), 5)
    return trades, taking


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
        _, taking = await recovering(exchange, mux, recover, 5)
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
        trades, taking = await recovering(exchange, mux, recover, 3)
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
