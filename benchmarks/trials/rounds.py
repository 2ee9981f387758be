"""Runs taken in turns, so that what disturbs the machine for a while disturbs all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def in_turns(rounds: int, runs: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """What each of `runs` gave in each of `rounds` rounds: A, B, A, B, ..."""
    found: dict[str, list[T]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def cpu_of(work: Callable[[], object]) -> Callable[[], float]:
    """A run that gives this thread's CPU time for `work`, in nanoseconds."""

    def run() -> float:
        start = time.thread_time_ns()
        work()
        return time.thread_time_ns() - start

    return run


def cpu_medians(rounds: int, works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median CPU time of each of `works`, in nanoseconds, taken in turns after one round that does not count."""
    for work in works.values():
        work()
    found = in_turns(rounds, {name: cpu_of(work) for name, work in works.items()})
    return {name: median(times) for name, times in found.items()}
