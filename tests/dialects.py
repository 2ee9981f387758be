"""A Multiplex and a loopback exchange that speak one dialect, for tests that are the same for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from jetsocket import Multiplex
from jetsocket.exchanges import BINANCE, BITFINEX, COINBASE, KRAKEN, OKX
from jetsocket.protocol.channels import ChannelState
from jetsocket.testing import Limits, VenueExchange
from jetsocket.venue import Venue

from .peers import AT_ONCE

VENUES: dict[str, Venue] = {
    "binance": BINANCE,
    "okx": OKX,
    "kraken": KRAKEN,
    "bitfinex": BITFINEX,
    "coinbase": COINBASE,
}
DIALECTS = tuple(VENUES)
_FORMS = {
    "binance": "c{}usdt@trade",
    "okx": "tickers:C{}-USDT",
    "kraken": "trade:C{}/USD",
    "bitfinex": "trades:tC{}USD",
    "coinbase": "market_trades:C{}-USD",
}
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "binance": lambda message: message["data"]["t"],
    "okx": lambda message: message["data"][0]["last"].partition(".")[0],
    "kraken": lambda message: message["data"][0]["trade_id"],
    "bitfinex": lambda message: message[2][0],
    "coinbase": lambda message: message["events"][0]["trades"][0]["trade_id"],
}


def name(dialect: str, number: int = 0) -> str:
    """One of many channels."""
    return _FORMS[dialect].format(number)


def names(dialect: str, count: int) -> list[str]:
    """Many channels, of one kind."""
    return [name(dialect, number) for number in range(count)]


def number(dialect: str, message: Any) -> int:
    """The exchange's number of a message of `name()`'s channels; those that are no messages of theirs raise."""
    return int(_NUMBERS[dialect](message))


# For `desk`: neither side has limits, where waiting for them would prove nothing.
UNHURRIED: dict[str, Any] = {"exchange": {"limits": Limits()}, "pace": ()}


@asynccontextmanager
async def desk(
    dialect: str, *, exchange: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **venue: Any
) -> AsyncIterator[tuple[VenueExchange, Multiplex[Any]]]:
    """The exchange, and a Multiplex connected to it; `venue` changes the venue, so `answer_timeout`."""
    async with VenueExchange(dialect, **(exchange or {})) as opened:
        given = {"backoff": AT_ONCE, **(options or {})}
        async with Multiplex(opened.uri, venue=replace(VENUES[dialect], **venue), **given) as mux:
            yield opened, mux


async def reach(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Until `condition` holds, of things that nobody tells."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)


def gone(exchange: VenueExchange, channel: str) -> Callable[[], bool]:
    """Whether the exchange sends `channel` to nobody."""
    return lambda: channel not in exchange.subscribed()


def state(mux: Multiplex[Any], channel: str) -> ChannelState:
    """Where the channel stands."""
    assert mux._reconciler is not None
    return mux._reconciler.state_of(channel)
