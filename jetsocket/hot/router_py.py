"""Routes each message to the ring of its channel.

The Python twin of `router_c.pyx`, and its specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .key_grammar import NOT_PARSED, is_plain
from .ring_py import MessageRing, Sink
from .watch_py import claim

if TYPE_CHECKING:
    from .keys_py import ChannelKey
    from .watch_py import Sequence, Step, Watch


class _Route:
    """Where a channel's messages go."""

    __slots__ = ("literal", "others", "plain", "ring", "watch")

    def __init__(self, literal: bytes | None, ring: MessageRing, watch: Watch | None) -> None:
        # How the channel stands in a message.
        self.literal = literal
        self.watch = watch
        self.lead_to([ring])

    def lead_to(self, rings: list[MessageRing]) -> None:
        self.ring, *self.others = rings
        # The usual channel: there is nothing else to do.
        self.plain = self.watch is None and not self.others

    @property
    def rings(self) -> list[MessageRing]:
        return [self.ring, *self.others]

    def refuses(self, payload: bytes) -> bool:
        """Whether some ring has no room for the message."""
        if self.watch is not None and self.watch.skips(payload):
            return False
        return any(ring.refuses(len(payload)) for ring in self.rings)


class Router(Sink):
    """A sink that finds a message's channel by `key` and queues the message in the ring of that channel.

    A message with no channel, or with one that has no ring, is unroutable: it goes to `spill` where one is given.
    `routed + unroutable` is the number of messages taken. A channel may have several rings, each of which gets every
    message; none gets one before there is room in all of them that block.

    `sequence`: numbers that run through all messages, unroutable ones too. A break is noted on every ring.
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
        self._sequence: Sequence | None = None
        self._routes: dict[str, _Route] = {}
        # The usual message of many feeds begins literally with `_lead`, and then its channel. What is found here by its
        # bytes need not be looked for with `key`, which could only say the same.
        self._lead = key.lead
        self._literal: dict[bytes, _Route] = {}
        self._wakes: list[MessageRing] = []

    def __len__(self) -> int:
        return len(self._routes)

    def __contains__(self, channel: object) -> bool:
        return channel in self._routes

    @property
    def sequence(self) -> Sequence | None:
        return self._sequence

    @sequence.setter
    def sequence(self, value: Sequence | None) -> None:
        if value is self._sequence:
            return
        if value is not None:
            claim(value)
        if self._sequence is not None:
            self._sequence.claimed = False
        self._sequence = value

    def add(self, channel: str, ring: MessageRing, watch: Watch | None = None) -> None:
        """Route `channel` to `ring`. Raises ValueError when the channel has a ring already, or the watch a channel."""
        if channel in self._routes:
            raise ValueError(f"channel {channel!r} has a ring already")
        if watch is not None:
            claim(watch)
        literal = _literal(channel)
        self._routes[channel] = route = _Route(literal, ring, watch)
        if literal is not None:
            self._literal[literal] = route

    def add_ring(self, channel: str, ring: MessageRing) -> None:
        """Queue what `channel` brings in `ring` as well. ValueError: it has no ring yet, or this one already."""
        route = self._routes.get(channel)
        if route is None:
            raise ValueError(f"channel {channel!r} has no ring yet")
        if ring in route.rings:
            raise ValueError(f"channel {channel!r} has that ring already")
        route.lead_to([*route.rings, ring])

    def remove_ring(self, channel: str, ring: MessageRing) -> bool:
        """Queue no more in `ring` of what `channel` brings; with its last ring the channel goes. False: it has not."""
        route = self._routes.get(channel)
        if route is None or ring not in route.rings:
            return False
        if not route.others:
            return self.remove(channel)
        route.lead_to([other for other in route.rings if other is not ring])
        return True

    def remove(self, channel: str) -> bool:
        """Stop routing `channel`; False when it was not routed."""
        route = self._routes.pop(channel, None)
        if route is None:
            return False
        if route.literal is not None:
            del self._literal[route.literal]
        if route.watch is not None:
            route.watch.claimed = False
        return True

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Route one message; False when one of its rings has no room and blocks."""
        route, lead = None, self._lead
        parsed: object = NOT_PARSED
        if lead and payload.__class__ is bytes and payload.startswith(lead):
            start = len(lead)
            stop = payload.find(b'"', start)
            if stop > 0:
                route = self._literal.get(payload[start:stop])
        if route is None:
            channel, parsed = self.key.find_parsed(payload)
            route = self._routes.get(channel) if channel is not None else None
        if self._sequence is not None and (step := self._sequence.look(payload)) is not None:
            if route is not None and route.refuses(payload):
                return False
            self._go_on(self._sequence, step, received_ns)
        if route is None:
            self.unroutable += 1
            if self.spill is not None:
                self.spill.accept(payload, binary, received_ns)
            return True
        if not route.plain:
            return self._deliver(route, payload, binary, received_ns, parsed)
        ring = route.ring
        if not ring.accept(payload, binary, received_ns, parsed):
            return False
        self.routed += 1
        if ring.waiting:
            self._wakes.append(ring)
        return True

    def _deliver(self, route: _Route, payload: bytes, binary: bool, received_ns: int, parsed: Any) -> bool:
        """To a channel that has a watch, or several rings."""
        watch, step = route.watch, None
        if watch is not None and watch.skips(payload):
            watch.skipped += 1
            self.unroutable += 1
            return True
        if route.refuses(payload):
            return False
        if watch is not None and watch.sequence is not None and (step := watch.sequence.look(payload)) is not None:
            if step.broken:
                for ring in route.rings:
                    _note(ring, step, watch.sequence.last_ns, received_ns)
            watch.sequence.go_on(step, received_ns)
        for ring in route.rings:
            ring.accept(payload, binary, received_ns, parsed)
            if ring.waiting:
                self._wakes.append(ring)
        self.routed += 1
        return True

    def _go_on(self, sequence: Sequence, step: Step, received_ns: int) -> None:
        """The router's own sequence: a break in it is one of every channel."""
        if step.broken:
            for ring in {id(ring.heard): ring for route in self._routes.values() for ring in route.rings}.values():
                _note(ring, step, sequence.last_ns, received_ns)
                if ring.waiting:
                    self._wakes.append(ring)
        sequence.go_on(step, received_ns)

    def wake(self) -> None:
        """Wake the consumers of every ring that got its first messages."""
        if self._wakes:
            wakes, self._wakes = self._wakes, []
            for ring in wakes:
                ring.wake()
        if self.spill is not None:
            self.spill.wake()


def _note(ring: MessageRing, step: Step, since_ns: int, until_ns: int) -> None:
    heard = ring.heard
    heard.note_break(heard.tail, step.expected, step.got, step.missing, since_ns, until_ns)


def _literal(channel: str) -> bytes | None:
    """How the channel stands in a message between quotation marks; None if with escapes only."""
    try:
        name = channel.encode()
    except UnicodeEncodeError:
        return None
    return name if is_plain(name) else None
