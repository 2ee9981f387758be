"""Whether another Python thread makes progress while a read of 256 KB is decoded and routed.

One thread fills the decoder's buffer and commits it, a read at a time, into a router with 100 channels. The other
counts, and lets the GIL go after each count. No thread is made to give the GIL up meanwhile (the switch interval is
longer than the trial): the other one counts during a commit if and only if the commit itself lets it. The figure is the
share of full reads during which it did. Filling the buffer is outside the commit, and does not count.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from benchmarks.findings import Finding
from benchmarks.trials.feed import names, trades

READ = 256 * 1024
READS = 2_000
CHANNELS = 100
QUEUE = 1_000
LEAST = 0.5
Commit = Callable[[int, int], object]


class Counter:
    """Another thread, which counts as long as the `with` block runs."""

    def __init__(self) -> None:
        self.count = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stopped:
            self.count += 1
            # Lets the GIL go: who waits for it gets it.
            time.sleep(0)

    def __enter__(self) -> Counter:
        self._thread.start()
        while not self.count:
            time.sleep(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join()


@contextmanager
def no_forced_switches() -> Iterator[None]:
    former = sys.getswitchinterval()
    sys.setswitchinterval(100.0)
    try:
        yield
    finally:
        sys.setswitchinterval(former)


def routing_decoder(twin: str) -> Any:
    """A decoder that feeds a router with all channels, its buffer grown to full reads."""
    frames, keys, ring, router = (
        import_module(f"jetsocket.hot.{room}_{twin}") for room in ("frames", "keys", "ring", "router")
    )
    routing = router.Router(keys.ChannelKey("stream"))
    for channel in names(CHANNELS):
        routing.add(channel, ring.MessageRing(QUEUE))
    return frames.FrameDecoder(routing)


def progress(reads: int, twin: str, commit_of: Callable[[Any], Commit] = lambda decoder: decoder.commit) -> Counted:
    """How the other thread got on during `reads` full reads."""
    decoder = routing_decoder(twin)
    commit = commit_of(decoder)
    data = memoryview(trades(CHANNELS)[0])
    at = 0
    found = Counted()
    with no_forced_switches(), Counter() as other:
        while found.reads < reads:
            space = decoder.get_buffer()
            size = min(len(space), READ, len(data) - at)
            space[:size] = data[at : at + size]
            before, start = other.count, time.perf_counter_ns()
            commit(size, 0)
            took, counted = time.perf_counter_ns() - start, other.count - before
            at = (at + size) % len(data)
            # What is left of the frame before takes a part of the room.
            if size >= READ * 0.9:
                found.add(counted, took)
        found.free_ns = alone(other)
    return found


def alone(other: Counter) -> float:
    """Nanoseconds a count of the other thread, with nothing beside it."""
    before, start = other.count, time.perf_counter_ns()
    time.sleep(0.02)
    return (time.perf_counter_ns() - start) / max(other.count - before, 1)


class Counted:
    """Commits, in how many of them the other thread counted, how far, and how long they took."""

    def __init__(self) -> None:
        self.reads = 0
        self.with_progress = 0
        self.counts = 0
        self.taken_ns = 0
        self.free_ns = 0.0

    def add(self, counts: int, took: int) -> None:
        self.reads += 1
        self.with_progress += counts > 0
        self.counts += counts
        self.taken_ns += took

    def findings(self, bound: float | None) -> list[Finding]:
        speed = self.counts * self.free_ns / self.taken_ns
        of = "another thread during commits of 256 KB"
        return [
            Finding(f"{of}, counts in", self.with_progress / self.reads, "of them", bound, at_most=False),
            Finding(f"{of}, its speed", speed, "of its speed alone"),
            Finding("a commit of 256 KB, another thread counting", self.taken_ns / self.reads / 1000, "µs"),
        ]


def measure(reads: int = READS, twin: str = "c") -> list[Finding]:
    """Progress of another thread; `twin` is c or py. No bound where there is one processor."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processors < 2:
        print("threads: one processor, so that another thread need not get on: no bound", file=sys.stderr)
    return progress(reads, twin).findings(LEAST if processors > 1 else None)
