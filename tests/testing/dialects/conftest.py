"""Another implementation's client at a loopback exchange, and the recorded frames to compare with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from jetsocket.testing import Dialect, Limits, VenueExchange

from ... import recordings

FREE = Limits()

# A channel of each dialect, another one, and the requests for them.
CHANNELS = {
    "binance": ("btcusdt@trade", "ethusdt@trade"),
    "okx": ("tickers:BTC-USDT", "trades:ETH-USDT"),
    "kraken": ("trade:BTC/USD", "trade:ETH/USD"),
    "bitfinex": ("ticker:tBTCUSD", "trades:tETHUSD"),
    "coinbase": ("market_trades:BTC-USD", "level2:ETH-USD"),
}
DIALECTS = tuple(CHANNELS)


def subscribe(dialect: str, channel: str, number: int = 1) -> dict[str, Any]:
    """A request as the exchange's documents have it."""
    kind, _, of = channel.partition(":")
    return {
        "binance": {"method": "SUBSCRIBE", "params": [channel], "id": number},
        "okx": {"id": str(number), "op": "subscribe", "args": [{"channel": kind, "instId": of}]},
        "kraken": {"method": "subscribe", "params": {"channel": kind, "symbol": [of]}, "req_id": number},
        "bitfinex": {"event": "subscribe", "channel": kind, "symbol": of},
        "coinbase": {"type": "subscribe", "product_ids": [of], "channel": kind},
    }[dialect]


class User:
    """A client that says and hears single messages."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def hear(self) -> Any:
        """The next message: JSON, or the text that is none."""
        text = await asyncio.wait_for(self.connection.recv(), 5)
        try:
            return json.loads(text)
        except ValueError:
            return text

    async def ask(self, message: Any) -> Any:
        await self.say(message)
        return await self.hear()

    async def hears_nothing(self) -> bool:
        """Whether nothing had been sent before a pong that is asked for now."""
        heard = asyncio.ensure_future(self.connection.recv())
        await asyncio.wait_for(await self.connection.ping(), 5)
        silent = not heard.done()
        heard.cancel()
        await asyncio.wait([heard])
        return silent

    async def ended(self) -> ConnectionClosed:
        """Reads until the connection is gone; how it ended."""
        async with asyncio.timeout(5):
            while True:
                try:
                    await self.connection.recv()
                except ConnectionClosed as error:
                    return error


@asynccontextmanager
async def user_of(
    exchange: VenueExchange, query: str = "", *, welcomed: bool = True, **options: Any
) -> AsyncIterator[User]:
    """A client of it, past what it is told first."""
    async with connect(
        exchange.uri + query,
        compression=None,
        proxy=None,
        ping_interval=None,
        close_timeout=1,
        max_queue=None,
        **options,
    ) as connection:
        user = User(connection)
        if welcomed and exchange.dialect.name in ("kraken", "bitfinex"):
            await user.hear()
        yield user


@asynccontextmanager
async def meeting(dialect: str | Dialect, limits: Limits | None = FREE) -> AsyncIterator[tuple[VenueExchange, User]]:
    """An exchange and a client of it, without limits unless some are given; None for the exchange's own."""
    async with VenueExchange(dialect, limits=limits) as exchange, user_of(exchange) as user:
        yield exchange, user


def samples(exchange: str, direction: str, *kinds: str) -> list[dict[str, Any]]:
    """The recorded frames of an exchange, of these kinds, with the decoded `message`."""
    found = []
    for sample in recordings.samples(exchange):
        if sample["dir"] == direction and sample["kind"] in kinds:
            try:
                sample["message"] = json.loads(sample["raw"])
            except ValueError:
                sample["message"] = sample["raw"]
            found.append(sample)
    return found


def shape(value: Any) -> Any:
    """What a message is made of: names and types, and of a list whose elements are all alike just one."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        return shapes[:1] if all(one == shapes[0] for one in shapes) else shapes
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, (int, float)) else "text"
