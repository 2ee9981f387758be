"""Data that are missing, and a program that goes on as if they were not."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from jetsocket import Gap, Sequence
from jetsocket.testing import VenueExchange

from .complaints import TRADES, all_read, binance, comes, complain_unless, complained, untold

DEPTH = "btcusdt@depth"


async def until_trade(trades: Any, number: int) -> list[Any]:
    """What comes, up to the trade of this number."""
    items: list[Any] = []
    while not items or isinstance(items[-1], Gap) or items[-1]["data"]["t"] != number:
        items.append(await comes(trades.recv(), "nothing comes"))
    return items


async def test_what_was_missed_while_disconnected_is_told() -> None:
    """After each reconnect there are minutes without volume in my candles, and nothing in the stream says that anything
    happened. What is sent between a disconnect and a reconnect is lost, and one has to know it.

    Reported: ccxt/ccxt, "watchTrades does not backfill after WS reconnect (code 1006)";
    oliver-zehentleitner/unicorn-binance-websocket-api, "Do you want consistent data from binance?".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            exchange.publish(TRADES, 2)
            exchange.drop_all()
            exchange.publish(TRADES, 3)
            await exchange.wait_accepted(2)
            await exchange.wait_subscribed(TRADES)
            exchange.publish(TRADES)
            items = await until_trade(trades, 6)
            missing = untold(items)
            complain_unless(not missing, f"nobody says that trades are missing: {missing}")

    await program(events=True)
    with complained("nobody says that trades are missing"):
        await program()


async def test_what_a_full_queue_dropped_is_told() -> None:
    """When much happens the queue overflows, however long I make it. Either the stream stops, or it goes on and I do
    not know what I have not seen.

    Reported: sammchardy/python-binance, "Queue overflow error, change MAX_QUEUE_SIZE value" and "Async websocket queue
    suddenly increases and overflow".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri, queue_size=10) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            exchange.publish(TRADES, 500)
            await all_read(feed, 500)
            items = await until_trade(trades, 500)
            missing = untold([{"data": {"t": 0}}, *items])
            complain_unless(not missing, f"{len(missing)} trades fell out of the queue, and nobody says so")
            gaps = [item for item in items if isinstance(item, Gap)]
            assert [(gap.reason, gap.dropped) for gap in gaps] == [("overflow", 490)]

    await program(events=True)
    with complained("490 trades fell out of the queue"):
        await program()


async def test_what_the_exchange_left_out_is_told() -> None:
    """The numbers of the trades jump now and then, though the connection never broke: the servers may drop messages, as
    the documentation says. One is to expect that, and nothing looks at the numbers.

    Reported: bmoscon/cryptofeed, "dropped messages" and "Approaches to detect gaps for candles and ohlcv data";
    krakenfx/api-go, "Trades websocket ID discountinuity".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            exchange.publish(TRADES, 2)
            exchange.skip(TRADES, 3)
            exchange.publish(TRADES, 2)
            items = await until_trade(trades, 7)
            missing = untold(items)
            complain_unless(not missing, f"the exchange left out {missing}, and nobody noticed")
            gaps = [item for item in items if isinstance(item, Gap)]
            assert [(gap.reason, gap.dropped) for gap in gaps] == [("sequence", 3)]

    await program(events=True, sequence="data.t")
    with complained("nobody noticed"):
        await program(events=True)


async def test_a_book_is_not_built_across_a_gap() -> None:
    """After a reconnect the updates go into the old book: levels that have gone meanwhile stay in it for ever, and in
    the end the bid is above the ask. One would have to fetch a snapshot, and to keep what comes meanwhile.

    Reported: ccxt/ccxt, "gemini: watchOrderBook merges post-reconnect snapshot into stale local book" and "Binance
    WebSocket watchOrderBook reporting out-of-order nonce errors sporadically"; pybotters/pybotters, "Binance orderbook
    reinitialization can drop post-init WebSocket updates".
    """

    async def program(*, heals: bool) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:

            async def snapshot(channel: str, gap: Gap) -> set[int]:
                exchange.publish(channel)
                book = updates_up_to(exchange)
                exchange.publish(channel)
                return book

            numbered = Sequence("data.u", first="data.U")
            terms: dict[str, Any] = {"sequence": numbered, "recover": snapshot} if heals else {}
            updates = await feed.subscribe(DEPTH, **terms)
            # Stands for the levels that there are after the updates of these numbers.
            book: set[int] = set()
            exchange.publish(DEPTH, 2)
            await _follow(updates, book, 4)
            exchange.skip(DEPTH, 2)
            exchange.publish(DEPTH, 2)
            await _follow(updates, book, 12)
            exchange.drop_all()
            exchange.publish(DEPTH, 3)
            await exchange.wait_accepted(2)
            await exchange.wait_subscribed(DEPTH)
            exchange.publish(DEPTH)
            await _follow(updates, book, 2 * exchange.sequence(DEPTH))
            # What a snapshot has published besides.
            while max(book) < 2 * exchange.sequence(DEPTH):
                await _follow(updates, book, 2 * exchange.sequence(DEPTH))
            complain_unless(book == updates_up_to(exchange), "the book is not what the exchange has")

    await program(heals=True)
    with complained("the book is not what the exchange has"):
        await program(heals=False)


def updates_up_to(exchange: VenueExchange) -> set[int]:
    """What the exchange answers when it is asked for its book."""
    return set(range(1, 2 * exchange.sequence(DEPTH) + 1))


async def _follow(updates: Any, book: set[int], last: int) -> None:
    """As a user does who wants the right book."""
    while last not in book:
        item = await comes(updates.recv(), "nothing comes")
        if isinstance(item, Gap):
            book.clear()
            book |= item.recovered
        else:
            book |= set(range(item["data"]["U"], item["data"]["u"] + 1))


async def test_the_daily_cut_is_forestalled() -> None:
    """Binance cuts every connection after 24 hours, in the middle of whatever happens just then. I want it replaced in
    good order before.

    Reported: oliver-zehentleitner/unicorn-binance-websocket-api, "auto_replace_stream(interval_h=24)";
    morpheums/Binance.API.Csharp.Client, "Websocket disconnecting after 24 hours".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            first = exchange.connections[0]
            # The exchange's 24 hours.
            cut = asyncio.get_running_loop().call_later(0.2, lambda: first.closing or exchange.drop_all())
            await comes(exchange.until(lambda: first.closing is not None), "nothing happens")
            cut.cancel()
            complain_unless(first.closing.by == "client", "the exchange had to cut the connection")
            await exchange.wait_subscribed(TRADES)
            exchange.publish(TRADES)
            await comes(trades.recv(), "nothing comes any more")

    await program(partial(binance, max_connection_age=0.1))
    with complained("the exchange had to cut"):
        await program(partial(binance, max_connection_age=None))
