"""Data that come before it is known whose they are: kept until then, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .hot import ChannelKey
    from .routes import Routes

# Messages that wait for their channel; beyond that the oldest is handed on.
MOST_KEPT = 1000


class _Kept(NamedTuple):
    key: str
    payload: bytes
    binary: bool
    received_ns: int


class Early:
    """Of an exchange whose channels get their keys with the answer to a request (Bitfinex's numbers).

    What follows that answer at once is in the same read, and was sorted before anybody looked at the answer; and some
    data come before it. `router` has counted such a message as unroutable once, and counts it again when it is routed:
    `again` is how often. What turns out to be nobody's is handed on in its order, by
    `hand_on(payload, binary, received_ns)`.
    """

    def __init__(
        self, key: ChannelKey, router: Any, routes: Routes, hand_on: Callable[[bytes, bool, int], object]
    ) -> None:
        self.again = 0
        self._key = key
        self._router = router
        self._routes = routes
        self._hand_on = hand_on
        self._kept: deque[_Kept] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def route(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Route an unroutable message, if its channel is known by now."""
        key = self._key.find(payload)
        if key is None or key not in self._router:
            return False
        self._route(_Kept(key, payload, binary, received_ns))
        return True

    def keep(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Keep one that nobody has claimed, if it may be a channel's whose key is not known yet."""
        self.look()
        key = self._key.find(payload) if self._is_awaited() else None
        if key is None:
            return False
        self._kept.append(_Kept(key, payload, binary, received_ns))
        if len(self._kept) > MOST_KEPT:
            self._hand_on(*self._kept.popleft()[1:])
        return True

    def learned(self, key: str) -> None:
        """Data of a channel carry `key`: route what has come of it."""
        mine = [message for message in self._kept if message.key == key]
        if mine:
            self._kept = deque(message for message in self._kept if message.key != key)
            for message in mine:
                self._route(message)
        self.look()

    def look(self) -> None:
        """Some channel may have gone: hand on what waits, if no key is to be learned any more."""
        if self._kept and not self._is_awaited():
            self.clear()

    def _is_awaited(self) -> bool:
        return any(route.key is None for _, route in self._routes)

    def _route(self, message: _Kept) -> None:
        self.again += self._router.accept(message.payload, message.binary, message.received_ns) or self._crowd(message)

    def _crowd(self, message: _Kept) -> bool:
        """Route it to queues of which some are full and block, beyond their bounds: it was read already.

        So they hold at most what is kept here, and the rest of one read, beyond their bounds; nothing further is read
        before there is room. Who was kept from reading by such a queue is told to go on, and is refused again.
        """
        readers = next(route.readers for _, route in self._routes if route.key == message.key)
        rings = [reader.ring for reader, _ in readers if reader.ring.overflow == "block"]
        bounds = [(ring, ring.capacity, ring.max_bytes) for ring in rings]
        try:
            for ring in rings:
                ring.set_bounds(0, 0)
            return bool(self._router.accept(message.payload, message.binary, message.received_ns))
        finally:
            for ring, capacity, max_bytes in bounds:
                ring.set_bounds(capacity, max_bytes)

    def clear(self) -> None:
        """The connection is gone: the same keys mean others on the next, and what waits is nobody's."""
        while self._kept:
            self._hand_on(*self._kept.popleft()[1:])
