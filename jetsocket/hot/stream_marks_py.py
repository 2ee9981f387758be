"""What a stream's consumer is given between messages: by the index of the message that it comes before.

Both twins use it: few streams have any, and few messages one before them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

# In place of what there is not, where None may be.
NOTHING: Final = object()
NEVER: Final = 2**64 - 1

# (kind, how many messages, since_ns, until_ns) -> what the consumer is given; see MessageStream.watch_losses(). That of
# a group is told the channel, too: see GroupStream.
Make: TypeAlias = Callable[..., Any]


class Marks:
    """Things in the order in which they are given: each before the message of its index, or at the end."""

    __slots__ = ("_aside", "_channel_at", "_dropped", "_items", "_make")

    def __init__(self) -> None:
        self._items: deque[tuple[int, Any]] = deque()
        self._make: Make | None = None
        self._dropped = self._aside = 0
        self._channel_at: Callable[[int], str | None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def at(self) -> int:
        """The index that the first one stands before."""
        return self._items[0][0] if self._items else NEVER

    @property
    def first(self) -> Any:
        return self._items[0][1]

    def put(self, at: int, item: Any) -> None:
        """Behind all of this index."""
        items = self._items
        place = len(items)
        while place and items[place - 1][0] > at:
            place -= 1
        items.insert(place, (at, item))

    def pop(self) -> Any:
        """The first one."""
        return self._items.popleft()[1]

    def watch(self, ring: Any, make: Make | None) -> None:
        """From now on ask `make` for what stands for messages that `ring` loses; None: no more."""
        self._make = make
        self._channel_at = getattr(ring, "channel_at", None)
        self._dropped, self._aside = ring.look_at_losses()[:2]
        ring.take_breaks()

    def look(self, ring: Any, taken_ns: int) -> None:
        """Put in what stands for messages that are lost, and were not when it was looked last.

        `taken_ns`: when the message was received that was taken last.
        """
        dropped, aside, at, since_ns, until_ns = ring.look_at_losses()
        turned_away, self._aside = aside - self._aside, aside
        fallen, self._dropped = dropped - self._dropped - turned_away, dropped
        breaks = ring.take_breaks()
        if fallen:
            self._put(ring.head, "overflow", fallen, taken_ns, ring.front_ns)
        if turned_away and ring.overflow == "latest":
            # What has taken the place of a queued message came behind all that was marked since.
            self._move_before(at)
        if turned_away:
            self._put(at, "overflow", turned_away, since_ns, until_ns)
        for at, _, _, missing, since_ns, until_ns in breaks:
            self._put(at, "sequence", missing, since_ns, until_ns)

    def _move_before(self, most: int) -> None:
        """None of the things may stand behind that index."""
        moved: deque[tuple[int, Any]] = deque()
        for place, item in self._items:
            moved.append((place if place < most else most, item))  # noqa: FURB136  # CPython 3.11: no closure
        self._items = moved

    def _put(self, at: int, kind: str, count: int, since_ns: int, until_ns: int) -> None:
        if self._make is None:
            return
        facts: tuple[object, ...] = (kind, count, since_ns, until_ns)
        if self._channel_at is not None:
            facts += (self._channel_at(at) if kind == "sequence" else None,)
        try:
            item = self._make(*facts)
        except Exception as error:  # noqa: BLE001  # foreign code: raised where its item would have come
            item = error
        if item is not NOTHING:
            self.put(at, item)
