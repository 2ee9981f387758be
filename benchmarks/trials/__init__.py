"""Measurements that are no contest on one feed: `python -m benchmarks.trials [NAME ...]`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.findings import Finding
from benchmarks.trials import burst, latency, lookup, scale, threads

__all__ = ["TRIALS", "Trial", "burst", "latency", "lookup", "scale", "threads"]


@dataclass(frozen=True)
class Trial:
    """`measure()` takes less than a minute. What it cannot measure here it says on standard error, and leaves out."""

    name: str
    measure: Callable[[], list[Finding]]


TRIALS = (
    Trial("lookup", lookup.measure),
    Trial("scale", scale.measure),
    Trial("latency", latency.measure),
    Trial("burst", burst.measure),
    Trial("threads", threads.measure),
)
