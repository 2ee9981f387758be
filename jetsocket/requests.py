"""Requests to an exchange that wait for its answer, and whose answer one is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Literal

from .venue import Reply

Action = Literal["subscribe", "unsubscribe"]

# Where no user begins to number requests of their own, which are answered on the same connection; below 2**31.
FIRST_NUMBER = 2_000_000_001
# Of a patience. It is over after so many at which answers could be read.
_LOOKS = 10


class Request:
    """Asked for on the present connection: `channels`, of which `pending` have no answer yet."""

    __slots__ = ("action", "channels", "looks", "number", "pending", "timer")

    def __init__(self, number: int, action: Action, channels: list[str]) -> None:
        self.number = number
        self.action = action
        self.channels = channels
        self.pending = dict.fromkeys(channels)
        self.timer: asyncio.TimerHandle | None = None
        self.looks = 0


class Requests:
    """The requests of one connection after another; their numbers never repeat, so that no late answer is mistaken.

    `held_up()`: whether nothing is read; that time is none that the exchange takes for its answer.
    """

    def __init__(
        self,
        patience: float,
        on_silent: Callable[[Request], None],
        *,
        one_at_a_time: bool = False,
        held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._patience = patience
        self._on_silent = on_silent
        self._one_at_a_time = one_at_a_time
        self._held_up = held_up
        self._last = FIRST_NUMBER - 1
        self._open: dict[int, Request] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Request]:
        return iter(tuple(self._open.values()))

    def next_number(self) -> int:
        """For the next request."""
        self._last += 1
        return self._last

    def add(self, request: Request, *, answered: bool = True) -> None:
        """It has been sent. `answered`: an answer is to come, within the patience."""
        self._open[request.number] = request
        if answered:
            self.begin(request)

    def begin(self, request: Request) -> None:
        """All of it is sent: from now on it has the patience."""
        if request.number in self._open and request.timer is None:
            self._look_later(request)

    def _look_later(self, request: Request) -> None:
        request.timer = asyncio.get_running_loop().call_later(self._patience / _LOOKS, self._look, request)

    def _look(self, request: Request) -> None:
        request.looks += not self._held_up()
        if request.looks < _LOOKS:
            self._look_later(request)
            return
        self.close(request)
        self._on_silent(request)

    def close(self, request: Request) -> None:
        """No more is waited for."""
        self._open.pop(request.number, None)
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None

    def settle(self, request: Request, channel: str) -> None:
        """That channel of it has its answer."""
        request.pending.pop(channel, None)
        if not request.pending:
            self.close(request)

    def clear(self) -> None:
        """The connection is gone, and with it every answer."""
        for request in self:
            self.close(request)

    def answered_by(self, reply: Reply) -> Request | None:
        """The request that `reply` is about; None where it is none of ours, or of several.

        By its number, where the reply carries one. Else by the channels that it names. With neither it may answer what
        the user has sent, and is nobody's, unless there is never more than one request.
        """
        if reply.request_id is not None:
            return self._open.get(_number(reply.request_id))
        fitting = [request for request in self if reply.action in (None, request.action)]
        if not reply.channels:
            return fitting[0] if fitting and self._one_at_a_time else None
        for request in fitting:
            if all(any(map(_fits(name), request.pending)) for name in reply.channels):
                return request
        return None


def _fits(name: str) -> Callable[[str], bool]:
    """Whether a channel is meant by `name`: by its end alone, where that begins with a colon."""
    return (lambda channel: channel.endswith(name)) if name.startswith(":") else name.__eq__


def _number(request_id: int | str) -> int:
    try:
        return int(request_id)
    except (ValueError, TypeError, OverflowError):
        # Whatever the exchange has put there, none of our requests has that number.
        return 0
