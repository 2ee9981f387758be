"""Programs that say too much at once, and are shut out for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from jetsocket import Multiplex, Window
from jetsocket.exchanges import BINANCE, OKX
from jetsocket.testing import Limits, VenueExchange

from ..peers import AT_ONCE
from .complaints import binance, comes, complain_unless, complained
from .plain import PlainClient, PlainLimiter

# The real ones last a second.
PACE = (Window(5, 0.3),)
PACED = replace(BINANCE, pace=PACE)
LIST = {"method": "LIST_SUBSCRIPTIONS", "id": 9}


def strict() -> VenueExchange:
    """Binance's limits, in less time."""
    exchange = VenueExchange("binance")
    exchange.limits = replace(exchange.limits, messages=PACE)
    return exchange


async def test_resubscribing_keeps_within_the_limits() -> None:
    """I keep to five requests a second for my hundred symbols. After 23 hours it reconnects, sends them all at once,
    gets a 1008 "Too many requests", reconnects, sends them all at once, and in the end the address is banned.

    Reported: binance/binance-connector-go, "Web socket streams reconnection doesn't follow Binance limit.";
    pybotters/pybotters, on Binance's limit of five messages a second.
    """

    async def program(client: Any) -> None:
        names = [f"coin{number}@ticker" for number in range(100)]
        async with strict() as exchange, client(exchange.uri) as feed:
            await feed.subscribe_many(names)
            await comes(exchange.wait_subscribed(*names), "it does not subscribe")
            exchange.drop_all()
            await comes(exchange.wait_accepted(2), "it does not connect again")
            await comes(
                exchange.until(lambda: bool(exchange.violations) or _all_there(exchange, names)), "not all back"
            )
            complain_unless(not exchange.violations, "it asks for everything at once, and is thrown out")

    await program(partial(binance, venue=PACED))
    with complained("thrown out"):
        await program(PlainClient)


def _all_there(exchange: VenueExchange, names: list[str]) -> bool:
    return set(names) <= set(exchange.subscribed())


async def test_an_automatic_pong_does_not_break_the_limit() -> None:
    """Pongs count as messages, and the library sends them by itself: my own limiter of five a second does not know of
    them, and now and then Binance drops the connection.

    Reported: niXman/binapi, "Issue Websocket Limitations"; sieblyio/binance, "Because of ping/pong - Binance drops
    connection with error 1006".
    """

    async def program(client: Any, limiter: Any = None) -> None:
        async with strict() as exchange, client(exchange.uri) as feed:
            sending = asyncio.create_task(_send_many(feed, limiter))
            for count in (4, 5):
                await comes(exchange.wait_requests(count), "it does not send")
                exchange.server_ping()
            await comes(sending, "it sends no more")
            await comes(exchange.until(lambda: _are_answered(exchange)), "pings are not answered")
            complain_unless(not exchange.violations, "a pong was one message too many")

    await program(partial(binance, venue=PACED))
    with complained("one message too many"):
        await program(PlainClient, PlainLimiter(5, 0.3))


async def _send_many(feed: Any, limiter: PlainLimiter | None) -> None:
    for _ in range(8):
        if limiter is not None:
            await limiter.turn()
        await feed.send(LIST)


def _are_answered(exchange: VenueExchange) -> bool:
    return bool(exchange.violations) or exchange.connections[0].pongs >= 1


async def test_many_channels_are_asked_for_with_messages_that_are_short_enough() -> None:
    """I subscribe to three hundred streams with one request, as there may be 1,024. It is never answered, without an
    error; with fewer of them it works.

    Reported to: binance/binance-connector-rust.
    """

    async def program(client: Any) -> None:
        names = [f"coin{number}usdt@aggTrade" for number in range(300)]
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            await feed.subscribe_many(names)
            await comes(exchange.wait_subscribed(*names), "one long message, and nothing is subscribed")

    await program(binance)
    with complained("one long message"):
        await program(PlainClient)


async def test_many_connections_are_not_opened_at_once() -> None:
    """All my connections are lost at once, all connect again at once, and then it says: rate limited.

    Reported: bmoscon/cryptofeed, "demo_liquidation.py timeout"; sieblyio/binance, "Because of ping/pong - Binance drops
    connection with error 1006".
    """
    pace = (Window(3, 0.25),)

    async def program(client: Any) -> None:
        async with VenueExchange("okx", limits=Limits(connects=pace)) as exchange, AsyncExitStack() as stack:
            clients = [client(exchange.uri) for _ in range(6)]
            for each in clients:
                stack.push_async_callback(each.close)
            complaint = "too many at once, and nobody gets in"
            await comes(asyncio.gather(*(each.connect(timeout=5) for each in clients)), complaint)
            complain_unless(not exchange.violations, complaint)

    def paced(uri: str) -> Multiplex[Any]:
        return Multiplex(uri, venue=replace(OKX, connect_pace=pace), backoff=AT_ONCE)

    def plain(uri: str) -> Multiplex[Any]:
        return Multiplex(uri, venue=replace(OKX, connect_pace=()), backoff=AT_ONCE)

    await program(paced)
    with complained("nobody gets in"):
        await program(plain)
