"""How long the consumers of one event loop may hold it, all together.

The Python twin of `waiting_c.pyx`, and its specification but for the order: here each consumer that was woken takes a
message at least, and lines up behind the others when that is all that there is time for.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Final
from weakref import WeakKeyDictionary, ref

# What consumers may take in one turn of the loop: so long, or so many messages, whichever is first: no queue holds up
# the other tasks, however long it is or slow to decode. A large message counts for several.
BUDGET_NS: Final = 2_000_000
OVERTIME_NS: Final = 1_000_000
PATIENCE: Final = 16384
# The most messages between two looks at the clock, and the time that should lie between them at most.
LOOK: Final = 64
LOOK_NS: Final = 250_000


class Settled:
    """The loop of a future that is done already."""

    def get_debug(self) -> bool:
        """What every future asks its loop."""
        return False


class Wave:
    """Those of one event loop that wait for their turn. Without a loop there is all the time in the world."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        # What was taken in this turn by all consumers, where to look at the clock next, and how far apart looks are.
        self.run = 0
        # One at first: it may be slow.
        self.look = 1
        self._step = 1
        self._until = 0
        self._looked = 0
        # The first look while nothing was known of the turn.
        self._began = 0
        # When this turn of the loop has to end is known; it is time. Either only while this is scheduled.
        self._opened = False
        self._spent = False
        self._scheduled = False
        self._lined: list[asyncio.Future[None]] = []
        # Those whose turn has come, until they have run.
        self._out = 0

    def hold(self) -> None:
        """A read begins to be routed: `release()` follows, whatever happens."""

    def release(self, at_once: bool) -> None:
        """The read was routed. `at_once`: who was woken may run here and now; of no use to futures of asyncio's own."""

    @property
    def is_pending(self) -> bool:
        """Whether somebody waits for its turn."""
        return bool(self._lined or self._out)

    def _schedule(self) -> None:
        if not self._scheduled and self.loop is not None:
            self.loop.call_soon(self)
            self._scheduled = True

    def line_up(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """What to wait on for one's turn, behind all others."""
        waiter: asyncio.Future[None] = loop.create_future()
        self._lined.append(waiter)
        self._schedule()
        return waiter

    async def turn(self) -> None:
        """Wait for one's turn."""
        if self.loop is not None:
            waiter = self.line_up(self.loop)
            self._out += 1
            try:
                await waiter
            finally:
                self._out -= 1

    def in_time(self) -> bool:
        """A look at the clock: whether consumers may go on in this turn of the loop. If not, they line up."""
        if self._spent:
            return False
        if self.loop is not None:
            now = monotonic_ns()
            # Where messages are slow to decode or to handle, look more often.
            passed = now - self._looked
            if passed <= LOOK_NS:
                self._step = min(LOOK, self._step * 2)
            elif self._opened:
                self._step = max(1, self._step * LOOK_NS // passed)
            self._looked = now
            if not self._opened:
                self._open(now)
            if self._opened and (now >= self._until or self.run >= PATIENCE):
                self._spent = True
                self.look = 0
                return False
            self.look = self.run + self._step
        else:
            self.look = self.run + LOOK
        if self.run < PATIENCE < self.look:
            self.look = PATIENCE
        return True

    def _open(self, now: int) -> None:
        # Whether it is still the same turn can only be seen from within the next one. Being called there costs a turn
        # of the loop more, so half of the time must have passed.
        if self._began == 0:
            self._began = now
        elif now - self._began >= BUDGET_NS // 2 or self.run >= PATIENCE:
            self._schedule()
            self._opened = True
            self._until = now + BUDGET_NS // 2

    def in_overtime(self) -> bool:
        """Once time is up: whether what was begun may still be finished."""
        return monotonic_ns() < self._until + OVERTIME_NS

    def __call__(self) -> None:
        """The next turn of the loop."""
        lined, self._lined = self._lined, []
        self._scheduled = self._opened = self._spent = False
        self.run = self._began = 0
        self.look = self._step
        for waiter in lined:
            if not waiter.done():
                waiter.set_result(None)
        if lined:
            # They run in the next turn, and this again behind them.
            self._schedule()
            self._opened = True
            self._until = monotonic_ns() + BUDGET_NS


# Of streams that nobody has read yet: the first look finds the loop.
NOBODYS: Final = Wave(None)
NOBODYS.look = 0

# loop -> its wave, by a weak reference: those that wait in it hold the loop.
_waves: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Wave]] = WeakKeyDictionary()


def wave_of(loop: asyncio.AbstractEventLoop | None) -> Wave:
    """The wave of `loop`; of None, one for where no loop runs."""
    if loop is None:
        return Wave(None)
    known = _waves.get(loop)
    wave = None if known is None else known()
    if wave is None:
        wave = Wave(loop)
        _waves[loop] = ref(wave)
    return wave


def routing_wave(loop: asyncio.AbstractEventLoop) -> Wave:
    """The wave of `loop`, for whoever routes what it reads there: see `Wave.hold()`."""
    return wave_of(loop)


def pending(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether consumers wait for their turn in `loop`, with messages that are read already."""
    known = _waves.get(loop)
    wave = None if known is None else known()
    return wave is not None and wave.is_pending
