"""Whether the first data of a channel have come, where no other answer to a request does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .routes import Routes

# Seconds between two looks: at first, and at most, for channels that stay quiet.
SHORTEST_LOOK = 0.02
LONGEST_LOOK = 0.5


class FirstData:
    """Looks at the counters of channels now and then, for all of them at once; nothing on the way of the data.

    `tell(channel)` is called for each that has brought something since it was expected.
    """

    def __init__(self, routes: Routes, tell: Callable[[str], object]) -> None:
        self._routes = routes
        self._tell = tell
        # How much each had brought before.
        self._expected: dict[str, int] = {}
        self._every = SHORTEST_LOOK
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._expected)

    @property
    def is_looking(self) -> bool:
        """Whether a further look is due."""
        return self._timer is not None

    def expect(self, channel: str) -> None:
        """It was asked for."""
        route = self._routes.get(channel)
        if route is not None:
            self._expected[channel] = route.received()
            self._look_in(SHORTEST_LOOK)

    def clear(self) -> None:
        """The connection is gone: what comes on the next one answers what is asked for there."""
        self._expected.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._every = seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        for channel, before in tuple(self._expected.items()):
            route = self._routes.get(channel)
            if route is None:
                del self._expected[channel]
            elif (received := route.received()) > before:
                del self._expected[channel]
                self._tell(channel)
            else:
                # Less, where one of its consumers is gone.
                self._expected[channel] = received
        if self._expected and self._timer is None:
            self._look_in(min(self._every * 1.5, LONGEST_LOOK))
