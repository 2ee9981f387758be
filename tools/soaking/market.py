"""The data of the soak's exchange: every channel's messages have running numbers, and nothing is made twice.

The market goes on whether anybody listens or not: each channel's next message gets its number when its turn comes. It
is sent to those who are subscribed to the channel then, unless a fault keeps it from them. So whatever a client has not
got is missing in the numbers that it has.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from jetsocket.testing.wire import OP_TEXT, server_header

# All numbers have as many digits, so that a channel's frames have one length.
FIRST = 1_000_000_000
# One channel in so many is busy, with so many more messages than the others.
_BUSY = 10
_MORE = 4
# Seconds' worth of messages that are sent at once, at most, by one who was held up.
_CATCH_UP = 0.1
_TICK = 0.002


def names(count: int) -> list[str]:
    """The names of so many channels."""
    return [f"soak{number:04d}usdt@trade" for number in range(count)]


class Channel:
    """What stands around the number in its frames, its newest number, and the first that was sent to anybody."""

    __slots__ = ("before", "behind", "first", "name", "number")

    def __init__(self, name: str) -> None:
        symbol = name.partition("@")[0].upper()
        before = f'{{"stream":"{name}","data":{{"e":"trade","E":1712345678000,"s":"{symbol}","t":'
        behind = ',"p":"61234.50000000","q":"0.00120000","T":1712345677999,"m":true,"M":true}}'
        self.name = name
        self.before = server_header(OP_TEXT, len(before) + len(str(FIRST)) + len(behind)) + before.encode()
        self.behind = behind.encode()
        self.number = FIRST - 1
        self.first: int | None = None


class Market:
    """Sends `rate` messages a second over all channels, to the clients of `floor`, as fast as the slowest reads."""

    def __init__(self, floor: Any, channels: int, seed: int) -> None:
        self.channels = {name: Channel(name) for name in names(channels)}
        self.sent = 0
        self.numbered = 0
        self._floor = floor
        self._rate = 0.0
        everyone = list(self.channels.values())
        # A round: everybody's turn comes, that of the busy ones more often.
        self._round = everyone + everyone[::_BUSY] * _MORE
        random.Random(seed).shuffle(self._round)
        self._turn = 0
        self._task: asyncio.Task[None] | None = None

    def go(self, rate: float) -> None:
        """From now on, so many a second."""
        self._rate = rate
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def pause(self) -> dict[str, int]:
        """Send nothing more; the newest number of each channel."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                # It has failed.
                task.result()
        return self.numbers()

    def numbers(self) -> dict[str, int]:
        """The newest of each channel."""
        return {channel.name: channel.number for channel in self.channels.values()}

    def firsts(self) -> dict[str, int]:
        """Of each channel, the first number that was sent to anybody."""
        return {channel.name: channel.first for channel in self.channels.values() if channel.first is not None}

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        credit, last = 0.0, clock()
        while True:
            await asyncio.sleep(_TICK)
            for peer in list(self._floor.peers):
                await peer.writable.wait()
            now = clock()
            credit = min(credit + (now - last) * self._rate, _CATCH_UP * self._rate)
            last = now
            count = int(credit)
            credit -= count
            self._send(self._number(count))

    def _number(self, count: int) -> list[Channel]:
        """The channels of the next messages, which are still to be numbered."""
        self.numbered += count
        chosen: list[Channel] = []
        while len(chosen) < count:
            part = self._round[self._turn : self._turn + count - len(chosen)]
            self._turn = (self._turn + len(part)) % len(self._round)
            chosen += part
        return chosen

    def _send(self, chosen: list[Channel]) -> None:
        floor = self._floor
        silent = floor.faults.silent
        peers = [] if floor.stalled or None in silent else list(floor.peers)
        held = [peer.channels for peer in peers]
        frames: list[list[bytes]] = [[] for _ in peers]
        for channel in chosen:
            channel.number = number = channel.number + 1
            name = channel.name
            for follows, out in zip(held, frames, strict=True):
                if name in follows and name not in silent:
                    out.append(b"%b%d%b" % (channel.before, number, channel.behind))
                    if channel.first is None:
                        channel.first = number
        for peer, out in zip(peers, frames, strict=True):
            if out and peer.write(b"".join(out)):
                self.sent += len(out)
