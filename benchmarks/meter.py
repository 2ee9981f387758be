"""What every contender runs under: the same event loop, the same clocks, the same report."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.courses import TRADES, Course, asked_for
from benchmarks.traffic import END

__all__ = ["END", "Meter", "main", "subscribe_text"]


@dataclass
class Meter:
    """Client CPU time and wall time between `start()` and `stop()`, in nanoseconds; and the course that is run."""

    course: Course = TRADES
    messages: int = 0
    cpu_ns: int = 0
    wall_ns: int = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """All that messages come on, the one that ends the flood not counted."""
        return self.course.channels

    @property
    def queue_size(self) -> int:
        """How many messages of a channel are kept."""
        return self.course.queue_size

    def start(self) -> None:
        """Call it when all is subscribed, right before the message that starts the flood."""
        self.wall_ns = time.perf_counter_ns()
        self.cpu_ns = time.process_time_ns()

    def stop(self) -> None:
        """Call it when the last message is where it belongs."""
        self.cpu_ns = time.process_time_ns() - self.cpu_ns
        self.wall_ns = time.perf_counter_ns() - self.wall_ns


def subscribe_text(channel: str) -> str:
    return json.dumps({"method": "SUBSCRIBE", "params": [channel], "id": 1})


def main(contend: Callable[[str, Meter], Awaitable[int]], **facts: Any) -> None:
    """Run `contend(uri, meter)`, which returns how many messages it holds at the end, and print the report."""
    import uvloop

    meter = Meter(*asked_for(sys.argv[1]))

    async def run() -> int:
        return await contend(sys.argv[1], meter)

    # asyncio.Runner and not jetsocket.run(): each contender gets its loop in the same way.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        held = runner.run(run())
    print(json.dumps({"held": held, "cpu_ns": meter.cpu_ns, "wall_ns": meter.wall_ns, **facts}))
