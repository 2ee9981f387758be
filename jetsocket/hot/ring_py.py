"""A queue of messages, bounded in messages and in bytes: what stands between the socket and a consumer.

The Python twin of `ring_c.pyx`, and its specification.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .key_grammar import NOT_PARSED

if TYPE_CHECKING:
    from collections.abc import Callable

OVERFLOW_POLICIES: Final = ("drop_oldest", "drop_newest", "block")
# So many breaks are noted one by one until somebody takes them.
MOST_BREAKS: Final = 1024
MOST_MISSING: Final = 2**63 - 1

# See MessageRing.take_breaks().
Break: TypeAlias = tuple[int, int, int, int, int, int]


class Tally:
    """What the messages came to of rings that are no more."""

    __slots__ = ("delivered", "dropped", "received")

    def __init__(self) -> None:
        self.received = 0
        self.delivered = 0
        self.dropped = 0


class Sink:
    """Takes whole messages from a decoder."""

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Take one message. False: there is no room now, offer it again."""
        raise NotImplementedError(type(self).__name__)

    def wake(self) -> None:
        """All of one read was offered: wake whoever waits for some of it."""


class MessageRing(Sink):
    """A queue of messages. `capacity` (messages) and `max_bytes` (payload bytes) bound it; 0 means unbounded.

    When it is full, `overflow` says what goes: the oldest message ("drop_oldest"), the new one ("drop_newest"), or
    nothing: "block" refuses the new one until there is room. Always `received = delivered + dropped + len(ring)`.

    Raises ValueError for negative bounds or an unknown `overflow`.
    """

    # Here as well, for the end of a ring that was refused its arguments.
    tally: Tally | None = None
    _initialised = False

    def __init__(self, capacity: int = 0, *, max_bytes: int = 0, overflow: str = "drop_oldest") -> None:
        if self._initialised:
            raise TypeError("a MessageRing is initialised once")
        self._check_bounds(capacity, max_bytes)
        if overflow not in OVERFLOW_POLICIES:
            raise ValueError(f"overflow must be one of {', '.join(OVERFLOW_POLICIES)}, got {overflow!r}")
        self.capacity = capacity
        self.max_bytes = max_bytes
        self.overflow = overflow
        self._most = capacity or sys.maxsize
        self._most_bytes = max_bytes or sys.maxsize
        self.nbytes = 0
        self.delivered = 0
        self.dropped = 0
        self.waiting = False
        self.refused = False
        self.waker: Callable[[], object] | None = None
        self.on_room: Callable[[], object] | None = None
        self.tally = None
        # Of `dropped`, those that never stood at the head; how many of them a stream has seen (-1: none has looked);
        # where the first of those that it has not seen would have stood, when that one was received and the last was.
        self.aside = 0
        self._aside_seen = -1
        self._aside_at = self._aside_since_ns = self._aside_until_ns = 0
        self._breaks: list[Break] = []
        self._items: deque[tuple[bytes, bool, int, Any]] = deque()
        self._initialised = True

    @staticmethod
    def _check_bounds(capacity: int, max_bytes: int) -> None:
        if capacity < 0:
            raise ValueError(f"capacity must be non-negative, got {capacity}")
        if max_bytes < 0:
            raise ValueError(f"max_bytes must be non-negative, got {max_bytes}")

    @property
    def received(self) -> int:
        return self.delivered + self.dropped + len(self._items)

    @property
    def head(self) -> int:
        """The index of the oldest message, of all that were ever queued; with none queued, of the next one."""
        return self.delivered + self.dropped - self.aside

    @property
    def tail(self) -> int:
        """The index of the next message that will be queued."""
        return self.head + len(self._items)

    @property
    def heard(self) -> MessageRing:
        """The ring whose consumer takes what is queued in this one."""
        return self

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"MessageRing({len(self)} of {self.capacity or 'unbounded'} messages, dropped {self.dropped})"

    def __del__(self) -> None:
        tally = self.tally
        if tally is not None:
            tally.received += self.received
            tally.delivered += self.delivered
            tally.dropped += self.dropped + len(self._items)

    def accept(self, payload: bytes, binary: bool, received_ns: int, parsed: Any = NOT_PARSED) -> bool:
        """Queue one message; False when it is full and blocks. `parsed`: the payload's JSON, where it is known."""
        size = len(payload)
        items = self._items
        if len(items) >= self._most or self.nbytes + size > self._most_bytes:
            overflow = self.overflow
            # A blocking ring takes any message while it is empty: one too large for it would never get in otherwise.
            if overflow == "block":
                if items:
                    self.refused = True
                    return False
            elif overflow == "drop_newest" or size > self._most_bytes:
                self._turned_away(self.tail, received_ns)
                return True
            else:
                while len(items) >= self._most or self.nbytes + size > self._most_bytes:
                    self._drop_oldest()
        items.append((payload, binary, received_ns, parsed))
        self.nbytes += size
        return True

    def refuses(self, size: int) -> bool:
        """Whether there is no room for a message of `size` bytes, so that it must be offered again."""
        full = len(self._items) >= self._most or self.nbytes + size > self._most_bytes
        if full and self.overflow == "block" and self._items:
            self.refused = True
            return True
        return False

    def _turned_away(self, at: int, received_ns: int) -> None:
        """Count a message that is dropped without having stood at the head, where it would have had the index `at`."""
        if self.aside == self._aside_seen:
            self._aside_at = at
            self._aside_since_ns = received_ns
        if self._aside_seen >= 0:
            self._aside_until_ns = received_ns
        self.aside += 1
        self.dropped += 1

    @property
    def front_ns(self) -> int:
        """When the oldest message was received; 0 with none."""
        return self._items[0][2] if self._items else 0

    def look_at_losses(self) -> tuple[int, int, int, int, int]:
        """`dropped`, `aside`, and where the first was lost of those aside that were not there at the last look.

        Where: the index of the message behind it, and when that first one and the last were received. That is noted
        from the first look on.
        """
        self._aside_seen = self.aside
        return self.dropped, self.aside, self._aside_at, self._aside_since_ns, self._aside_until_ns

    def note_break(self, at: int, expected: int, got: int, missing: int, since_ns: int, until_ns: int) -> None:
        """Remember that messages are missing before the one of index `at`; see `take_breaks()`."""
        if len(self._breaks) < MOST_BREAKS:
            self._breaks.append((at, expected, got, missing, since_ns, until_ns))
            return
        at, expected, _, before, since_ns, _ = self._breaks[-1]
        missing = -1 if missing < 0 or before < 0 else min(before + missing, MOST_MISSING)
        self._breaks[-1] = (at, expected, got, missing, since_ns, until_ns)

    def take_breaks(self) -> list[Break]:
        """Where sequence numbers said that messages are missing, since the last call; in order.

        Each with the index of the message that follows (see `head`), the number that was expected and the one that
        came, how many are missing (-1: unknown), and when the message before and the one behind were received. What is
        noted while nobody takes is bounded: the last break then stands for those after it too.
        """
        breaks, self._breaks = self._breaks, []
        return breaks

    def _drop_oldest(self) -> None:
        self.nbytes -= len(self._items.popleft()[0])
        self.dropped += 1

    def set_bounds(self, capacity: int, max_bytes: int) -> None:
        """Other bounds from now on, 0 for none; what is queued beyond them stays. Raises ValueError as `__init__` does.

        ValueError also unless it blocks: the others would have to drop.
        """
        if self.overflow != "block":
            raise ValueError(f"only a ring that blocks can be given other bounds, not one with {self.overflow!r}")
        self._check_bounds(capacity, max_bytes)
        self.capacity = capacity
        self.max_bytes = max_bytes
        self._most = capacity or sys.maxsize
        self._most_bytes = max_bytes or sys.maxsize
        if self.refused:
            self._made_room()

    def stop_blocking(self) -> None:
        """From now on drop the newest where it would block: for the end, when nobody may make room any more."""
        if self.overflow == "block":
            self.overflow = "drop_newest"

    def wake(self) -> None:
        """Call `waker` if a consumer waits and there is something for it."""
        if self.waiting and (self._items or self._breaks) and self.waker is not None:
            self.waiting = False
            self.waker()

    def take(self) -> tuple[bytes, bool, int]:
        """The oldest message: payload, whether it is binary, when it was received (ns). IndexError when empty."""
        return self.take_parsed()[:3]

    def take_parsed(self) -> tuple[bytes, bool, int, Any]:
        """As `take()`, and the parsed payload, `NOT_PARSED` where it was not."""
        if not self._items:
            raise IndexError("take() from an empty MessageRing")
        item = self._items.popleft()
        self.nbytes -= len(item[0])
        self.delivered += 1
        if self.refused:
            self._made_room()
        return item

    def clear(self) -> int:
        """Drop everything that is queued; returns how many messages that were."""
        count = len(self._items)
        self._items.clear()
        self.nbytes = 0
        self.dropped += count
        if self.refused:
            self._made_room()
        return count

    def _made_room(self) -> None:
        """Call `on_room` when a ring that refused a message is half empty again."""
        few = not self.capacity or len(self._items) * 2 <= self.capacity
        small = not self.max_bytes or self.nbytes * 2 <= self.max_bytes
        if few and small:
            self.refused = False
            if self.on_room is not None:
                self.on_room()
