"""More scenes of scarcity.py: watches, several rings a channel, and marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from .conftest import Twin

Attempts = Iterator[tuple[Callable[[], object], Callable[[], object]]]


def message(number: int) -> bytes:
    return b'{"s":"a","n":%d,"x":"%s"}' % (number, b"x" * 100)


class Watched:
    """A router with a watched channel of two rings, to which something is done."""

    def __init__(self, twin: Twin, what: str) -> None:
        self.what = what
        self.router = twin.router.Router(twin.keys.ChannelKey("s"))
        self.rings = [twin.ring.MessageRing(2) for _ in range(3)]
        self.sequence, self.order = twin.watch.Sequence("n"), twin.watch.Sequence("n")
        self.watch = twin.watch.Watch(skip=("t", "hb"), sequence=self.sequence)
        if what != "add":
            self.router.add("a", self.rings[0], self.watch)
            self.router.add_ring("a", self.rings[1])
        for ring in self.rings:
            ring.waiting = True
        self.router.accept(message(1), False, 1)
        if what == "take":
            self.router.accept(message(10**15), False, 2)

    def act(self) -> None:
        router, rings, what = self.router, self.rings, self.what
        if what == "add":
            router.add("a", rings[0], self.watch)
        elif what == "add_ring":
            router.add_ring("a", rings[2])
        elif what == "remove_ring":
            router.remove_ring("a", rings[1])
        elif what == "sequence":
            router.sequence = self.order
        elif what == "accept":
            router.accept(message(10**15), False, 2)
        else:
            rings[0].take_breaks()

    def check(self) -> None:
        router, rings = self.router, self.rings
        if "a" not in router:
            router.add("a", rings[0], self.watch)
        router.wake()
        self.sequence.reset()
        received = rings[0].received
        for number in (5, 8):
            assert router.accept(message(number), False, number)
        assert rings[0].received == received + 2
        assert rings[0].take_breaks()[-1][1:4] == (6, 8, 2)
        router.sequence = None
        router.sequence = self.order
        assert router.remove("a")
        router.wake()
        router.add("b", rings[1], self.watch)
        for ring in rings:
            assert ring.received == ring.delivered + ring.dropped + len(ring)
            while len(ring):
                ring.take()


def watching(twin: Twin) -> Attempts:
    """Rings and watches come and go, and breaks are noted."""
    for what in ("add", "add_ring", "remove_ring", "sequence", "accept", "take"):
        watched = Watched(twin, what)
        yield watched.act, watched.check


def marking(twin: Twin) -> Attempts:
    for what in ("mark", "watch_losses", "recv", "recv_batch"):
        ring = twin.ring.MessageRing(2)
        stream = twin.stream.MessageStream(ring, bytes)
        if what != "watch_losses":
            stream.watch_losses(min)
        for _ in range(5):
            ring.accept(b"message", False, 1)

        def act(stream: Any = stream, what: str = what) -> None:
            if what == "mark":
                stream.mark(7)
            elif what == "watch_losses":
                stream.watch_losses(min)
            else:
                step = stream.recv() if what == "recv" else stream.recv_batch(2)
                # What min() makes of a loss is a comparison of a str with an int: it raises.
                with suppress(StopIteration, TypeError):
                    step.__await__().send(None)

        def check(ring: Any = ring, stream: Any = stream) -> None:
            assert not stream.ended
            assert ring.received == ring.delivered + ring.dropped + len(ring)
            stream.mark(8)
            ring.clear()
            stream.watch_losses(None)

        yield act, check
