"""When a socket is read: not while the sink is full, and not on and on in one turn of the event loop."""

from __future__ import annotations

import asyncio
import time

from .hot import pending

# What is read in one turn of the event loop, in bytes; and the seconds, after which no read begins. An event loop may
# read on and on as long as the socket has more, with all that it read waiting in memory that is cold by the time its
# consumers run. Only reads that fill most of a buffer count: with a shorter one the socket was empty.
MOST_A_TURN = 512 * 1024
LONGEST_TURN = 0.001
LARGE_READ = 48 * 1024
# Turns of the event loop that the reading then waits, at most, for consumers that wait for theirs: some always do.
LONGEST_REST = 16


class Reading(asyncio.BufferedProtocol):
    """Pauses the reading from `transport`, and goes on with it. Who inherits tells it of each read.

    Inherited, and not a part of the link: what happens at each read must cost no step more.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        # Not the loop's clock: uvloop's stands still within a turn, and counts milliseconds.
        self._clock = time.monotonic
        self.last_read = self._clock()
        self._transport = transport
        self._loop = loop
        self._reading = True
        # Over TLS event loops throw away what lies undeciphered when the peer ends the stream while reading is paused.
        self._may_rest = transport.get_extra_info("sslcontext") is None
        self._resting = False
        # What was read in this turn, since when.
        self._burst = 0
        self._burst_began = 0.0

    def _pause(self) -> None:
        """Until `_go_on_reading()`: there is no room."""
        if self._reading and not self._transport.is_closing():
            self._reading = False
            if not self._resting:
                self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            if not self._resting:
                self._transport.resume_reading()

    def _count_burst(self, nbytes: int) -> None:
        """Read no more in this turn of the loop when it has been enough."""
        if not self._burst:
            self._burst_began = self.last_read
        self._burst += nbytes
        enough = self._burst >= MOST_A_TURN or self.last_read - self._burst_began > LONGEST_TURN
        if enough and self._reading and not self._resting and not self._transport.is_closing():
            self._burst = 0
            self._resting = True
            self._transport.pause_reading()
            # Behind the tasks that this turn's messages wake: they run first.
            self._loop.call_soon(self._rest, LONGEST_REST)

    def _rest(self, turns: int) -> None:
        # Messages that lie in queues do not count: a slow consumer's may always do.
        if turns and pending(self._loop):
            self._loop.call_soon(self._rest, turns - 1)
            return
        self._resting = False
        if self._reading and not self._transport.is_closing():
            self._transport.resume_reading()
