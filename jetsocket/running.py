"""`run()`: asyncio.run on the fastest event loop that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")


def event_loop_name() -> str:
    """The event loop that `run()` uses: "uvloop" or "asyncio"."""
    return "asyncio" if find_spec("uvloop") is None else "uvloop"


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run `main` to its end and return its result, on uvloop where that is installed, else on asyncio's own loop."""
    if _within_a_loop():
        # Before anything is made: asyncio.Runner notices it too late to clean up behind itself.
        raise RuntimeError("jetsocket.run() cannot be called from a running event loop")
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if event_loop_name() == "uvloop":
        import uvloop  # noqa: PLC0415  # an extra

        factory = uvloop.new_event_loop
    with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
        return runner.run(main)


def _within_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
