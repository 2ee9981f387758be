"""On what terms a subscription is kept: its queue, what happens when that is full, and what its consumer is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from .errors import BufferOverflowError
from .hot import ChannelKey, GroupRing, LatestRing, MessageRing, Sequence
from .hot.group_py import GroupRing as ObjectGroupRing
from .hot.latest_py import LatestRing as ObjectLatestRing
from .hot.ring_py import MessageRing as ObjectRing
from .occurrences import Gap
from .options import check_count, check_flag
from .protocol.timing import check_seconds

Overflow = Literal["drop_oldest", "drop_newest", "latest", "block", "error"]
Recover = Callable[[str, Gap], Awaitable[Any]]

OVERFLOWS = ("drop_oldest", "drop_newest", "latest", "block", "error")


class QueueOptions(TypedDict, total=False):
    """The keywords of `subscribe()` and its kin, but for those that say what its items are; `Terms` documents them."""

    queue_size: int
    max_bytes: int
    overflow: Overflow
    conflate_key: str | None
    sequence: str | Sequence | None
    stale_after: float | None


class TermOptions(QueueOptions, total=False):
    """All of them."""

    events: bool
    recover: Recover | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a subscription.

    - `queue_size` in messages and `max_bytes` in payload bytes bound its queue; 0 for no bound.
    - `overflow`, when it is full: "drop_oldest"; "drop_newest"; "block" stops reading from the socket, for all channels
      of the connection, so that nothing is lost (for recorders), and has no bounds until its channels are confirmed;
      after 10 s in which nothing is read the event `stalled` tells of it;
      "error" drops the newest, and iteration raises BufferOverflowError in their place, and goes on behind it. "latest"
      keeps no queue but the newest message, or the newest for each value of `conflate_key`, a path in the message as
      for `channel_key`. All drops are counted.
    - `events`: iteration yields `Gap` objects, in their place between the messages.
    - `recover(channel, gap)`: awaited when a consumer comes to a gap, once data may flow again; what it returns is
      `gap.recovered`. New messages wait in the queue meanwhile. It implies `events`. Of a group it is called for each
      channel that has lost some, with a gap of that channel; for all, where nobody knows which.
    - `sequence`: where messages carry numbers that follow one another, a path or a `Sequence`; what does not is a gap.
      It needs `events` or `recover`.
    - `stale_after`: seconds without a message until the channel counts as stale: it is asked for anew, and if that does
      not help within as long, the connection is replaced. Where that did not help either, both take twice as long the
      next time, and so on, up to 60 times, until a message of it comes. None: it may be quiet for as long as it likes.
      Of several subscriptions to a channel the shortest counts.
    """

    queue_size: int = 1000
    max_bytes: int = 0
    overflow: Overflow = "drop_oldest"
    conflate_key: str | None = None
    events: bool = False
    recover: Recover | None = None
    sequence: str | Sequence | None = None
    stale_after: float | None = None

    def __post_init__(self) -> None:
        check_count("queue_size", self.queue_size)
        check_count("max_bytes", self.max_bytes)
        check_flag("events", self.events)
        check_seconds("stale_after", self.stale_after, optional=True)
        if self.overflow not in OVERFLOWS:
            raise ValueError(f"overflow must be one of {', '.join(OVERFLOWS)}, got {self.overflow!r}")
        if self.conflate_key is not None:
            if self.overflow != "latest":
                raise ValueError(f"conflate_key is for overflow='latest', got overflow={self.overflow!r}")
            _check_path("conflate_key", ChannelKey, self.conflate_key)
        if self.recover is not None and not callable(self.recover):
            raise TypeError(f"recover must be callable, got {type(self.recover).__name__} {self.recover!r}")
        if isinstance(self.sequence, str):
            _check_path("sequence", Sequence, self.sequence)
        elif self.sequence is not None and not isinstance(self.sequence, Sequence):
            raise TypeError(f"sequence must be a path or a Sequence, got {type(self.sequence).__name__}")

    @property
    def tells_gaps(self) -> bool:
        """Whether the consumer is told of gaps."""
        return self.events or self.recover is not None

    def ring(self) -> Any:
        """A queue on these terms."""
        if self.overflow == "latest":
            key = None if self.conflate_key is None else ChannelKey(self.conflate_key)
            return LatestRing(self.queue_size, max_bytes=self.max_bytes, key=key)
        return MessageRing(self.queue_size, max_bytes=self.max_bytes, overflow=self.plain_overflow())

    def group_ring(self) -> GroupRing:
        """A queue on these terms for many channels. ValueError for "latest"."""
        self._check_for_groups()
        return GroupRing(self.queue_size, max_bytes=self.max_bytes, overflow=self.plain_overflow())

    def object_ring(self) -> Any:
        """A queue on these terms for objects that are decoded already. ValueError for what it cannot do."""
        self._check_for_objects()
        if self.overflow == "latest":
            key = None if self.conflate_key is None else ChannelKey(self.conflate_key)
            return ObjectLatestRing(self.queue_size, max_bytes=self.max_bytes, key=key)
        return ObjectRing(self.queue_size, max_bytes=self.max_bytes, overflow=self.plain_overflow())

    def object_group_ring(self) -> Any:
        """The same for many channels."""
        self._check_for_objects()
        self._check_for_groups()
        return ObjectGroupRing(self.queue_size, max_bytes=self.max_bytes, overflow=self.plain_overflow())

    def _check_for_objects(self) -> None:
        if self.overflow == "block":
            raise ValueError("overflow='block' needs channel_key: with channel_extractor reading cannot be stopped")
        if self.sequence is not None:
            raise ValueError("sequence needs channel_key: it is read from the raw bytes")

    def _check_for_groups(self) -> None:
        if self.overflow == "latest":
            raise ValueError("overflow='latest' is for single subscriptions: a group keeps the order of its channels")

    def plain_overflow(self) -> str:
        """What a plain queue does for it when it is full."""
        return "drop_newest" if self.overflow == "error" else self.overflow

    def sequence_of_its_own(self) -> Sequence | None:
        """A Sequence that no other channel uses."""
        given = self.sequence
        if isinstance(given, Sequence):
            return Sequence(given.path, previous=given.previous, first=given.first)
        return None if given is None else Sequence(given)


def _check_path(name: str, make: Callable[[Any], object], path: object) -> None:
    try:
        make(path)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def overflowed(channel: str, dropped: int) -> BufferOverflowError:
    """What is raised in the place of messages that a full queue has dropped."""
    count = "1 message" if dropped == 1 else f"{dropped} messages"
    return BufferOverflowError(f"the queue of {channel!r} was full: {count} dropped; read faster, or raise queue_size")
