"""What many channels cost: 10,000 against 10, the setting up of 10,000 subscriptions, and memory (see memory.py).

Cost per message: Zipf-like traffic flat out from another process, kept in queues that nobody reads, each run a process
of its own. The queues are of such a size that both hold the same number of messages in all when they are full: what is
compared is the number of channels, and not how much memory their messages fill. The same with queues of 1,000 for both
is told as well: there the many channels keep ten times and more the memory of the few, and most of it is written for
the first time.

Setting up: CPU time, user and system, of `subscribe()` for one channel after another, a subscribe message each.
"""

from __future__ import annotations

import gc
import time
from functools import partial
from statistics import median

from benchmarks.findings import Finding
from benchmarks.trials import memory
from benchmarks.trials.clients import multiplex, run, start
from benchmarks.trials.feed import names
from benchmarks.trials.processes import TrialError, apart, venue
from benchmarks.trials.rounds import in_turns

FEW, MANY = 10, 10_000
MESSAGES = 1_000_000
ROUNDS = 5
# Of all channels together, when all queues are full.
HELD = 100_000
QUEUE = 1_000
MOST_OF_FEW = 1.6
MOST_SECONDS = 0.5


async def _routed(uri: str, channels: int, queue_size: int, messages: int) -> dict[str, float]:
    async with multiplex(f"{uri}/flood/{channels}/{messages}", queue_size) as mux:
        wanted = names(channels)
        before = time.process_time_ns()
        for channel in wanted:
            await mux.subscribe(channel)
        set_up = time.process_time_ns() - before
        gc.collect()
        before = time.process_time_ns()
        last = await start(mux)
        await last.recv()
        spent = time.process_time_ns() - before
        routed = mux.stats().total_messages_routed - 1
        if routed != messages:
            raise TrialError(f"{routed} messages of {messages} were routed")
        return {"set_up": set_up / 1e9, "message": spent / messages}


def routed(uri: str, channels: int, queue_size: int, messages: int) -> dict[str, float]:
    """CPU seconds to set up so many subscriptions, CPU nanoseconds a message."""
    return run("uvloop", _routed(uri, channels, queue_size, messages))


def channels(uri: str, rounds: int, few: int = FEW, many: int = MANY, messages: int = MESSAGES) -> list[Finding]:
    """Many channels against few."""
    kinds = {
        "few": partial(apart, routed, uri, few, HELD // few, messages),
        "many": partial(apart, routed, uri, many, HELD // many, messages),
        "few, alike": partial(apart, routed, uri, few, QUEUE, messages),
        "many, alike": partial(apart, routed, uri, many, QUEUE, messages),
    }
    runs = in_turns(rounds, kinds)
    cost = {name: median(one["message"] for one in found) for name, found in runs.items()}
    set_up = median(one["set_up"] for name in ("many", "many, alike") for one in runs[name])
    of = f"a message of {many:,} channels, of {few}"
    return [
        Finding(f"{of}, as many messages kept", cost["many"] / cost["few"], "times", MOST_OF_FEW),
        Finding(f"{of}, queues of {QUEUE:,}", cost["many, alike"] / cost["few, alike"], "times"),
        Finding(f"a message of {few} channels", cost["few"], "ns of CPU"),
        Finding(f"setting up {many:,} subscriptions", set_up, "s of CPU", MOST_SECONDS * many / MANY),
    ]


def measure() -> list[Finding]:
    """Cost per message, of setting up, and memory."""
    with venue() as uri:
        return channels(uri, ROUNDS) + memory.measure(uri)
