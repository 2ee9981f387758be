"""A queue that keeps no more than the newest message of each key: conflation.

The Python twin of `latest_c.pyx`, and its specification.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .key_grammar import NOT_PARSED
from .ring_py import MessageRing

if TYPE_CHECKING:
    from .keys_py import ChannelKey
    from .ring_py import Break


class LatestRing(MessageRing):
    """A queue of the newest message of each `key`, which is read from the message; without a key, of the newest alone.

    A message takes the place of the one of its key that is still queued, in the order too: a busy key keeps no other
    from its turn. What is replaced counts as `dropped`, and as `conflated`. Messages that have no key share one.

    `capacity` (keys that are queued) and `max_bytes` (of payloads) bound it; 0 means unbounded. Beyond, the key that is
    queued longest goes, but never for a message of its own; a message over `max_bytes` goes itself.

    Raises ValueError for negative bounds.
    """

    def __init__(self, capacity: int = 0, *, max_bytes: int = 0, key: ChannelKey | None = None) -> None:
        super().__init__(capacity, max_bytes=max_bytes)
        self.overflow = "latest"
        self.key = key
        self.conflated = 0
        # By key, None for what has none. To replace one leaves it in its place.
        self._pending: OrderedDict[str | None, tuple[bytes, bool, int, Any]] = OrderedDict()
        # As far as it is asked how many there are, and whether there are any.
        self._items = self._pending  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LatestRing({len(self)} of {self.capacity or 'unbounded'} keys, conflated {self.conflated})"

    def accept(self, payload: bytes, binary: bool, received_ns: int, parsed: Any = NOT_PARSED) -> bool:
        """Queue one message. `parsed`: the payload's JSON, where it is known."""
        size = len(payload)
        key = None if self.key is None else self.key.find(payload)
        if size > self._most_bytes:
            self._turned_away(self.tail, received_ns)
            return True
        former = self._pending.get(key)
        if former is not None:
            self.nbytes -= len(former[0])
            self.conflated += 1
            self._turned_away(self.head, received_ns)
        while self.nbytes + size > self._most_bytes or (former is None and len(self._pending) >= self._most):
            self._drop_oldest_but(key, received_ns)
        self._pending[key] = payload, binary, received_ns, parsed
        self.nbytes += size
        return True

    @property
    def front_ns(self) -> int:
        """When the oldest message was received; 0 with none."""
        return next(iter(self._pending.values()))[2] if self._pending else 0

    def take_breaks(self) -> list[Break]:
        """As of any ring, but for where: before all that is queued, as what follows a break may be in any place."""
        head = self.head
        return [(head, *found[1:]) for found in super().take_breaks()]

    def _drop_oldest_but(self, key: str | None, received_ns: int) -> None:
        oldest = iter(self._pending)
        found = next(oldest)
        if found == key:
            # The newest of that key takes its place: it does not go for itself.
            found = next(oldest)
            self._turned_away(self.head, received_ns)
        else:
            self.dropped += 1
        self.nbytes -= len(self._pending.pop(found)[0])

    def take_parsed(self) -> tuple[bytes, bool, int, Any]:
        """As `take()`, and the parsed payload, `NOT_PARSED` where it was not."""
        if not self._pending:
            raise IndexError("take() from an empty MessageRing")
        _, item = self._pending.popitem(last=False)
        self.nbytes -= len(item[0])
        self.delivered += 1
        return item
