"""Ctrl-C: an orderly end, at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import jetsocket

INTERRUPTED = 130
"""The exit code, as shells have it: 128 and the number of the signal."""

_blocked = False


@contextmanager
def blocking() -> Iterator[None]:
    """Around a call that may block the event loop for long: Ctrl-C breaks it off."""
    global _blocked
    _blocked = True
    try:
        yield
    finally:
        _blocked = False


def run_to_end(main: Coroutine[Any, Any, int]) -> int:
    """Runs `main` to its exit code; Ctrl-C cancels it, a second one does not wait for its end."""
    interruptible = _interruptible(main)
    try:
        return jetsocket.run(interruptible)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        # Where Ctrl-C came before they were started, nobody has awaited them.
        interruptible.close()
        main.close()


async def _interruptible(main: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)
    interrupted = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted or _blocked:
            raise KeyboardInterrupt
        interrupted = True
        # asyncio's own handler cancels right here, between any two steps of whatever callback is running, and so
        # between a check that a future is not done and its being set. This lets the callback end first.
        loop.call_soon_threadsafe(task.cancel)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            return INTERRUPTED
        raise
    finally:
        signal.signal(signal.SIGINT, before)
