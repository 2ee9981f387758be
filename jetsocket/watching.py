"""Liveness of a Multiplex's data: whether any come at all, whether those of each channel do, and whether we look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from .liveness import DataWatch, LoopWatch, StaleWatch
from .occurrences import Blocked, Silent, Stale, Stalled

logger = logging.getLogger("jetsocket.subscriptions")

# Seconds for which reading may stand still, as some queue is full and blocks, before that is told.
LONGEST_HOLD = 10.0


class Watched(Protocol):
    """The Multiplex, as far as this needs it."""

    def emit(self, event: str, *facts: Any) -> None: ...

    def replace_connection(self, why: str) -> None: ...

    def ask_anew(self, channel: str) -> bool: ...

    @property
    def is_held_up(self) -> bool: ...

    @property
    def held_up_by(self) -> str | None: ...


class _Shared:
    """The watch of one event loop, for all who want to be told."""

    def __init__(self) -> None:
        self.tell: set[Callable[[Blocked], None]] = set()
        self.watch = LoopWatch(self._blocked, name_blocker=True)

    def _blocked(self, seconds: float) -> None:
        fact = Blocked(seconds, self.watch.blocked_by)
        for tell in tuple(self.tell):
            tell(fact)


_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


class Watching:
    """Watches one Multiplex. `count()`: its data messages. `data_timeout`: seconds without any, None for no limit.

    Nothing is started before somebody asks for some of it.
    """

    def __init__(self, watched: Watched, data_timeout: float | None, count: Callable[[], int]) -> None:
        self._watched = watched
        # Looks while nothing was read for a slow consumer: they count like messages, it is no silence of the exchange.
        self._held_up = 0
        self._data = None if data_timeout is None else DataWatch(data_timeout, self._counting(count), self._on_silent)
        if self._data is not None:
            self._data.armed = False
        self._hold: DataWatch | None = None
        self._count = count
        self._stale = StaleWatch(self._on_stale)
        self._shared: _Shared | None = None
        self._open = False
        self._for_itself = False

    def _counting(self, count: Callable[[], int]) -> Callable[[], int]:
        def counted() -> int:
            self._held_up += self._watched.is_held_up
            return count() + self._held_up

        return counted

    def expect(self, any_data: bool) -> None:
        """Whether there are channels that data should come of."""
        if self._data is not None:
            self._data.armed = any_data

    def add(self, channel: str, seconds: float, count: Callable[[], int]) -> None:
        """Watch `channel`, of which `count()` messages came. One that is watched so already has no time added."""
        if self._stale.seconds_of(channel) != seconds:
            self._stale.add(channel, seconds, self._counting(count))
        if self._open:
            self._watch_loop()

    def remove(self, channel: str) -> None:
        """Watch it no more."""
        self._stale.remove(channel)

    def watch_loop(self) -> None:
        """Tell when the event loop was blocked, whatever else is watched."""
        self._for_itself = True
        if self._open:
            self._watch_loop()

    def watch_hold(self) -> None:
        """Tell when a queue that blocks holds up the reading for long."""
        if self._hold is None:
            flowing = 0

            def counted() -> int:
                nonlocal flowing
                flowing += not self._watched.is_held_up
                return self._count() + flowing

            self._hold = DataWatch(LONGEST_HOLD, counted, self._on_hold)
            if self._open:
                self._hold.start()

    def opened(self) -> None:
        """There is a connection."""
        self._open = True
        if self._hold is not None:
            self._hold.start()
        self._stale.resume()
        if self._data is not None:
            self._data.start()
        if self._for_itself or self._data is not None or len(self._stale):
            self._watch_loop()

    def lost(self) -> None:
        """There is none: nothing can be expected."""
        self._open = False
        self._stale.pause()
        for watch in (self._data, self._hold):
            if watch is not None:
                watch.stop()
        if self._shared is not None:
            self._shared.tell.discard(self._on_blocked)
            if not self._shared.tell:
                self._shared.watch.stop()
            self._shared = None

    def _watch_loop(self) -> None:
        if self._shared is None:
            self._shared = _LOOPS.setdefault(asyncio.get_running_loop(), _Shared())
            self._shared.tell.add(self._on_blocked)
            self._shared.watch.start()

    def _on_blocked(self, fact: Blocked) -> None:
        self._watched.emit("blocked", fact)

    def _on_silent(self, seconds: float) -> None:
        self._watched.emit("silent", Silent(seconds))
        self._watched.replace_connection(f"as no data came for {seconds:g} s")

    def _on_hold(self, seconds: float) -> None:
        channel = self._watched.held_up_by
        if channel is None:
            return
        text = "nothing is read for %g s by now, as the queue of %r is full and blocks: does its consumer live?"
        logger.warning(text, seconds, channel)
        self._watched.emit("stalled", Stalled(channel, seconds))

    def _on_stale(self, channel: str, seconds: float, step: int) -> None:
        # A channel that the server has not confirmed is asked for already.
        if step == 1:
            self._watched.emit("stale", Stale(channel, seconds, "resubscribe"))
            self._watched.ask_anew(channel)
        else:
            self._watched.emit("stale", Stale(channel, seconds, "reconnect"))
            self._watched.replace_connection(f"as {channel!r} brought nothing for {seconds:g} s")
