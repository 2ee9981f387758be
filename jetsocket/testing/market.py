"""The market that the embedded exchange trades: seeded random walks, rendered straight into WebSocket frames.

Cost decides the form. A stream is a generator of finished frames; its prices and sizes are strings made beforehand, and
a batch is one `"".join` and one `encode`. Frames are kept as latin-1 text until then: one character a byte.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from math import floor, log10
from random import Random

from .wire import OP_TEXT, server_header

_CHANNEL = re.compile(r"([a-z0-9]{1,32})@(trade|bookTicker|ticker|miniTicker)")
_START_PRICES = {"btcusdt": 61837.63, "ethusdt": 2683.41, "bnbusdt": 521.3, "solusdt": 158.22, "xrpusdt": 0.5912}
_GRID = 512
_STEPS = tuple((0, 1, -1, 0, 1, -1, 2, -2)[noise % 8] for noise in range(256))
_BOOLEANS = ("false", "true")
_HEADERS = tuple(server_header(OP_TEXT, size).decode("latin-1") for size in range(2048))
_DAY_MS = 86_400_000


class Clock:
    """The time that a batch is stamped with, as text, read once a batch."""

    __slots__ = ("ms", "ns")

    def __init__(self) -> None:
        self.read()

    def read(self) -> None:
        now = time.time_ns()
        self.ns = str(now)
        self.ms = str(now // 1_000_000)


class Symbol:
    """A traded pair: a price grid and where the walk stands on it. All streams of a symbol move the same walk."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = Random(f"{seed}:{name}")
        start = _START_PRICES.get(name) or 10 ** self.random.uniform(-2, 4)
        digits = 4 - floor(log10(start))
        start, tick = round(start, digits), 10.0**-digits
        self.prices = tuple(f"{start + tick * (step - _GRID // 2):.8f}" for step in range(_GRID))
        # Around a thousand of the quote currency a trade, in lots of 0.00001, as spot markets have it.
        mean = 1000 / start
        self.sizes = tuple(f"{mean * self.random.lognormvariate(0, 1) + 0.00001:.5f}000" for _ in range(256))
        self.at = _GRID // 2
        self.first_id = self.random.randrange(1_000_000_000, 4_000_000_000)

    def step(self, noise: int) -> int:
        """Moves the walk by a random byte; the new place on the grid, never the outermost ones."""
        at = self.at + _STEPS[noise]
        if not 1 <= at < _GRID - 1:
            at = self.at
        self.at = at
        return at


class Stream:
    """One channel. `sequence` is the id of its newest message: `t` of trades, `u` of book tickers, `L` of tickers."""

    def __init__(self, channel: str, symbol: Symbol, kind: str, clock: Clock, timestamps: bool) -> None:
        self.channel = channel
        self.sequence = symbol.first_id
        self._left: tuple[float, float] | None = None
        payloads = _RENDERERS[kind](self, symbol, clock)
        self.frames = _framed(payloads, clock, timestamps)

    def leave(self, now: float, rate: float) -> None:
        """Nobody follows it any more; it goes on trading at `rate` messages a second."""
        self._left = now, rate

    def rejoin(self, now: float) -> None:
        """Somebody follows it again: what was traded meanwhile is missed, as on a real exchange."""
        if self._left is not None:
            since, rate = self._left
            self._left = None
            self.sequence += int((now - since) * rate)


def _framed(payloads: Iterator[str], clock: Clock, timestamps: bool) -> Iterator[str]:
    if timestamps:
        for payload in payloads:
            payload = f'{payload[:-2]},"ns":{clock.ns}}}}}'
            yield _HEADERS[len(payload)] + payload
    else:
        for payload in payloads:
            yield _HEADERS[len(payload)] + payload


def _trades(stream: Stream, symbol: Symbol, clock: Clock) -> Iterator[str]:
    head = f'{{"stream":"{stream.channel}","data":{{"e":"trade","E":'
    middle = f',"s":"{symbol.name.upper()}","t":'
    prices, sizes, step = symbol.prices, symbol.sizes, symbol.step
    while True:
        for noise in symbol.random.randbytes(1024):
            price = prices[step(noise)]
            stream.sequence = trade_id = stream.sequence + 1
            ms = clock.ms
            yield (
                f'{head}{ms}{middle}{trade_id},"p":"{price}","q":"{sizes[noise]}","T":{ms},'
                f'"m":{_BOOLEANS[noise & 1]},"M":true}}}}'
            )


def _book_tickers(stream: Stream, symbol: Symbol, _clock: Clock) -> Iterator[str]:
    head = f'{{"stream":"{stream.channel}","data":{{"u":'
    middle = f',"s":"{symbol.name.upper()}","b":"'
    prices, sizes, step = symbol.prices, symbol.sizes, symbol.step
    while True:
        for noise in symbol.random.randbytes(1024):
            at = step(noise)
            stream.sequence = update_id = stream.sequence + 1
            yield (
                f'{head}{update_id}{middle}{prices[at]}","B":"{sizes[noise]}",'
                f'"a":"{prices[at + 1]}","A":"{sizes[noise ^ 255]}"}}}}'
            )


def _mini_tickers(stream: Stream, symbol: Symbol, clock: Clock) -> Iterator[str]:
    head = f'{{"stream":"{stream.channel}","data":{{"e":"24hrMiniTicker","E":'
    for day in _days(stream, symbol):
        yield (
            f'{head}{clock.ms},"s":"{symbol.name.upper()}","c":"{day.close:.8f}","o":"{day.open:.8f}",'
            f'"h":"{day.high:.8f}","l":"{day.low:.8f}","v":"{day.volume:.8f}","q":"{day.volume * day.mean:.8f}"}}}}'
        )


def _tickers(stream: Stream, symbol: Symbol, clock: Clock) -> Iterator[str]:
    head = f'{{"stream":"{stream.channel}","data":{{"e":"24hrTicker","E":'
    for day in _days(stream, symbol):
        closed = int(clock.ms)
        change = day.close - day.open
        size = symbol.sizes[symbol.at % 256]
        yield (
            f'{head}{closed},"s":"{symbol.name.upper()}","p":"{change:.8f}","P":"{100 * change / day.open:.3f}",'
            f'"w":"{day.mean:.8f}","x":"{day.open:.8f}","c":"{day.close:.8f}","Q":"{size}",'
            f'"b":"{symbol.prices[symbol.at - 1]}","B":"{size}","a":"{symbol.prices[symbol.at]}","A":"{size}",'
            f'"o":"{day.open:.8f}","h":"{day.high:.8f}","l":"{day.low:.8f}","v":"{day.volume:.8f}",'
            f'"q":"{day.volume * day.mean:.8f}","O":{closed - _DAY_MS},"C":{closed},"F":{symbol.first_id},'
            f'"L":{stream.sequence},"n":{stream.sequence - symbol.first_id}}}}}'
        )


class _Day:
    """The running figures of a ticker."""

    def __init__(self, price: float) -> None:
        self.open = self.high = self.low = self.close = self.mean = price
        self.volume = 0.0


def _days(stream: Stream, symbol: Symbol) -> Iterator[_Day]:
    day = _Day(float(symbol.prices[symbol.at]))
    while True:
        for noise in symbol.random.randbytes(1024):
            day.close = float(symbol.prices[symbol.step(noise)])
            day.high = max(day.high, day.close)
            day.low = min(day.low, day.close)
            day.mean += (day.close - day.mean) * 0.001
            day.volume += float(symbol.sizes[noise])
            stream.sequence += 1
            yield day


_RENDERERS: dict[str, Callable[[Stream, Symbol, Clock], Iterator[str]]] = {
    "trade": _trades,
    "bookTicker": _book_tickers,
    "ticker": _tickers,
    "miniTicker": _mini_tickers,
}


class Market:
    """Every stream that was ever asked for, and the order in which those followed now get their messages.

    `zipf` 0 gives every channel the same share; with `zipf` s the r-th followed channel gets a share of r**-s.
    """

    def __init__(self, seed: int = 0, *, timestamps: bool = False, zipf: float = 0.0) -> None:
        self.seed = seed
        self.timestamps = timestamps
        self.zipf = zipf
        self.clock = Clock()
        self.followed: dict[str, Stream] = {}
        self._symbols: dict[str, Symbol] = {}
        self._streams: dict[str, Stream] = {}
        self._stale = False
        self._shares: dict[str, float] = {}
        self._names: Iterator[str] = iter(())
        self._frames: Iterator[Iterator[str]] = iter(())

    def follow(self, channel: str, now: float) -> None:
        """Begins to trade `channel`. A name that is no `<symbol>@<kind>` is silent, as on the real exchange."""
        if channel in self.followed:
            return
        stream = self._streams.get(channel)
        if stream is None:
            known = _CHANNEL.fullmatch(channel)
            if known is None:
                return
            name, kind = known.groups()
            symbol = self._symbols.get(name)
            if symbol is None:
                symbol = self._symbols[name] = Symbol(name, self.seed)
            stream = self._streams[channel] = Stream(channel, symbol, kind, self.clock, self.timestamps)
        stream.rejoin(now)
        self.followed[channel] = stream
        self._stale = True

    def leave(self, channel: str, now: float, rate: float) -> None:
        """Nobody is subscribed to `channel` any more. `rate`: messages a second over all followed channels."""
        # Not after each of many that leave together, when a client goes: their shares are those they had until now.
        if channel not in self._shares:
            self._schedule()
        stream = self.followed.pop(channel, None)
        if stream is not None:
            stream.leave(now, rate * self._shares[channel])
            self._stale = True

    def take(self, count: int) -> tuple[list[str], list[str]]:
        """The next `count` messages, stamped now: their channels, and their frames as latin-1 text."""
        self._schedule()
        self.clock.read()
        return list(islice(self._names, count)), list(map(next, islice(self._frames, count)))

    def _schedule(self) -> None:
        if not self._stale:
            return
        self._stale = False
        channels = list(self.followed)
        weights = [rank**-self.zipf for rank in range(1, len(channels) + 1)]
        # Four slots for the rarest channel, so that rounding to whole slots does not bend the shares.
        slots = [round(4 * weight / weights[-1]) if self.zipf else 1 for weight in weights]
        order = [channel for channel, times in zip(channels, slots, strict=True) for _ in range(times)]
        Random(self.seed).shuffle(order)
        self._shares = {channel: times / len(order) for channel, times in zip(channels, slots, strict=True)}
        self._names = cycle(order)
        self._frames = cycle([self.followed[channel].frames for channel in order])
