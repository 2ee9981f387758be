"""What is looked at now and then, and who is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from jetsocket.liveness import DataWatch, LoopWatch

W = TypeVar("W", DataWatch, LoopWatch)


class Counter:
    """Gives `values` one a look, the last for ever, and tells when it has been looked at so often."""

    def __init__(self, *values: int) -> None:
        self.values = values
        self.looks = 0
        self._awaited: list[tuple[int, asyncio.Event]] = []

    def __call__(self) -> int:
        value = self.values[min(self.looks, len(self.values) - 1)]
        self.looks += 1
        for looks, event in self._awaited:
            if looks <= self.looks:
                event.set()
        return value

    async def looked_at(self, more: int) -> None:
        """Wait for as many more looks."""
        event = asyncio.Event()
        self._awaited.append((self.looks + more, event))
        await asyncio.wait_for(event.wait(), 10)


class Told:
    """A callback that can be waited for: every call of it is a queued tuple; with `counter`, its looks behind."""

    def __init__(self, counter: Counter | None = None) -> None:
        self.calls: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
        self.counter = counter

    def __call__(self, *facts: object) -> None:
        self.calls.put_nowait(facts if self.counter is None else (*facts, self.counter.looks))

    async def next(self, timeout: float = 10) -> tuple[object, ...]:
        return await asyncio.wait_for(self.calls.get(), timeout)

    def so_far(self) -> int:
        return self.calls.qsize()


@contextmanager
def stopping(make: Callable[..., W]) -> Iterator[Callable[..., W]]:
    """Calls `make` for watches that are started at once, and stopped at the end."""
    started: list[W] = []

    def start(*arguments: Any, **options: Any) -> W:
        watch = make(*arguments, **options)
        watch.start()
        started.append(watch)
        return watch

    yield start
    for watch in started:
        watch.stop()


def block(seconds: float) -> None:
    """Let the event loop wait."""
    time.sleep(seconds)
