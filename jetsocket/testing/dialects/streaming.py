"""Data at a rate: published to all subscribed channels in turn."""

from __future__ import annotations

import asyncio

from .floor import VenueFloor

# A stream that was held up sends at most so many seconds' worth at once.
_CATCH_UP = 0.25
_TICK = 0.002


class Streaming:
    """At most one stream at a time. It waits for clients that do not read."""

    def __init__(self, floor: VenueFloor) -> None:
        self.floor = floor
        self._task: asyncio.Task[None] | None = None

    def start(self, rate: float, limit: int | None) -> asyncio.Task[None]:
        """`rate`: messages a second over all channels; `limit`: how many times to publish."""
        if rate <= 0:
            raise ValueError(f"stream rate must be more than 0, got {rate!r}")
        if self._task is not None and not self._task.done():
            raise RuntimeError("there is a stream already: await stop_stream() first")
        self._task = asyncio.create_task(self._run(rate, limit), name="jetsocket.testing stream")
        return self._task

    async def stop(self) -> None:
        """Raises what went wrong in it, if anything did."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome

    async def _run(self, rate: float, limit: int | None) -> None:
        clock = asyncio.get_running_loop().time
        due, last, turn, done = 1.0, clock(), 0, 0
        while limit is None or done < limit:
            for peer in list(self.floor.peers):
                await peer.writable.wait()
            now = clock()
            due = min(due + (now - last) * rate, max(1.0, _CATCH_UP * rate))
            last = now
            held = dict.fromkeys(channel for peer in self.floor.peers for channel in peer.channels)
            channels = list(filter(self.floor.dialect.has_data, held))
            while due >= 1 and channels and (limit is None or done < limit):
                due -= 1
                # What nobody gets, as of a silenced channel, is not counted.
                done += self.floor.publish(channels[turn % len(channels)]) > 0
                turn += 1
            await asyncio.sleep(_TICK)
