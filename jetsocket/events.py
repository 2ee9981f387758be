"""Events: what happened to a connection, told to whoever asked."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

from .reporting import FAILURES, report

# Seconds that a handler may hold the event loop before that is worth a warning.
SLOW = 0.1

Handler = Callable[..., Any]
AnyHandler = TypeVar("AnyHandler", bound=Handler)

logger = logging.getLogger("jetsocket.connection")


class Events:
    """The handlers of one object's events. A handler that raises is logged and disturbs nobody."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.counts: Counter[str] = Counter()
        """How often each was emitted."""
        self._handlers: dict[str, list[Handler]] = {name: [] for name in names}
        self._tasks: set[asyncio.Task[None]] = set()

    @overload
    def on(self, event: str, handler: AnyHandler) -> AnyHandler: ...
    @overload
    def on(self, event: str, handler: None = None) -> Callable[[AnyHandler], AnyHandler]: ...
    def on(self, event: str, handler: Handler | None = None) -> Any:
        """Call `handler` (a function or a coroutine function) at each `event`; without one, be its decorator.

        Raises ValueError for an event that there is not.
        """
        if event not in self._handlers:
            raise ValueError(f"there is no event {event!r}; there are: {', '.join(self._handlers)}")
        if handler is None:
            return lambda decorated: self.on(event, decorated)
        if not callable(handler):
            raise TypeError(f"a handler must be callable, got {type(handler).__name__} {handler!r}")
        self._handlers[event].append(handler)
        return handler

    def emit(self, event: str, *facts: Any) -> None:
        """Call the handlers of `event` with `facts`."""
        self.counts[event] += 1
        for handler in tuple(self._handlers[event]):
            began = time.perf_counter()
            try:
                outcome = handler(*facts)
                took = time.perf_counter() - began
                if took > SLOW:
                    text = "a handler of %r took %.1f s, in which nothing was read: make it brief, or a task of its own"
                    logger.warning(text, event, took)
            except FAILURES as error:  # whoever emits is not its caller
                report(logger, logging.ERROR, error, f"a handler of {event!r} raised")
                continue
            if inspect.iscoroutine(outcome):
                task = asyncio.get_running_loop().create_task(_watched(outcome))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)


async def _watched(handling: Coroutine[Any, Any, Any]) -> None:
    """In the task itself: asyncio, in its debug mode, logs what a task has failed with."""
    try:
        await handling
    except FAILURES as error:  # as in `emit`
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        report(logger, logging.ERROR, error, "an event handler raised")
