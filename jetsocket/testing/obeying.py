"""What a process does that is told a command a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


async def obey_lines(read: Callable[[], Awaitable[bytes]], obey: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """`obey(command)` for the JSON of each line until `read()` gives an empty one, which ends those still under way."""
    running: set[asyncio.Task[None]] = set()
    while line := await read():
        # A task each: one that waits must not hold up the next command.
        task = asyncio.create_task(obey(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
