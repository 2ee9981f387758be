"""What the demo measures: latencies, rates, the last message of each channel."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

_STAMP = len(b"1700000000000000000")
"""Digits of a time in nanoseconds; the exchange puts it last: `...,"ns":1700000000000000000}}`."""


class Latencies:
    """Latencies in microseconds, as a histogram with steps of one: all of them, and those since the last `turn()`."""

    def __init__(self) -> None:
        self._all: Counter[int] = Counter()
        self._recent: Counter[int] = Counter()

    def add(self, payloads: Sequence[bytes], now_ns: int) -> None:
        """Messages that a consumer took at `now_ns`, each with the time of its sending at its end."""
        try:
            self._recent.update([(now_ns - int(payload[-2 - _STAMP : -2])) // 1000 for payload in payloads])
        except ValueError:
            # Garbage that names a channel is routed like any other message.
            stamped = [payload for payload in payloads if payload[-2 - _STAMP : -2].isdigit()]
            self._recent.update([(now_ns - int(payload[-2 - _STAMP : -2])) // 1000 for payload in stamped])

    def turn(self) -> list[float | None]:
        """The recent percentiles, in milliseconds; what comes next is recent then."""
        recent, self._recent = self._recent, Counter()
        self._all.update(recent)
        return percentiles(recent)

    def total(self) -> list[float | None]:
        """The percentiles of everything, in milliseconds."""
        return percentiles(self._all + self._recent)


PERCENTILES = (0.5, 0.99, 0.999)


def percentiles(histogram: Counter[int], wanted: Sequence[float] = PERCENTILES) -> list[float | None]:
    """Milliseconds that so large a share of a histogram of microseconds stays below; None where there is nothing."""
    total = histogram.total()
    if not total:
        return [None] * len(wanted)
    found: list[float | None] = []
    passed = 0
    values = iter(sorted(histogram.items()))
    value = 0
    for share in wanted:
        while passed < share * total:
            value, times = next(values)
            passed += times
        found.append(value / 1000)
    return found


class Meter:
    """Filled by the consumers, read by the display."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.last: dict[str, bytes] = {}
        self.delivered = 0

    def take(self, channel: str, batch: Sequence[bytes]) -> None:
        """A consumer got these messages."""
        self.latencies.add(batch, time.time_ns())
        self.last[channel] = batch[-1]
        self.delivered += len(batch)

    def price(self, channel: str) -> str:
        """The last trade's price, as the message has it."""
        _, _, rest = self.last.get(channel, b"").partition(b'"p":"')
        return rest.partition(b'"')[0].decode()
