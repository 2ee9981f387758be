"""Rings in one of three worlds, the compiled one, the pure one or the modelled one, and what a fuzzer does to them.

`fuzz_ring.py` says what its bytes mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from . import ring_model
from .drawing import Draw
from .runner import twins

CAPACITIES = (0, 1, 2, 3, 4, 7, 8, 16, 17, 64, 100, 1000)
MAX_BYTES = (0, 0, 1, 10, 64, 100, 1000, 2000, 5000, 65_536, 100_000)
POLICIES = ("drop_oldest", "drop_newest", "block")
# Lengths of messages beside 0 to 191: about those of the compiled ring's chunks.
SIZES = (192, 255, 256, 1000, 1008, 1009, 1016, 1017, 1024, 2000, 4096, 16_384, 33_000, 65_520, 65_528, 65_529, 70_000)
NAMES = ("", "a", "b", "ab", "btcusdt@trade", "€", "x" * 70, *(f"s{number}" for number in range(40)))
# No input is given more to carry: messages, of the usual inputs and of those with many, and bytes.
MOST_MESSAGES = (800, 6000)
MOST_BYTES = 2**20
BULK = bytes(number * number >> 3 & 255 for number in range(66_000)) * 2


class Interruption(BaseException):
    """As Ctrl-C, in foreign code."""


def is_answer(payload: bytes) -> bool:
    """For the sieve."""
    if len(payload) % 16 == 14:
        raise ValueError(len(payload))
    if len(payload) % 16 == 15:
        raise Interruption
    return len(payload) % 16 == 13


def decoded(payload: bytes) -> int:
    """For the stream."""
    if len(payload) % 8 == 7:
        raise ValueError(len(payload))
    return len(payload)


def named(name: str, size: int, number: int) -> bytes:
    """A message of the channel `name`, of about `size` bytes."""
    text = f'{{"n":{number},"s":"{name}","p":"'.encode()
    return text + b"p" * (size - len(text) - 2) + b'"}'


def drained(ring: Any, most: int) -> list[Any]:
    """What is taken of it: callbacks may take some, or add to it."""
    taken = []
    while most and len(ring):
        most -= 1
        taken.append(ring.take())
    return taken


def step(awaitable: Any) -> Any:
    """What an awaitable gives that has nothing to wait for; it may let the event loop run."""
    waiting = awaitable.__await__()
    try:
        for _ in range(3):
            assert next(waiting) is None, "it waits"
    except StopIteration as found:
        return found.value
    raise AssertionError("it goes on waiting")


def take(stream: Any, way: str, most: int) -> Any:
    if isinstance(stream, ring_model.MessageStream):
        return stream.take(way, most)
    if way in ("next", "message", "batches") and not stream.ended and not len(stream.ring):
        # There is no event loop to wait in; a message whose decoding failed is given all the same.
        way = "recv" if way == "next" else "recv_batch"
    if way == "next":
        return step(anext(stream))
    if way == "message":
        message = step(anext(stream.messages()))
        return message.data, message.binary, message.received_ns
    if way == "batches":
        return step(anext(stream.batches(most)))
    if way == "recv":
        return step(stream.recv(0))
    return step(stream.recv_batch(most, 0))


@cache
def worlds() -> tuple[SimpleNamespace, SimpleNamespace, SimpleNamespace]:
    """The classes: compiled, pure, modelled."""
    made = []
    for turn in range(2):
        rooms = ("ring", "sieve", "router", "keys", "stream")
        ring, sieve, router, keys, stream = (twins(room)[turn] for room in rooms)
        made.append(
            SimpleNamespace(
                MessageRing=ring.MessageRing,
                Tally=ring.Tally,
                Sieve=sieve.Sieve,
                Router=router.Router,
                MessageStream=stream.MessageStream,
                key=keys.ChannelKey("s"),
            )
        )
    return made[0], made[1], SimpleNamespace(**vars(ring_model), key="s")


class Play:
    """One world's rings, and what becomes of them operation by operation."""

    def __init__(self, world: SimpleNamespace, draw: Draw) -> None:
        self.world, self.draw = world, draw
        options = draw.byte()
        self.tally = world.Tally() if options & 8 else None
        self.many = options >= 0xF0
        self.calls: list[tuple[str, int]] = []
        self.number = self.load = self.peak = 0
        self.makings = [(draw.byte(), draw.byte()) for _ in range(3)]
        self.rings: list[Any] = [None] * 3
        # Of the operation that is being done.
        self.which = self.extra = 0
        for which in range(3):
            self._make(which)
        self.router = world.Router(world.key, self.rings[2]) if options & 2 else None
        entry = self.router if self.router is not None else self.rings[0]
        self.sieve = world.Sieve(entry, is_answer) if options & 1 else None
        self.entry = entry if self.sieve is None else self.sieve
        self.stream = world.MessageStream(self.rings[0], decoded) if options & 4 else None

    def _make(self, which: int) -> None:
        shape, bound = self.makings[which]
        ring = self.world.MessageRing(
            CAPACITIES[shape // 3 % len(CAPACITIES)],
            max_bytes=MAX_BYTES[bound % len(MAX_BYTES)],
            overflow=POLICIES[shape % 3],
        )
        ring.tally = self.tally
        ring.waker = self._callback("waker", which, 0)
        ring.on_room = self._callback("on_room", which, 0)
        self.rings[which] = ring

    def _callback(self, kind: str, which: int, act: int) -> Callable[[], None]:
        """Notes that it was called, and may do something to its ring: take, offer, clear."""

        def call() -> None:
            self.calls.append((kind, which))
            ring = self.rings[which]
            if act == 1 and len(ring):
                self.calls.append((repr(ring.take()), which))
            elif act == 2:
                self.calls.append((f"offered {ring.accept(b'again', False, which)}", which))
            elif act == 3:
                self.calls.append((f"cleared {ring.clear()}", which))

        return call

    def payload(self, size: int) -> bytes:
        """The next message of that size; the same in every world."""
        self.number += 1
        return BULK[self.number : self.number + size]

    def may_carry(self, size: int, count: int = 1) -> bool:
        self.load += size * count
        return self.number + count <= MOST_MESSAGES[self.many] and self.load <= MOST_BYTES

    def size(self) -> int:
        code = self.draw.byte()
        return code if code < 192 else SIZES[(code - 192) % len(SIZES)]

    @property
    def ring(self) -> Any:
        return self.rings[self.which]

    def play(self) -> tuple[Any, ...]:
        """Do the next operation; what came of it."""
        code = self.draw.byte()
        self.which, self.extra = (code >> 4 & 3) % 3, code >> 6
        operation = OPERATIONS[code & 15]
        try:
            result = operation(self)
        except (Exception, Interruption) as error:  # noqa: BLE001  # compared, whatever it is
            result = type(error).__name__, getattr(error, "raw", None)
        calls, self.calls = self.calls, []
        # No ring in a local name: an error's traceback might keep it beyond its time.
        lengths = tuple(map(len, self.rings))
        self.peak = max(self.peak, *lengths)
        return operation.__name__, result, calls, lengths, self._state(self.ring)

    @staticmethod
    def _state(ring: Any) -> tuple[Any, ...]:
        return ring.nbytes, ring.received, ring.delivered, ring.dropped, ring.refused, ring.waiting, ring.overflow

    def end(self) -> tuple[Any, ...]:
        """All that can be told of it in the end, and what is still queued."""
        found: tuple[Any, ...] = tuple(map(self._state, self.rings))
        if self.router is not None:
            found = *found, self.router.routed, self.router.unroutable, len(self.router)
        if self.sieve is not None:
            found = *found, self.sieve.matched, repr(self.sieve.error)
        if self.stream is not None:
            found = *found, self.stream.ended, repr(self.stream.error)
        return *found, *(drained(ring, -1) for ring in self.rings), self.calls

    # The operations.

    def offer(self) -> object:
        """To where messages go; with a router, of a channel or of none."""
        size = self.size()
        if self.router is None or self.extra & 2:
            payload = self.payload(size)
        else:
            self.number += 1
            payload = named(self.draw.chosen(NAMES), size, self.number)
        if not self.may_carry(size):
            return None
        return self.entry.accept(payload, bool(self.extra & 1), self.number << 40)

    def put(self) -> object:
        size = self.size()
        if not self.may_carry(size):
            return None
        return self.ring.accept(self.payload(size), bool(self.extra & 1), -self.number)

    def burst(self) -> object:
        size, count = self.size(), self.draw.byte() * (48 if self.many else 1) // 8
        if not self.may_carry(size, count):
            return None
        sink = self.entry if self.extra & 2 else self.ring
        return [sink.accept(self.payload(size), bool(self.extra & 1), self.number) for _ in range(count)]

    def take(self) -> object:
        return [self.ring.take() for _ in range(self.extra + 1)]

    def drain(self) -> object:
        return drained(self.ring, self.draw.byte() * (self.extra + 1) ** 2)

    def clear(self) -> object:
        return self.ring.clear()

    def expect(self) -> object:
        self.ring.waiting = self.extra != 0
        return None

    def wake(self) -> object:
        return self.entry.wake()

    def wake_ring(self) -> object:
        return self.ring.wake()

    def stop_blocking(self) -> object:
        return self.ring.stop_blocking()

    def renew(self) -> object:
        """Another ring in its place; the old one is gone unless something holds it."""
        if self.which:
            self._make(self.which)
        elif self.extra:
            self.rings[0].tally = self.tally if self.extra & 1 else None
        return None if self.tally is None else (self.tally.received, self.tally.delivered, self.tally.dropped)

    def _names(self, many: int) -> list[str]:
        first = self.draw.below(len(NAMES))
        return [NAMES[(first + i) % len(NAMES)] for i in range(many if self.extra == 3 else 1)]

    def add(self) -> object:
        """A channel, or many."""
        names = self._names(16)
        if self.router is None:
            return None
        for name in names:
            if name not in self.router or len(names) == 1:
                self.router.add(name, self.ring)
        return [name in self.router for name in NAMES]

    def remove(self) -> object:
        """A channel, or several; the others must still be found."""
        names = self._names(4)
        if self.router is None:
            return None
        removed = [self.router.remove(name) for name in names]
        self.router.wake()
        # The compiled router wakes that ring at once, the pure one with the others.
        self.calls.sort()
        # With few channels there is nothing that a removal could have hidden.
        looked = NAMES if any(removed) and len(self.router) > 4 else ()
        found = [self.router.accept(named(name, 20, 0), False, 0) for name in looked]
        return removed, found, self.router.routed, self.router.unroutable

    def consume(self) -> object:
        code = self.draw.byte()
        if self.stream is None:
            return None
        if self.extra < 3:
            return take(self.stream, ("next", "message", "batches", "recv", "recv_batch")[code % 5], 1 + (code >> 3))
        if code & 4:
            self.stream.reopen()
        else:
            self.stream.end(OSError("gone") if code & 1 else None, quiet=bool(code & 2))
        return None

    def call_back(self) -> object:
        code = self.draw.byte()
        self.ring.waker = self._callback("waker", self.which, code & 3) if code & 4 else None
        self.ring.on_room = self._callback("on_room", self.which, code >> 4 & 3) if code & 8 else None
        return None


OPERATIONS: tuple[Callable[[Play], object], ...] = (
    *(Play.offer, Play.offer, Play.put, Play.burst, Play.take, Play.drain, Play.clear, Play.expect),
    *(Play.wake, Play.wake_ring, Play.stop_blocking, Play.renew, Play.add, Play.remove, Play.consume, Play.call_back),
)
