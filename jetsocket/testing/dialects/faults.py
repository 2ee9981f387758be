"""The misbehaviour that a loopback exchange has been told to show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

Action = Literal["subscribe", "unsubscribe"]


class Refusal(NamedTuple):
    """Why a channel is refused; None where the exchange's usual words will do."""

    code: int | str | None = None
    message: str | None = None


class Faults:
    """Which are on. None as a channel means all of them."""

    def __init__(self) -> None:
        self.refusals: dict[tuple[Action, str | None], Refusal] = {}
        self.silent: set[str | None] = set()
        self.holding = False
        self.data_first = False
        self.login_needed = False
        self.login_accepts: Callable[[Any], bool] | None = None
        self.query: dict[str, str] = {}
        self._ignored: dict[str | None, int | None] = {}

    def refusal(self, action: Action, channel: str) -> Refusal | None:
        return self.refusals.get((action, channel)) or self.refusals.get((action, None))

    def ignore(self, channel: str | None, times: int | None) -> None:
        self._ignored[channel] = times

    def ignores(self, channels: Iterable[str]) -> bool:
        """Whether a request for these is left unanswered; counts it, where only so many are."""
        for channel in (*channels, None):
            times = self._ignored.get(channel, 0)
            if times == 0:
                continue
            if times is not None:
                self._ignored[channel] = times - 1
            return True
        return False

    def accept(self, channel: str | None) -> None:
        """No more refusing and ignoring of one channel; None ends all of it."""
        if channel is None:
            self.refusals.clear()
            self._ignored.clear()
        else:
            self.refusals.pop(("subscribe", channel), None)
            self.refusals.pop(("unsubscribe", channel), None)
            self._ignored.pop(channel, None)

    def silences(self, channel: str) -> bool:
        return channel in self.silent or None in self.silent
