"""Whether data still come, and whether it is ourselves who do not look.

Counters are looked at now and then, nothing is done for each message. What stands still is counted in quarters of its
time, one a look: however late a look is, it counts for one, so the time in which the event loop was blocked does not
count. After such a time the messages that came in it are still to be read; so nothing is said of a silence before a
second look a moment later.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from .blocker import BlockerNamer
from .protocol.timing import check_seconds

# Of a counter's time; a silence is found when it lasts between one and one and a quarter of it.
_QUARTERS = 4
# Seconds to the second look, beside those that the first was late.
_MOMENT = 0.01
# A silence that a new connection does not end is told of after twice its time, twice that, and so on, up to so many
# times its own: what is merely quiet must not cost everything else its connection again and again.
MOST_PATIENCE = 60
# Seconds between two looks at channels, which gathers what is due; the most that are looked at in one, and the seconds
# until the rest is.
_GRAIN = 0.01
_MOST_A_LOOK = 256
_BREATH = 0.001


class LoopWatch:
    """Tells when the running event loop was blocked: when a timer of every `interval` seconds is called late.

    Calls `on_blocked(seconds)` when it was late by more than `limit` seconds. `name_blocker`: a thread looks, once the
    timer is overdue, which function is being run.
    """

    def __init__(
        self,
        on_blocked: Callable[[float], object],
        *,
        interval: float = 0.25,
        limit: float = 0.5,
        name_blocker: bool = False,
    ) -> None:
        check_seconds("interval", interval)
        check_seconds("limit", limit)
        self.interval = interval
        self.limit = limit
        self.blocked_by: str | None = None
        """The function that blocked it then, "handle_trade (feed.py:12)"; None where that is not known."""
        self._on_blocked = on_blocked
        self._namer = BlockerNamer(limit) if name_blocker else None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Watch the running loop; call in its thread."""
        if self._timer is None:
            self._set()
            if self._namer is not None:
                self._namer.start(threading.get_ident())

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._namer is not None:
                self._namer.stop()

    def late(self) -> float:
        """Seconds for which the timer is overdue at this moment, before it has been called."""
        return 0.0 if self._timer is None else max(0.0, time.monotonic() - self._due)

    def _set(self) -> None:
        # Not the loop's own clock: uvloop's stands still while a callback runs.
        self._due = time.monotonic() + self.interval
        self._timer = asyncio.get_running_loop().call_later(self.interval, self._look)
        if self._namer is not None:
            self._namer.due = self._due

    def _look(self) -> None:
        late = self.late()
        name = None if self._namer is None else self._namer.named(self._due)
        self._set()
        if late > self.limit:
            self.blocked_by = name
            self._on_blocked(late)


class _Silence:
    """How long one counter has stood still, in quarters of `period`: `patience` times `seconds`."""

    __slots__ = ("count", "doubted", "last", "most_steps", "name", "patience", "quarters", "seconds", "step")

    def __init__(self, name: str, seconds: float, count: Callable[[], int], most_steps: int) -> None:
        self.name = name
        self.seconds = seconds
        self.count = count
        self.most_steps = most_steps
        self.patience = 1
        self.last = count()
        self._rest()

    @property
    def period(self) -> float:
        """Seconds of silence that are one step."""
        return self.seconds * self.patience

    def begin(self) -> None:
        """Count from now, on a new connection: where all steps did not help, with twice the patience."""
        count = self.count()
        if count != self.last:
            self.patience = 1
        elif self.step == self.most_steps:
            self.patience = min(2 * self.patience, MOST_PATIENCE)
        self.last = count
        self._rest()

    def _rest(self) -> None:
        self.quarters = 0
        self.step = 0
        self.doubted = False

    def look(self, late: float) -> tuple[float, bool]:
        """Seconds to the next look, and whether `step`, the number of times that `period` is over, has grown.

        `late`: how late this look is.
        """
        count = self.count()
        if count != self.last:
            self.last = count
            self.patience = 1
            self._rest()
            return self.period / _QUARTERS, False
        quarter = self.period / _QUARTERS
        if self.step == self.most_steps:
            return quarter, False
        if self.doubted:
            self.doubted = False
            self.step += 1
            return quarter, True
        self.quarters += 1
        self.doubted = self.quarters % _QUARTERS == 0
        return (min(quarter, _MOMENT + late) if self.doubted else quarter), False


class DataWatch:
    """Calls `on_silent(seconds)` when `count()`, the number of data messages, has stood still for `timeout` seconds.

    Again only after it has moved, or has been started again; then after twice the time, as `on_silent` is told, until
    it moves. `armed`: whether that means anything, True at first; set to True again, the time begins anew.
    """

    def __init__(self, timeout: float, count: Callable[[], int], on_silent: Callable[[float], object]) -> None:
        check_seconds("timeout", timeout)
        self.timeout = timeout
        self._count = count
        self._on_silent = on_silent
        self._armed = True
        self._running = False
        self._silence: _Silence | None = None
        # How often the time was begun anew.
        self._begun = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    @property
    def armed(self) -> bool:
        return self._armed

    @armed.setter
    def armed(self, armed: bool) -> None:
        if armed != self._armed:
            self._armed = armed
            self._silence = None
            self._begin()

    def start(self) -> None:
        """Watch, on the running loop; the time begins anew."""
        self._running = True
        self._begin()

    def stop(self) -> None:
        """Watch no more."""
        self._running = False
        self._begin()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._begun += 1
        if self._running and self._armed:
            if self._silence is None:
                self._silence = _Silence("", self.timeout, self._count, 1)
            else:
                self._silence.begin()
            self._set(self._silence.period / _QUARTERS, self._silence)

    def _set(self, wait: float, silence: _Silence) -> None:
        self._due = time.monotonic() + wait
        self._timer = asyncio.get_running_loop().call_later(wait, self._look, silence)

    def _look(self, silence: _Silence) -> None:
        begun = self._begun
        wait, silent = silence.look(max(0.0, time.monotonic() - self._due))
        # The counter may be one that has stopped the watch or begun anew.
        if begun != self._begun:
            return
        self._set(wait, silence)
        if silent:
            self._on_silent(silence.period)


class StaleWatch:
    """Channels, each with the seconds after which it is stale, on one timer.

    Calls `on_stale(name, seconds, step)`: with step 1 when a channel's counter has stood still for its seconds, with
    step 2 when it has for as long again, then only after it has moved, or the watch was resumed: then each takes twice
    as long as before, until it moves. Paused at first.
    """

    def __init__(self, on_stale: Callable[[str, float, int], object]) -> None:
        self._on_stale = on_stale
        self._watched: dict[str, _Silence] = {}
        # When each is to be looked at. What is no longer watched stays until then, unless it is too much.
        self._dues: list[tuple[float, int, _Silence]] = []
        self._serial = 0
        self._paused = True
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, name: str, seconds: float, count: Callable[[], int]) -> None:
        """Watch `count()`, the number of messages of channel `name`; in place of what was watched by that name."""
        check_seconds("stale_after", seconds)
        silence = _Silence(name, seconds, count, 2)
        self._watched[name] = silence
        self._prune()
        if not self._paused:
            now = time.monotonic()
            self._push(now + seconds / _QUARTERS, silence)
            self._set(now, _GRAIN)

    def seconds_of(self, name: str) -> float | None:
        """After how many seconds `name` is stale; None where it is not watched."""
        watched = self._watched.get(name)
        return None if watched is None else watched.seconds

    def remove(self, name: str) -> None:
        """Watch `name` no more, if it is watched."""
        self._watched.pop(name, None)
        self._prune()

    def _prune(self) -> None:
        if len(self._dues) > 2 * len(self._watched) + _MOST_A_LOOK:
            self._dues = [item for item in self._dues if self._watched.get(item[2].name) is item[2]]
            heapify(self._dues)

    def pause(self) -> None:
        """There is no connection: nothing is stale."""
        self._paused = True
        self._dues.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        """There is a connection: every channel's time begins anew."""
        self.pause()
        self._paused = False
        now = time.monotonic()
        for silence in self._watched.values():
            silence.begin()
            self._push(now + silence.period / _QUARTERS, silence)
        self._set(now, _GRAIN)

    def _push(self, due: float, silence: _Silence) -> None:
        self._serial += 1
        heappush(self._dues, (due, self._serial, silence))

    def _set(self, now: float, soonest: float) -> None:
        """Have the timer called when the first is due, but in `soonest` seconds, if it would be called later."""
        if not self._dues:
            return
        due = max(self._dues[0][0], now + soonest)
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(due - now, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        late = max(0.0, now - self._timer_due)
        self._timer = None
        soonest = _BREATH
        for _ in range(_MOST_A_LOOK):
            if not self._dues or self._dues[0][0] > now:
                soonest = _GRAIN
                break
            silence = heappop(self._dues)[2]
            if self._watched.get(silence.name) is not silence:
                continue
            wait, stale = silence.look(late)
            self._push(now + wait, silence)
            if stale:
                # Each by itself: one that raises must not keep the others from being told.
                loop.call_soon(self._tell, silence, silence.step)
        self._set(now, soonest)

    def _tell(self, silence: _Silence, step: int) -> None:
        if not self._paused and self._watched.get(silence.name) is silence and silence.step == step:
            self._on_stale(silence.name, silence.period * step, step)
