"""What an exchange lets one client do, counted as the strictest count: over every interval, not by the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jetsocket.protocol.pacing import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may do; () and 0 and None are no limit. `Limits()` has none at all."""

    messages: tuple[Window, ...] = ()
    """All that a client sends on one connection."""
    control_counts: bool = False
    """Whether ping and pong frames are among them."""
    requests: tuple[Window, ...] = ()
    """Requests to subscribe, unsubscribe or log in, on one connection."""
    channels: int = 0
    """Channels that one connection may hold."""
    channels_per_message: int = 0
    characters_per_message: int = 0
    connects: tuple[Window, ...] = ()
    """Attempts to connect, the refused ones included. All clients of a loopback exchange have one address."""
    first_subscribe: float | None = None
    """Seconds within which a new connection must ask for its first channel."""


class Violation(NamedTuple):
    """A broken limit, a field of `Limits`. `time` is of `time.monotonic`; `connection` 0 is an attempt to connect."""

    time: float
    connection: int
    limit: str
    text: str


class Tally:
    """The times of what counts against rolling windows."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float, windows: Sequence[Window]) -> Window | None:
        """One more at `now`; the first of `windows` that now holds too many, if any."""
        times = self._times
        times.append(now)
        for window in windows:
            if len(times) > window.count and now - times[-1 - window.count] < window.seconds:
                return window
        return None


class Spending:
    """What one connection has used up. Each method gives the broken limit and how it was broken, or None."""

    __slots__ = ("_messages", "_requests")

    def __init__(self) -> None:
        self._messages = Tally()
        self._requests = Tally()

    def message(self, limits: Limits, now: float, text: str = "") -> tuple[str, str] | None:
        if 0 < limits.characters_per_message < len(text):
            return "characters_per_message", f"{len(text)} characters"
        return _over("messages", self._messages.add(now, limits.messages))

    def control(self, limits: Limits, now: float) -> tuple[str, str] | None:
        """A ping or a pong frame."""
        return self.message(limits, now) if limits.control_counts else None

    def request(self, limits: Limits, now: float, channels: int) -> tuple[str, str] | None:
        if 0 < limits.channels_per_message < channels:
            return "channels_per_message", f"{channels} channels"
        return _over("requests", self._requests.add(now, limits.requests))


def _over(limit: str, window: Window | None) -> tuple[str, str] | None:
    return None if window is None else (limit, f"more than {window.count} in {window.seconds:g} s")
