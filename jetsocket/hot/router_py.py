"""Routes each message to the ring of its channel.

The Python twin of `router_c.pyx`, and its specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ring_py import MessageRing, Sink

if TYPE_CHECKING:
    from .keys_py import ChannelKey


class Router(Sink):
    """A sink that finds a message's channel by `key` and queues the message in the ring of that channel.

    A message with no channel, or with one that has no ring, is unroutable: it goes to `spill` where one is given.
    `routed + unroutable` is the number of messages taken.
    """

    _initialised = False

    def __init__(self, key: ChannelKey, spill: MessageRing | None = None) -> None:
        if self._initialised:
            raise TypeError("a Router is initialised once")
        self._initialised = True
        self.key = key
        self.spill = spill
        self.routed = 0
        self.unroutable = 0
        self._rings: dict[str, MessageRing] = {}
        self._wakes: list[MessageRing] = []

    def __len__(self) -> int:
        return len(self._rings)

    def __contains__(self, channel: object) -> bool:
        return channel in self._rings

    def add(self, channel: str, ring: MessageRing) -> None:
        """Route `channel` to `ring`. Raises ValueError when the channel has a ring already."""
        if channel in self._rings:
            raise ValueError(f"channel {channel!r} has a ring already")
        self._rings[channel] = ring

    def remove(self, channel: str) -> bool:
        """Stop routing `channel`; False when it was not routed."""
        return self._rings.pop(channel, None) is not None

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Route one message; False when its ring has no room and blocks."""
        channel, parsed = self.key.find_parsed(payload)
        ring = self._rings.get(channel) if channel is not None else None
        if ring is None:
            self.unroutable += 1
            if self.spill is not None:
                self.spill.accept(payload, binary, received_ns)
            return True
        if not ring.accept(payload, binary, received_ns, parsed):
            return False
        self.routed += 1
        if ring.waiting:
            self._wakes.append(ring)
        return True

    def wake(self) -> None:
        """Wake the consumers of every ring that got its first messages."""
        if self._wakes:
            wakes, self._wakes = self._wakes, []
            for ring in wakes:
                ring.wake()
        if self.spill is not None:
            self.spill.wake()
