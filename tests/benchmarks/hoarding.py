"""A client that keeps more than it should, to be measured in a process of its own."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.trials import clients, memory
from benchmarks.trials.feed import request

KEPT: list[bytes] = []


def idle(uri: str, count: int, size: int) -> dict[str, float]:
    """What `memory.idle` finds where each subscription keeps `size` bytes more. For a fresh process alone."""

    def hoarding(channel: str) -> dict[str, Any]:
        KEPT.append(os.urandom(size))
        return request(channel)

    clients.request = hoarding
    return memory.idle(uri, count)
