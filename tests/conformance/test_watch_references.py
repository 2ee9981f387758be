"""References are counted around watches, several rings a channel, marks and losses: see test_reference_counts.py."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from .conftest import Twin
from .reference_cases import Calls, Case, Odd, fresh
from .test_reference_counts import check, times
from .test_reference_counts_streams import WAYS, steady
from .test_threads import COMPILED, beside
from .wire import TEXT, frame

Make = Callable[[Twin], Case]


def message(number: int, sign: str = "no", channel: str = "a") -> bytes:
    return b'{"s":"%s","n":%d,"t":"%s"}' % (channel.encode(), number, sign.encode())


def make_watches(twin: Twin) -> Case:
    path, text = fresh("n.m"), fresh("hb")

    def act() -> None:
        sequence = twin.watch.Sequence(path, previous=path)
        watch = twin.watch.Watch(skip=(path, text), sequence=sequence)
        with suppress(ValueError):
            twin.watch.Watch(sequence=sequence)
        with suppress(ValueError):
            twin.watch.Sequence(path, previous="", first=None)
        assert watch.sequence is sequence
        repr(sequence)
        sequence.reset()

    return Case({"path": path, "text": text}, act)


def watch_a_channel(twin: Twin) -> Case:
    router, ring = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing(2)
    sequence = twin.watch.Sequence("n")
    watch = twin.watch.Watch(skip=("t", "hb"), sequence=sequence)

    def act() -> None:
        router.add("a", ring, watch)
        with suppress(ValueError):
            router.add("b", ring, watch)
        for number in (1, 2, 5, 7):
            router.accept(message(number), False, number)
        router.accept(message(8, "hb"), False, 8)
        router.wake()
        assert len(ring.take_breaks()) == 2
        assert router.remove("a")
        ring.clear()
        sequence.reset()

    return Case({"router": router, "ring": ring, "watch": watch, "sequence": sequence}, act)


def rings_that_come_and_go(twin: Twin) -> Case:
    router, rings = twin.router.Router(twin.keys.ChannelKey("s")), [twin.ring.MessageRing(2) for _ in range(3)]
    waker = Calls(Odd())

    def act() -> None:
        router.add("a", rings[0])
        for ring in rings[1:]:
            router.add_ring("a", ring)
            with suppress(ValueError):
                router.add_ring("a", ring)
        for ring in rings:
            ring.waker, ring.waiting = waker, True
        router.accept(message(1), False, 1)
        for ring in rings:
            with suppress(Odd):
                router.remove_ring("a", ring)
            ring.waker = None
            ring.clear()
        # The pure twin lets go of them only now.
        router.wake()
        waker.answer.__traceback__ = None
        assert len(router) == 0

    return Case({"router": router, "first": rings[0], "last": rings[2], "waker": waker}, act)


def let_a_watching_router_go(twin: Twin) -> Case:
    key, rings = twin.keys.ChannelKey("s"), [twin.ring.MessageRing() for _ in range(3)]
    order = twin.watch.Sequence("n")

    def act() -> None:
        router = twin.router.Router(key)
        router.add("a", rings[0], twin.watch.Watch(sequence=twin.watch.Sequence("n")))
        router.add_ring("a", rings[1])
        router.spill = rings[2]
        router.sequence = order
        for number in (1, 5):
            router.accept(message(number), False, number)
            router.accept(message(number, channel="b"), False, number)
        router.sequence = router.spill = None
        for ring in rings:
            ring.clear()
            ring.take_breaks()
        order.reset()

    return Case({"key": key, "first": rings[0], "second": rings[1], "spill": rings[2], "order": order}, act)


WATCHES = [make_watches, watch_a_channel, rings_that_come_and_go, let_a_watching_router_go]


@pytest.mark.parametrize("make", WATCHES, ids=lambda make: make.__name__)
def test_watches(twin: Twin, make: Make) -> None:
    check(make(twin), times(twin, b"") // 5)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_marks_and_losses(twin: Twin, way: Callable[[Any], Any]) -> None:
    ring = twin.ring.MessageRing(2)
    stream = twin.stream.MessageStream(ring, bytes)
    mark, made, error = Calls(), Calls(Calls()), Odd()
    mark.decode = mark  # type: ignore[attr-defined]  # as a Message that `messages()` gives
    made.answer.decode = made
    stream.watch_losses(made)

    async def turns(count: int) -> None:
        for number in range(count):
            for _ in range(4):
                ring.accept(b"message", False, number)
            stream.mark(mark)
            stream.mark(error)
            for _ in range(4):
                await way(stream)
            with pytest.raises(Odd):
                await way(stream)
            error.__traceback__ = None
            ring.accept(b"message", False, number)
            ring.clear()
            await way(stream)

    await turns(5)
    watched = {"ring": ring, "stream": stream, "mark": mark, "made": made, "item": made.answer, "error": error}
    await steady(watched, turns, 100)


def test_what_was_marked_goes_with_its_stream(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    stream = twin.stream.MessageStream(ring, bytes)
    mark = Calls(stream)
    stream.watch_losses(mark)
    stream.mark(mark)
    gone = weakref.ref(mark)
    del mark, stream
    ring.waker = None
    gc.collect()
    assert gone() is None


def test_a_waker_may_take_away_what_it_is_woken_for(twin: Twin) -> None:
    router, rings = twin.router.Router(twin.keys.ChannelKey("s")), [twin.ring.MessageRing() for _ in range(3)]
    router.add("a", rings[0], twin.watch.Watch(sequence=twin.watch.Sequence("n")))
    router.add_ring("a", rings[1])
    router.add_ring("a", rings[2])

    def waker() -> None:
        for ring in rings:
            router.remove_ring("a", ring)
        rings.clear()
        gc.collect()
        router.accept(message(9), False, 9)

    rings[0].waker, rings[0].waiting = waker, True
    rings[2].waker, rings[2].waiting = waker, True
    router.accept(message(1), False, 1)
    router.accept(message(5), False, 5)
    router.wake()
    router.wake()
    assert (len(router), router.unroutable) == (0, 2)


def test_watches_and_rings_come_and_go_while_messages_do() -> None:
    """Beside a thread that decodes without the GIL."""
    router = COMPILED.router.Router(COMPILED.keys.ChannelKey("s"))
    rings = [COMPILED.ring.MessageRing(300) for _ in range(4)]
    spill = COMPILED.ring.MessageRing(10)
    router.add("a", rings[0], COMPILED.watch.Watch(sequence=COMPILED.watch.Sequence("n")))
    order = COMPILED.watch.Sequence("n")
    read = b"".join(frame(TEXT, message(number * 2, "x" * 150)) for number in range(1000))
    decoder = COMPILED.frames.FrameDecoder(router)
    taken = threading.Event()

    def come_and_go() -> None:
        for ring in rings[1:]:
            router.add_ring("a", ring)
        router.sequence = order
        router.spill = spill
        order.reset()
        for ring in rings:
            ring.take_breaks()
            ring.look_at_losses()
            if len(ring):
                ring.take()
        router.sequence = None
        router.spill = None
        for ring in rings[1:]:
            assert router.remove_ring("a", ring)
        taken.set()

    with beside(come_and_go) as raised:
        for _ in range(10):
            decoder.feed(read, 1)
        for _ in range(100):
            space = decoder.get_buffer()
            space[: len(read)] = read
            decoder.commit(len(read), 1)
        assert taken.wait(30)
    assert raised == []
    assert router.routed == 110 * 1000 == rings[0].received
    assert all(ring.received == ring.delivered + ring.dropped + len(ring) for ring in rings)
