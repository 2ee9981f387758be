"""Gaps where the numbers of the messages do not follow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetsocket import Gap, Sequence

from .dialects import desk, name
from .peers import told
from .taking import (
    BTC,
    TAKING,
    Take,
    briefly,
    by_recv,
    trade,
)


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
