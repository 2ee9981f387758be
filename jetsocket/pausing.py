"""Waiting longer each time: because the exchange asks for it, or as it takes back what it has just given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Seconds.
SHORTEST = 1.0
LONGEST = 60.0


def longer(seconds: float) -> float:
    """How long to wait the next time."""
    return min(max(SHORTEST, 2 * seconds), LONGEST)


class Pause:
    """On one connection nothing is asked for while the exchange asks to wait; `over()` is called at its end."""

    def __init__(self, over: Callable[[], object]) -> None:
        # How long the last one was; 0.0: there was none since an answer came.
        self.seconds = 0.0
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        """Whether it lasts."""
        return self._timer is not None

    @property
    def left(self) -> float:
        """Seconds until its end."""
        return 0.0 if self._timer is None else max(0.0, self._timer.when() - asyncio.get_running_loop().time())

    def begin(self) -> bool:
        """The exchange asks to wait. False: it was asked before, and what it speaks of was sent before that."""
        if self._timer is not None:
            return False
        self.seconds = longer(self.seconds)
        self._timer = asyncio.get_running_loop().call_later(self.seconds, self._end)
        return True

    def _end(self) -> None:
        self._timer = None
        self._over()

    def answered(self) -> None:
        """It has done what it was asked: the next pause is a first one, unless one lasts."""
        if self._timer is None:
            self.seconds = 0.0

    def clear(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.seconds = 0.0
