"""An exchange on loopback: a real WebSocket server for tests, demonstrations and measurements.

::

    async with Exchange(paused=True) as exchange:
        async with Multiplex(exchange.uri, channel_key="stream", subscribe_msg=...) as mux:
            trades = await mux.subscribe("btcusdt@trade")
            await exchange.wait_subscribed("btcusdt@trade")
            exchange.publish("btcusdt@trade", {"p": "1.0"})
            exchange.drop_all()

It speaks Binance's combined-stream protocol. `Exchange(...)` runs in the caller's event loop, `Exchange.spawn(...)` in
a process of its own, `Exchange.replay(path)` plays a recorded run.

`VenueExchange("okx")` and its like are for what several exchanges do: it speaks their dialects, enforces their limits,
and misbehaves on command.
"""

from __future__ import annotations

from jetsocket.errors import MissingExtraError

try:
    import picows as _picows  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError.needed_by("jetsocket.testing", "testing") from error

from .account import Account, Request
from .dialects.binance import BinanceDialect
from .dialects.bitfinex import BitfinexDialect
from .dialects.coinbase import CoinbaseDialect
from .dialects.dialect import Dialect
from .dialects.exchange import VenueExchange
from .dialects.kraken import KrakenDialect
from .dialects.limits import Limits, Violation
from .dialects.okx import OkxDialect
from .dialects.record import Closing, Connection, Received, Upgrade
from .exchange import Exchange
from .process import ExchangeProcess
from .recording import read_recording
from .wire import Garbage

__all__ = [
    "Account",
    "BinanceDialect",
    "BitfinexDialect",
    "Closing",
    "CoinbaseDialect",
    "Connection",
    "Dialect",
    "Exchange",
    "ExchangeProcess",
    "Garbage",
    "KrakenDialect",
    "Limits",
    "OkxDialect",
    "Received",
    "Request",
    "Upgrade",
    "VenueExchange",
    "Violation",
    "read_recording",
]
