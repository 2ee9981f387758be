"""Routes each message to the ring of its channel.

The Python twin of `router_c.pyx`, and its specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .key_grammar import NOT_PARSED, is_plain
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
        # channel -> (how it stands in a message, its ring)
        self._rings: dict[str, tuple[bytes | None, MessageRing]] = {}
        # The usual message of many feeds begins literally with `_lead`, and then its channel. What is found here by its
        # bytes need not be looked for with `key`, which could only say the same.
        self._lead = key.lead
        self._literal: dict[bytes, tuple[bytes | None, MessageRing]] = {}
        self._wakes: list[MessageRing] = []

    def __len__(self) -> int:
        return len(self._rings)

    def __contains__(self, channel: object) -> bool:
        return channel in self._rings

    def add(self, channel: str, ring: MessageRing) -> None:
        """Route `channel` to `ring`. Raises ValueError when the channel has a ring already."""
        if channel in self._rings:
            raise ValueError(f"channel {channel!r} has a ring already")
        literal = _literal(channel)
        self._rings[channel] = entry = (literal, ring)
        if literal is not None:
            self._literal[literal] = entry

    def remove(self, channel: str) -> bool:
        """Stop routing `channel`; False when it was not routed."""
        literal, ring = self._rings.pop(channel, (None, None))
        if literal is not None:
            del self._literal[literal]
        return ring is not None

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Route one message; False when its ring has no room and blocks."""
        entry, lead = None, self._lead
        parsed: object = NOT_PARSED
        if lead and payload.__class__ is bytes and payload.startswith(lead):
            start = len(lead)
            stop = payload.find(b'"', start)
            if stop > 0:
                entry = self._literal.get(payload[start:stop])
        if entry is None:
            channel, parsed = self.key.find_parsed(payload)
            entry = self._rings.get(channel) if channel is not None else None
            if entry is None:
                self.unroutable += 1
                if self.spill is not None:
                    self.spill.accept(payload, binary, received_ns)
                return True
        ring = entry[1]
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


def _literal(channel: str) -> bytes | None:
    """How the channel stands in a message between quotation marks; None if with escapes only."""
    try:
        name = channel.encode()
    except UnicodeEncodeError:
        return None
    return name if is_plain(name) else None
