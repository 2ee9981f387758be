"""What the clients of the trials have in common: their event loop, their Multiplex, their consumers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeVar

from benchmarks.trials.feed import END, request
from jetsocket import Multiplex, Subscription

T = TypeVar("T")
LOOPS = ("uvloop", "asyncio")


def run(loop: str, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new loop of uvloop or of asyncio."""
    with asyncio.Runner(loop_factory=import_module(loop).new_event_loop) as runner:
        return runner.run(main)


def multiplex(uri: str, queue_size: int, *, parsed: bool = False) -> Multiplex[Any]:
    """One for the venue's traffic; payloads raw, or parsed into dicts."""
    options: dict[str, Any] = {} if parsed else {"deserializer": bytes}
    return Multiplex[Any](
        uri,
        channel_key="stream",
        subscribe_msg=request,
        queue_size=queue_size,
        reconnect=False,
        compress=False,
        **options,
    )


async def start(mux: Multiplex[Any]) -> Subscription[Any]:
    """Ask the venue to begin. What this gives gets a message when all was sent."""
    return await mux.subscribe(END)


async def iterate(subscription: Subscription[Any], see: Callable[[Any], object] | None = None) -> int:
    """Read with `async for` until the subscription is closed; how many messages that were."""
    count = 0
    async for message in subscription:
        count += 1
        if see is not None:
            see(message)
    return count
