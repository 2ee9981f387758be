"""The venues of known exchanges, for `Multiplex(venue=...)`. Each module says what its exchange's documents say.

A venue is data: `dataclasses.replace(BINANCE, uri=..., max_channels=200)` is another one.
"""

from __future__ import annotations

from .binance import BINANCE
from .bitfinex import BITFINEX
from .coinbase import COINBASE
from .kraken import KRAKEN
from .okx import OKX

__all__ = ["BINANCE", "BITFINEX", "COINBASE", "KRAKEN", "OKX"]
