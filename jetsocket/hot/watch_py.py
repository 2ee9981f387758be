"""What is looked for in a channel's messages on their way to its queue: signs of life, and numbers that must follow.

The Python twin of `watch_c.pyx`, and its specification.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .keys_py import ChannelKey
from .ring_py import MOST_MISSING

_NUMBER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_LARGEST: Final = 2**63 - 1


class Step(NamedTuple):
    """What a message's numbers say."""

    number: int
    repeated: bool = False
    broken: bool = False
    # Of a break: what was expected, what came, and how many messages are missing (-1: unknown).
    expected: int = 0
    got: int = 0
    missing: int = 0


class Sequence:
    """Numbers that follow one another from message to message. One is for one channel, or for one router.

    `path` is where a message has its number: digits, as a number or as a string, up to 2**63 - 1. Each is the last one
    plus one; unless `previous` is where a message names its predecessor's number, which may be any; or `first` is
    where it has the first number of several, of which `path` is the last.

    What has no number at `path` is let alone; what lacks the other one, or names a predecessor below 0, starts afresh.
    Numbers that are not above the last one are `repeated`, and no break; but where one of these follows the one before,
    they have begun anew, and from there they count: a break of an unknown size. ValueError if a path is none.
    """

    def __init__(self, path: str, *, previous: str | None = None, first: str | None = None) -> None:
        if previous is not None and first is not None:
            raise ValueError("a Sequence goes by `previous` or by `first`, not by both")
        self.path = path
        self.previous = previous
        self.first = first
        self._key = ChannelKey(path)
        other = first if previous is None else previous
        self._other = None if other is None else ChannelKey(other)
        self.last: int | None = None
        self.last_ns = 0
        # Of the last message, if that was repeated: its number.
        self._behind: int | None = None
        self.breaks = 0
        self.repeated = 0
        self.claimed = False

    @property
    def rule(self) -> str:
        """Which number is expected: "next", "previous" or "range"."""
        return "range" if self.first is not None else "next" if self.previous is None else "previous"

    def __repr__(self) -> str:
        return f"Sequence({self.path!r}, rule {self.rule}, last {self.last}, breaks {self.breaks})"

    def reset(self) -> None:
        """Whatever number comes next is right: a connection is new."""
        self.last = self._behind = None
        self.last_ns = 0

    def look(self, payload: bytes) -> Step | None:
        """What the message's numbers say; None where it has none."""
        number = _number(self._key, payload)
        if number is None:
            return None
        last = self.last
        if last is None:
            return Step(number)
        named = number if self._other is None else _number(self._other, payload)
        if named is None:
            return Step(number)
        if self.previous is not None and (named < 0 or named == last):
            return Step(number)
        # The largest number is not followed by one that could be expected.
        expected = last if self.previous is not None else min(last + 1, _LARGEST)
        if number <= last:
            anew = self._follows(number, named)
            return Step(number, False, True, expected, named, -1) if anew else Step(number, repeated=True)
        if self.previous is not None:
            return Step(number, False, True, expected, named, -1)
        if named <= expected:
            return Step(number)
        return Step(number, False, True, expected, named, min(named - expected, MOST_MISSING))

    def _follows(self, number: int, named: int) -> bool:
        """Whether a message that is not above the last one follows the one before it, which was not either."""
        behind = self._behind
        if behind is None or number <= behind:
            return False
        return named == behind if self.previous is not None else named <= behind + 1

    def go_on(self, step: Step, received_ns: int) -> None:
        """The message was taken."""
        if step.repeated:
            self.repeated += 1
            self._behind = step.number
            return
        self._behind = None
        self.breaks += step.broken
        self.last = step.number
        self.last_ns = received_ns


def _number(key: ChannelKey, payload: bytes) -> int | None:
    text = key.find(payload)
    if text is None or _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -_LARGEST <= number <= _LARGEST else None


class Watch:
    """What a Router looks for in the messages of one channel, besides queueing them. One is for one channel.

    `skip`, a path and a text: a message that has this text there is but a sign of life. It is not queued. The router
    counts it as unroutable, but does not spill it; `skipped` counts those. `sequence`: breaks in it are noted on the
    channel's rings.
    """

    def __init__(self, *, skip: tuple[str, str] | None = None, sequence: Sequence | None = None) -> None:
        self.skip = skip
        self._skip_key: ChannelKey | None = None
        if skip is not None:
            path, self._skip_text = skip
            self._skip_key = ChannelKey(path)
            if not isinstance(self._skip_text, str):
                raise TypeError(f"the text to skip must be a str, got {type(self._skip_text).__name__}")
        self.skipped = 0
        self.claimed = False
        self.sequence = sequence
        if sequence is not None:
            claim(sequence)

    def skips(self, payload: bytes) -> bool:
        """Whether the message is but a sign of life."""
        return self._skip_key is not None and self._skip_key.find(payload) == self._skip_text


def claim(one: Watch | Sequence) -> None:
    """Take it for a channel, or for a router. ValueError if it is taken."""
    if one.claimed:
        raise ValueError(f"a {type(one).__name__} is for one channel, and this one is in use")
    one.claimed = True
