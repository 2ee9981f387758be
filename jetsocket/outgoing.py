"""What goes out on a connection, no faster than its exchange allows: messages take turns, pongs go first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from .protocol.pacing import Pacer, Window


class Outgoing:
    """The turns in which may be sent, on one connection after another; `opened()` begins the next one's.

    `windows`: as the exchange counts what a client sends on a connection. `counts_control`: whether pings and pongs are
    counted; else they are let pass. `reserve`: what is then kept for pongs. Nothing here ever blocks reading.
    """

    def __init__(self, windows: Sequence[Window] = (), *, reserve: int = 0, counts_control: bool = False) -> None:
        self.counts_control = counts_control
        # Pongs have theirs apart, so that however many pings come messages still get on, and the other way round.
        self._reserve = reserve if windows and counts_control else 0
        self._pacer = Pacer([Window(window.count - self._reserve, window.seconds) for window in windows])
        self._pong_pacer = self._pacer
        if self._reserve:
            self._pong_pacer = Pacer([Window(self._reserve, window.seconds) for window in windows])
        self._clock = time.monotonic
        # While there is no connection nobody waits: what cannot be sent must not keep its sender until it could.
        self._gone = False
        # Who waits for the turn, the first come first; and what the one in front sleeps on.
        self._queue = asyncio.Lock()
        self._sleeping: asyncio.Future[None] | None = None
        # The pong that waits, and what for.
        self._pong: bytes | None = None
        self._pong_timer: asyncio.TimerHandle | None = None

    def opened(self, pongs: int = 0) -> None:
        """A new connection, of which nothing is used up yet but by so many pongs."""
        self.lost()
        self._gone = False
        if self.counts_control:
            now = self._clock()
            for number in range(pongs):
                (self._pong_pacer if number < self._reserve else self._pacer).spend(now)

    def lost(self) -> None:
        """The connection is gone: its limits hold nobody back any more, and its pings need no answer."""
        self._gone = True
        self._pacer.reset()
        self._pong_pacer.reset()
        self._pong = None
        if self._pong_timer is not None:
            self._pong_timer.cancel()
            self._pong_timer = None
        self._wake()

    def _wake(self) -> None:
        if self._sleeping is not None and not self._sleeping.done():
            self._sleeping.set_result(None)

    async def turn(self) -> None:
        """Wait until one message may be sent. It counts as sent from then on: send it before awaiting anything else."""
        async with self._queue:
            while not self._gone and (delay := self._pacer.delay(self._clock())) > 0:
                await self._sleep(delay)
            self._pacer.spend(self._clock())

    def turn_delay(self) -> float:
        """Seconds until the next turn."""
        return 0.0 if self._gone else self._pacer.delay(self._clock())

    async def ping_turn(self) -> None:
        """Wait until one ping may be sent, which counts as sent then."""
        if self.counts_control:
            await self.turn()

    async def _sleep(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        self._sleeping = loop.create_future()
        timer = loop.call_later(delay, self._wake)
        try:
            await self._sleeping
        finally:
            timer.cancel()
            self._sleeping = None

    def pong(self, frame: bytes, write: Callable[[bytes], None]) -> None:
        """Send the answer to a ping with `write`, as soon as it may be sent.

        Of several that wait only the last one goes: it answers them all (RFC 6455 section 5.5.3).
        """
        if not self.counts_control:
            write(frame)
            return
        waits = self._pong is not None
        self._pong = frame
        if not waits:
            self._send_pong(write)

    def _send_pong(self, write: Callable[[bytes], None]) -> None:
        self._pong_timer = None
        if self._pong is None:
            return
        now = self._clock()
        delay = self._pong_pacer.delay(now)
        if delay > 0:
            self._pong_timer = asyncio.get_running_loop().call_later(delay, self._send_pong, write)
            return
        frame, self._pong = self._pong, None
        self._pong_pacer.spend(now)
        write(frame)

    def ping_delay(self) -> float:
        """Seconds until a ping may be sent; 0.0: now, and it counts as sent."""
        if not self.counts_control:
            return 0.0
        now = self._clock()
        delay = self._pacer.delay(now)
        if delay == 0:
            self._pacer.spend(now)
        return delay
