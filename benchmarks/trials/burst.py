"""How long a burst of messages holds the event loop, and whether other tasks run meanwhile.

100,000 messages on 100 channels arrive as fast as another process can send them; each channel has a consumer with
`async for`. A callback that the loop calls once a turn takes the CPU time of the loop's thread since the turn before:
the longest of these is how long anything else had to wait for the loop. CPU time, so that another process on the same
core is not taken for us; the kernel's part of the reading counts.

- arriving: consumers wait when the burst comes;
- queued: consumers come when all of it is in the queues, a hundred at once.

In both, payloads are taken raw, or parsed into dicts. The longest turn of all runs counts, not a median.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.findings import Finding
from benchmarks.trials.clients import LOOPS, iterate, multiplex, run, start
from benchmarks.trials.feed import names
from benchmarks.trials.processes import TrialError, apart, venue
from benchmarks.trials.rounds import in_turns

MESSAGES = 100_000
CHANNELS = 100
ROUNDS = 3
MOST_MS = 5.0
# Of another task, while all is delivered. There is more than 20 times the work that a turn may hold.
FEWEST_TURNS = 20


class Heartbeat:
    """Called by the loop once a turn, from the start until `stop()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turns = 0
        self.longest_ns = 0
        self._loop = loop
        self._last = time.thread_time_ns()
        self._next = loop.call_soon(self._beat)

    def _beat(self) -> None:
        now = time.thread_time_ns()
        self.longest_ns = max(self.longest_ns, now - self._last)
        self._last = now
        self.turns += 1
        self._next = self._loop.call_soon(self._beat)

    def stop(self) -> None:
        self._next.cancel()


class Bystander:
    """A task that has nothing to do with the messages, and counts how often it is its turn."""

    def __init__(self) -> None:
        self.turns = 0
        self._task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.turns += 1

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def _burst(
    uri: str, messages: int, parsed: bool, queued: bool, see: Callable[[Any], object] | None
) -> dict[str, float]:
    async with multiplex(f"{uri}/flood/{CHANNELS}/{messages}", 0, parsed=parsed) as mux:
        subscriptions = [await mux.subscribe(channel) for channel in names(CHANNELS)]
        gate = asyncio.Event()

        async def consume(subscription: Any) -> int:
            if queued:
                await gate.wait()
            return await iterate(subscription, see)

        readers = [asyncio.create_task(consume(subscription)) for subscription in subscriptions]
        await asyncio.sleep(0)
        gc.collect()
        bystander, heartbeat = Bystander(), Heartbeat(asyncio.get_running_loop())
        began = time.thread_time_ns()
        await (await start(mux)).recv()
        for subscription in subscriptions:
            await subscription.close()
        gate.set()
        taken = sum(await asyncio.gather(*readers))
        heartbeat.stop()
        spent, turns = time.thread_time_ns() - began, bystander.turns
        await bystander.stop()
        if taken != messages:
            raise TrialError(f"{taken} messages of {messages} were delivered")
        return {"longest": heartbeat.longest_ns / 1e6, "turns": turns, "spent": spent / 1e6}


def burst(
    uri: str,
    loop: str,
    parsed: bool,
    queued: bool,
    messages: int = MESSAGES,
    see: Callable[[Any], object] | None = None,
) -> dict[str, float]:
    """`longest` turn and time `spent` in all, ms of CPU; `turns` of a bystander. Consumers call `see(message)`."""
    return run(loop, _burst(uri, messages, parsed, queued, see))


def judge(name: str, runs: list[dict[str, float]]) -> list[Finding]:
    """The longest turn of all runs, and the fewest turns of another task."""
    longest, turns = max(one["longest"] for one in runs), min(one["turns"] for one in runs)
    return [
        Finding(f"burst, {name}, longest turn of the loop", longest, "ms of CPU", MOST_MS),
        Finding(f"burst, {name}, turns of another task", turns, "turns", FEWEST_TURNS, at_most=False),
    ]


def measure(rounds: int = ROUNDS, messages: int = MESSAGES) -> list[Finding]:
    """Both loops, raw and parsed, arriving and queued."""
    with venue() as uri:
        kinds = {
            f"{loop}, {'queued' if queued else 'arriving'}, {'dicts' if parsed else 'raw'}": partial(
                apart, burst, uri, loop, parsed, queued, messages
            )
            for loop in LOOPS
            for queued in (False, True)
            for parsed in (False, True)
        }
        return [finding for name, runs in in_turns(rounds, kinds).items() for finding in judge(name, runs)]
