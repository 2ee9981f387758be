"""How fast may be sent: limits of so many frames in any so many seconds, as functions of `now` on any one steady clock.

A limit counts over every interval of its length, not over those that begin with a full second. So the time of each
frame is remembered, as far back as any limit looks, and a frame may go once the one that is `count` before it has left
the window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .timing import check_seconds

# The network may press together what was sent apart: a window is taken for longer than it is, by this share of itself,
STRETCH_SHARE = 0.1
# and at most by so many seconds.
MOST_STRETCH = 0.25


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` frames in any `seconds` seconds."""

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int):
            raise TypeError(f"window count must be a whole number, got {type(self.count).__name__} {self.count!r}")
        if self.count < 1:
            raise ValueError(f"window count must be at least 1, got {self.count}")
        check_seconds("window seconds", self.seconds)

    @property
    def stretched(self) -> float:
        """The seconds that it is taken for."""
        return self.seconds + min(self.seconds * STRETCH_SHARE, MOST_STRETCH)


class Pacer:
    """Says when the next frame may go, so that all of `windows` are kept; without any, always.

    Of each window the last `reserve` frames are for urgent ones alone (a pong must not wait for subscriptions).
    Ask `delay(now)`, and tell each frame that goes with `spend(now)`.
    """

    __slots__ = ("_limits", "_times", "reserve", "windows")

    def __init__(self, windows: Sequence[Window], *, reserve: int = 0) -> None:
        self.windows = _checked_windows(windows)
        self.reserve = _checked_reserve(reserve, self.windows)
        self._limits = [(window.count, window.stretched) for window in self.windows]
        # Never more than the largest window asks after, however many went over its limit.
        self._times: deque[float] = deque(maxlen=max((window.count for window in self.windows), default=0))

    def delay(self, now: float, *, urgent: bool = False) -> float:
        """Seconds from `now` until one more frame may go, 0.0 for at once. It may go at `now + delay`, not before."""
        times = self._times
        kept = 0 if urgent else self.reserve
        due = now
        for count, stretched in self._limits:
            before = count - kept
            if len(times) >= before:
                due = max(due, times[-before] + stretched)
        delay = due - now
        # Rounded down, it would have to be asked after once more.
        while now + delay < due:
            delay = math.nextafter(delay, math.inf)
        return delay

    def spend(self, now: float) -> None:
        """One frame goes at `now`, whatever the limits say; what is over them delays those that follow."""
        times = self._times
        # In order, also on a clock that has gone back.
        times.append(max(now, times[-1]) if times else now)

    def reset(self) -> None:
        """Nothing has been sent yet: a new connection."""
        self._times.clear()


def _checked_windows(windows: Sequence[Window]) -> tuple[Window, ...]:
    if not isinstance(windows, Sequence):
        raise TypeError(f"pacer windows must be a sequence of Window, got {type(windows).__name__} {windows!r}")
    checked = tuple(windows)
    for window in checked:
        if not isinstance(window, Window):
            raise TypeError(f"pacer windows must be of Window, got {type(window).__name__} {window!r}")
    return checked


def _checked_reserve(reserve: int, windows: tuple[Window, ...]) -> int:
    if isinstance(reserve, bool) or not isinstance(reserve, int):
        raise TypeError(f"pacer reserve must be a whole number, got {type(reserve).__name__} {reserve!r}")
    if reserve < 0:
        raise ValueError(f"pacer reserve must be at least 0, got {reserve}")
    for window in windows:
        if reserve >= window.count:
            raise ValueError(f"pacer reserve must be less than the count of each window, got {reserve} of {window!r}")
    return reserve
