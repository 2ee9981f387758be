"""What is sent, and when: the market at its rate, or a recorded run at its pace. Both wait for slow readers."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from .market import Market
from .peer import Peer
from .recording import Recorded

if TYPE_CHECKING:
    from .floor import Floor

# One write's worth of messages: enough to make the write cheap, few enough to keep answering requests in between.
_BATCH = 512
_BATCH_BYTES = 128 * 1024
# A feed that was held up catches up on this many seconds at most; more would be a flood nobody asked for.
_CATCH_UP = 0.25
_TICK = 0.001


class MarketFeed:
    """Sends `rate` messages a second over all followed channels, or as many as the clients take where `rate` is 0.

    The slowest client sets the pace for all: nothing is dropped here, and no more than one batch waits in memory for a
    client.
    """

    def __init__(self, floor: Floor, market: Market, rate: float, limit: int | None) -> None:
        self.floor = floor
        self.market = market
        self.rate = rate
        self.limit = limit
        self.generated = 0
        self._seconds = 0.0
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None]

    def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="jetsocket.testing market")

    async def close(self) -> None:
        self._task.cancel()
        await _ended([self._task])

    def joined(self, peer: Peer) -> None:
        """Data comes with the first subscription."""

    def left(self, peer: Peer) -> None:
        """Its channels have been left one by one."""

    @property
    def mean_rate(self) -> float:
        """Messages a second so far: how fast the market goes on while nobody listens."""
        return self.rate or (self.generated / self._seconds if self._seconds else 0.0)

    def follow(self, channel: str, now: float) -> None:
        self.market.follow(channel, now)
        if self.market.followed:
            self._wanted.set()

    def leave(self, channel: str, now: float) -> None:
        self.market.leave(channel, now, self.mean_rate)
        if not self.market.followed:
            self._wanted.clear()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        credit = 1.0
        last = loop.time()
        while self.limit is None or self.generated < self.limit:
            if await self._until_wanted():
                last = loop.time()
                continue
            if await self._until_writable():
                continue
            now = loop.time()
            self._seconds += now - last
            if self.rate:
                credit = min(credit + (now - last) * self.rate, max(1.0, _CATCH_UP * self.rate))
            else:
                credit = _BATCH
            last = now
            count = min(int(credit), _BATCH)
            credit -= count
            if count:
                self._send(count)
            await asyncio.sleep(0 if credit >= 1 or not self.rate else max(_TICK, (1 - credit) / self.rate))

    async def _until_wanted(self) -> bool:
        if self.floor.flowing.is_set() and self._wanted.is_set():
            return False
        await self.floor.flowing.wait()
        await self._wanted.wait()
        return True

    async def _until_writable(self) -> bool:
        for peer in self.floor.peers:
            if not peer.writable.is_set():
                await peer.writable.wait()
                return True
        return False

    def _send(self, count: int) -> None:
        if self.limit is not None:
            count = min(count, self.limit - self.generated)
        self.generated += count
        channels, frames = self.market.take(count)
        ledger = self.floor.ledger
        if len(self.floor.peers) == 1:
            # What is followed is what this one client is subscribed to.
            (peer,) = self.floor.peers
            peer.write("".join(frames).encode("latin-1"))
            ledger.count(channels)
        else:
            for peer in self.floor.peers:
                wanted = peer.channels
                own = [index for index, channel in enumerate(channels) if channel in wanted]
                if own:
                    peer.write("".join([frames[index] for index in own]).encode("latin-1"))
                    ledger.count([channels[index] for index in own])
        self.floor.changed()


class ReplayFeed:
    """Plays a recorded run to each client, from its beginning, at `speed` times the recorded pace; 0 is flat out."""

    def __init__(self, floor: Floor, messages: list[Recorded], speed: float, loop: bool) -> None:
        self.floor = floor
        self.speed = speed
        self.loop = loop
        self._tasks: dict[Peer, asyncio.Task[None]] = {}
        self._due = [message.due for message in messages]
        self._frames = [message.frame for message in messages]
        self._ends = list(accumulate(len(frame) for frame in self._frames))

    def open(self) -> None:
        """Each client gets its own performance."""

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await _ended(self._tasks.values())

    def joined(self, peer: Peer) -> None:
        self._tasks[peer] = asyncio.create_task(self._play(peer), name="jetsocket.testing replay")

    def left(self, peer: Peer) -> None:
        task = self._tasks[peer]
        task.cancel()
        task.add_done_callback(lambda _: self._tasks.pop(peer))

    def follow(self, channel: str, now: float) -> None:
        """Everything is sent to everybody."""

    def leave(self, channel: str, now: float) -> None:
        """Everything is sent to everybody."""

    async def _play(self, peer: Peer) -> None:
        await self._play_once(peer)
        while self.loop:
            await self._play_once(peer)

    async def _play_once(self, peer: Peer) -> None:
        clock = asyncio.get_running_loop().time
        origin = clock()
        position = 0
        while position < len(self._frames):
            if not self.floor.flowing.is_set():
                held = clock()
                await self.floor.flowing.wait()
                origin += clock() - held
                continue
            if not peer.writable.is_set():
                await peer.writable.wait()
                continue
            written = self._ends[position - 1] if position else 0
            end = max(position + 1, bisect_right(self._ends, written + _BATCH_BYTES, position))
            if self.speed:
                elapsed = (clock() - origin) * self.speed
                end = min(end, bisect_right(self._due, elapsed, position))
                if end == position:
                    await asyncio.sleep(max(_TICK, (self._due[position] - elapsed) / self.speed))
                    continue
            frames = self._frames[position:end]
            # Whoever leaves is told of at once, and this task is then cancelled where it waits.
            peer.write(b"".join(frames))
            position += len(frames)
            self.floor.ledger.messages += len(frames)
            self.floor.changed()
            await asyncio.sleep(0)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Waits for cancelled tasks; raises what any of them had failed with."""
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
