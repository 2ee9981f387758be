"""What rings, sieves, routers and streams are to do, with plain lists: to hold the real ones against.

The same names and signatures, as far as a fuzzer uses them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Item = tuple[bytes, bool, int]


class DecodeError(Exception):
    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


class TimeoutError(Exception):
    """Named as the real one: they are compared by that."""


class InvalidStateError(Exception):
    pass


class Tally:
    def __init__(self) -> None:
        self.received = self.delivered = self.dropped = 0


class MessageRing:
    def __init__(self, capacity: int = 0, *, max_bytes: int = 0, overflow: str = "drop_oldest") -> None:
        self.capacity, self.max_bytes, self.overflow = capacity, max_bytes, overflow
        self.items: list[Item] = []
        self.nbytes = self.received = self.delivered = self.dropped = 0
        self.waiting = self.refused = False
        self.waker: Callable[[], object] | None = None
        self.on_room: Callable[[], object] | None = None
        self.tally: Tally | None = None

    def __len__(self) -> int:
        return len(self.items)

    def _fits(self, count: int, nbytes: int) -> bool:
        return count <= (self.capacity or 10**9) and nbytes <= (self.max_bytes or 10**12)

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        size = len(payload)
        if not self._fits(len(self.items) + 1, self.nbytes + size):
            if self.overflow == "block" and self.items:
                self.refused = True
                return False
            if self.overflow == "drop_newest" or (self.overflow == "drop_oldest" and not self._fits(1, size)):
                self.received += 1
                self.dropped += 1
                return True
        self.received += 1
        self.items.append((payload, binary, received_ns))
        self.nbytes += size
        while self.overflow == "drop_oldest" and not self._fits(len(self.items), self.nbytes):
            self._pop()
            self.dropped += 1
        return True

    def _pop(self) -> Item:
        item = self.items.pop(0)
        self.nbytes -= len(item[0])
        return item

    def take(self) -> Item:
        if not self.items:
            raise IndexError("take() from an empty MessageRing")
        item = self._pop()
        self.delivered += 1
        self._made_room()
        return item

    def clear(self) -> int:
        count = len(self.items)
        self.dropped += count
        self.items = []
        self.nbytes = 0
        self._made_room()
        return count

    def _made_room(self) -> None:
        if self.refused and self._fits(2 * len(self.items), 2 * self.nbytes):
            self.refused = False
            if self.on_room is not None:
                self.on_room()

    def stop_blocking(self) -> None:
        if self.overflow == "block":
            self.overflow = "drop_newest"

    def wake(self) -> None:
        if self.waiting and self.items and self.waker is not None:
            self.waiting = False
            self.waker()

    def __del__(self) -> None:
        if self.tally is not None:
            self.tally.received += self.received
            self.tally.delivered += self.delivered
            self.tally.dropped += self.dropped + len(self.items)


class Sieve:
    def __init__(self, sink: Any, matches: Callable[[bytes], object]) -> None:
        self.sink, self.matches = sink, matches
        self.matched = 0
        self.error: Exception | None = None
        self.raised: BaseException | None = None

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        try:
            if self.matches(payload):
                self.matched += 1
                return True
        except Exception as error:  # noqa: BLE001  # any
            self.error = error
        except BaseException as error:  # noqa: BLE001  # any other
            self.raised = error
        taken: bool = self.sink.accept(payload, binary, received_ns)
        return taken

    def wake(self) -> None:
        raised, self.raised = self.raised, None
        self.sink.wake()
        if raised is not None:
            raise raised


class Router:
    """`key`: the name of the member that holds the channel."""

    def __init__(self, key: str, spill: MessageRing | None = None) -> None:
        self.key, self.spill = key, spill
        self.routed = self.unroutable = 0
        self.rings: dict[str, MessageRing] = {}
        self.touched: list[MessageRing] = []

    def __len__(self) -> int:
        return len(self.rings)

    def __contains__(self, channel: str) -> bool:
        return channel in self.rings

    def add(self, channel: str, ring: MessageRing) -> None:
        if channel in self.rings:
            raise ValueError(f"channel {channel!r} has a ring already")
        self.rings[channel] = ring

    def remove(self, channel: str) -> bool:
        return self.rings.pop(channel, None) is not None

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        try:
            channel = json.loads(payload)[self.key]
        except (ValueError, KeyError, TypeError):
            channel = None
        if channel not in self.rings:
            self.unroutable += 1
            if self.spill is not None:
                self.spill.accept(payload, binary, received_ns)
            return True
        ring = self.rings[channel]
        taken = ring.accept(payload, binary, received_ns)
        self.routed += taken
        if taken and ring.waiting and ring not in self.touched:
            self.touched.append(ring)
        return taken

    def wake(self) -> None:
        touched, self.touched = self.touched, []
        for ring in touched:
            ring.wake()
        if self.spill is not None:
            self.spill.wake()


class MessageStream:
    """With `take()` in place of what is awaited."""

    def __init__(self, ring: MessageRing, decode: Callable[[bytes], Any]) -> None:
        self.ring, self.decode = ring, decode
        self.ended = self.quiet = False
        self.error: BaseException | None = None
        self.deferred: DecodeError | None = None
        ring.waker = self.wake

    def wake(self) -> None:
        """Nobody waits."""

    def end(self, error: BaseException | None = None, *, quiet: bool = False) -> None:
        if not self.ended:
            self.ended, self.error, self.quiet = True, error, quiet
            self.ring.waker = None

    def reopen(self) -> None:
        self.ended, self.error = False, None
        self.ring.waker = self.wake

    def take(self, way: str, most: int) -> Any:
        """The ways are those of the fuzzer: "next", "message", "batches", "recv", "recv_batch"."""
        if self.deferred is None and not self.ring.items:
            if not self.ended:
                raise TimeoutError
            if way in ("next", "message", "batches") and (self.error is None or self.quiet):
                raise StopAsyncIteration
            raise self.error or InvalidStateError
        if self.deferred is not None:
            deferred, self.deferred = self.deferred, None
            raise deferred
        if way == "message":
            return self.ring.take()
        if way in ("next", "recv"):
            return self._decoded()
        # What is queued now: what a callback offers while it is taken is for the next batch.
        count = min(len(self.ring), most) - 1
        batch = [self._decoded()]
        try:
            while count > 0 and self.ring.items:
                batch.append(self._decoded())
                count -= 1
        except DecodeError as error:
            self.deferred = error
        return batch

    def _decoded(self) -> Any:
        payload = self.ring.take()[0]
        try:
            return self.decode(payload)
        except Exception:  # noqa: BLE001  # any
            raise DecodeError(payload) from None
