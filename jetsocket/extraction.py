"""Routing by a function of the decoded message: the flexible, slow way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .hot import MessageRing
from .hot.ring_py import MessageRing as ObjectRing
from .hot.stream_py import undecodable
from .reporting import FAILURES


class ExtractorRouter:
    """Decodes every message, asks `extract` for its channel, and queues the decoded object there.

    A message that cannot be decoded, or for which `extract` raises or gives something else than a str or None, is
    unroutable; `on_trouble(error)` is told why, each time. Messages come through `sink`, a ring that is emptied after
    every read. `on_unroutable(payload, binary, received_ns)` sees what belongs to no channel; it may be set later.
    """

    def __init__(
        self,
        extract: Callable[[Any], str | None],
        decode: Callable[[bytes], Any],
        on_trouble: Callable[[BaseException], None],
        on_unroutable: Callable[[bytes, bool, int], None] | None = None,
    ) -> None:
        self.routed = 0
        self.unroutable = 0
        self.sink = MessageRing()
        self.sink.waker = self._drain
        self.sink.waiting = True
        self._extract = extract
        self._decode = decode
        self._on_trouble = on_trouble
        self.on_unroutable = on_unroutable
        self._rings: dict[str, tuple[ObjectRing, ...]] = {}

    def add(self, channel: str, ring: ObjectRing) -> None:
        """Route `channel` to `ring`."""
        if channel in self._rings:
            raise ValueError(f"channel {channel!r} has a ring already")
        self._rings[channel] = (ring,)

    def add_ring(self, channel: str, ring: ObjectRing) -> None:
        """Queue what `channel` brings in `ring` as well."""
        self._rings[channel] += (ring,)

    def remove_ring(self, channel: str, ring: ObjectRing) -> None:
        """Queue no more in `ring` of what `channel` brings."""
        self._rings[channel] = tuple(other for other in self._rings[channel] if other is not ring)

    def remove(self, channel: str) -> bool:
        """Stop routing `channel`; False when it was not routed."""
        return self._rings.pop(channel, None) is not None

    def _drain(self) -> None:
        sink = self.sink
        woken: dict[int, ObjectRing] = {}
        try:
            while len(sink):
                payload, binary, received_ns = sink.take()
                value, channel = self._read(payload)
                rings = () if channel is None else self._rings.get(channel, ())
                if not rings:
                    self.unroutable += 1
                    if self.on_unroutable is not None:
                        self.on_unroutable(payload, binary, received_ns)
                    continue
                self.routed += 1
                for ring in rings:
                    ring.accept(payload, binary, received_ns, value)
                    if ring.waiting:
                        woken[id(ring)] = ring
        finally:
            sink.waiting = True
            for ring in woken.values():
                ring.wake()

    def _read(self, payload: bytes) -> tuple[Any, str | None]:
        try:
            value = payload if self._decode is bytes else self._decode_one(payload)
            channel: object = self._extract(value)
            if channel is not None and not isinstance(channel, str):
                found = f"{type(channel).__name__} {channel!r}"
                raise TypeError(f"channel_extractor must return a str or None, got {found}")
        except FAILURES as error:  # the user's function: one message is lost by it, not the stream
            self._on_trouble(error)
            return None, None
        return value, channel

    def _decode_one(self, payload: bytes) -> Any:
        try:
            return payload.decode() if self._decode is str else self._decode(payload)
        except FAILURES as error:
            raise undecodable(error, payload, None) from error
