"""MessageRing and Tally: what goes in comes out in order, or is counted as dropped."""

from __future__ import annotations

import gc
import sys
import weakref
from importlib import import_module
from typing import Any

import pytest

from .conftest import Twin
from .ring_model import Model, assert_like


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block"])
def test_blocking_can_be_given_up(twin: Twin, overflow: str) -> None:
    ring = twin.ring.MessageRing(1, overflow=overflow)
    assert ring.accept(b"a", False, 1)
    ring.stop_blocking()
    assert ring.overflow == ("drop_newest" if overflow == "block" else overflow)
    assert ring.accept(b"b", False, 2)
    assert (len(ring), ring.received, ring.dropped) == (1, 2, 1)
    assert ring.take() == ((b"b", False, 2) if overflow == "drop_oldest" else (b"a", False, 1))


def test_types(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    assert ring.accept(b"payload", True, 2**62) is True
    payload, binary, received_ns = ring.take()
    assert (type(payload), binary, received_ns) == (bytes, True, 2**62)
    with pytest.raises(IndexError, match=r"take\(\) from an empty MessageRing"):
        ring.take()
    assert repr(ring) == "MessageRing(0 of unbounded messages, dropped 0)"
    small = twin.ring.MessageRing(1)
    small.accept(b"a", False, 1)
    small.accept(b"b", False, 1)
    assert repr(small) == "MessageRing(1 of 1 messages, dropped 1)"


def test_bounds_can_be_read(twin: Twin) -> None:
    ring = twin.ring.MessageRing(5, max_bytes=7, overflow="block")
    assert (ring.capacity, ring.max_bytes, ring.overflow) == (5, 7, "block")
    ring = twin.ring.MessageRing()
    assert (ring.capacity, ring.max_bytes, ring.overflow) == (0, 0, "drop_oldest")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"capacity": -1}, "capacity must be non-negative, got -1"),
        ({"max_bytes": -5}, "max_bytes must be non-negative, got -5"),
        ({"overflow": "drop"}, "overflow must be one of drop_oldest, drop_newest, block, got 'drop'"),
    ],
)
def test_bad_bounds(twin: Twin, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        twin.ring.MessageRing(**arguments)
    assert str(caught.value) == text


def test_none_is_refused(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    with pytest.raises(TypeError):
        ring.accept(None, False, 1)
    with pytest.raises(TypeError):
        twin.ring.MessageRing(None)
    assert_like(ring, Model(0, 0, "drop_oldest"))


def test_a_plain_sink_takes_nothing(twin: Twin) -> None:
    sink = twin.ring.Sink()
    with pytest.raises(NotImplementedError, match="Sink"):
        sink.accept(b"", False, 1)
    sink.wake()


def test_an_oversize_message(twin: Twin) -> None:
    for overflow in ("drop_oldest", "drop_newest"):
        ring = twin.ring.MessageRing(max_bytes=10, overflow=overflow)
        ring.accept(b"12345", False, 1)
        assert ring.accept(b"x" * 11, False, 1)
        # What could not be kept anyway pushes nothing else out.
        assert (len(ring), ring.dropped, ring.nbytes) == (1, 1, 5)
    ring = twin.ring.MessageRing(max_bytes=10, overflow="block")
    assert ring.accept(b"x" * 11, False, 1)
    assert not ring.accept(b"", False, 1)
    assert ring.take()[0] == b"x" * 11


@pytest.mark.parametrize("size", [0, 100])
def test_a_hundred_thousand_messages(twin: Twin, size: int) -> None:
    ring = twin.ring.MessageRing()
    payload = b"x" * size
    for number in range(100_000):
        ring.accept(payload, False, number)
    assert (len(ring), ring.nbytes) == (100_000, 100_000 * size)
    assert all(ring.take() == (payload, False, number) for number in range(100_000))


def test_a_million_messages_go_round() -> None:
    ring = import_module("jetsocket.hot.ring_c").MessageRing(1000)
    payload = b"x" * 20
    for number in range(1_000_000):
        ring.accept(payload, False, number)
    assert ring.take() == (payload, False, 999_000)
    assert (ring.received, ring.delivered, ring.dropped) == (1_000_000, 1, 999_000)
    assert ring.allocated < 200_000


def test_large_payloads(twin: Twin) -> None:
    ring = twin.ring.MessageRing(3)
    for number in range(10):
        ring.accept(bytes([number]) * 3_000_000, True, number)
        ring.accept(b"small", False, number)
    assert [ring.take()[0][:6] for _ in range(3)] == [b"small", b"\x09" * 6, b"small"]


# Room.


@pytest.mark.parametrize(("capacity", "told_at"), [(1, 0), (2, 1), (3, 1), (10, 5), (11, 5)])
def test_room_is_told_of_once_at_half(twin: Twin, capacity: int, told_at: int) -> None:
    ring = twin.ring.MessageRing(capacity, overflow="block")
    told: list[int] = []
    ring.on_room = lambda: told.append(len(ring))
    for _ in range(capacity):
        ring.accept(b"x", False, 1)
    # A ring that refused nothing has nobody to tell.
    ring.take()
    ring.accept(b"x", False, 1)
    assert not ring.refused
    for _ in range(2):
        assert not ring.accept(b"y", False, 1)
    assert ring.refused
    for _ in range(capacity):
        ring.take()
    assert told == [told_at]
    assert not ring.refused


def test_room_in_bytes(twin: Twin) -> None:
    ring = twin.ring.MessageRing(max_bytes=10, overflow="block")
    told: list[int] = []
    ring.on_room = lambda: told.append(ring.nbytes)
    for size in (3, 3, 4):
        ring.accept(b"x" * size, False, 1)
    assert not ring.accept(b"xx", False, 1)
    ring.take()
    assert told == []
    ring.take()
    assert told == [4]


def test_clearing_makes_room(twin: Twin) -> None:
    ring = twin.ring.MessageRing(2, overflow="block")
    told: list[int] = []
    ring.on_room = lambda: told.append(len(ring))
    for _ in range(3):
        ring.accept(b"x", False, 1)
    assert ring.clear() == 2
    assert told == [0]
    assert ring.clear() == 0
    assert told == [0]


def test_room_may_be_used_at_once(twin: Twin) -> None:
    ring = twin.ring.MessageRing(4, overflow="block")
    left = list(range(4, 200))

    def refill() -> None:
        while left and ring.accept(b"%d" % left[0], False, 1):
            del left[0]

    ring.on_room = refill
    for number in range(4):
        ring.accept(b"%d" % number, False, 1)
    refill()
    assert [ring.take()[0] for _ in range(200)] == [b"%d" % number for number in range(200)]


# Waking.


def test_waking_only_who_waits_and_for_something(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    calls: list[int] = []
    ring.waker = lambda: calls.append(len(ring))
    ring.wake()
    ring.accept(b"x", False, 1)
    ring.wake()
    assert calls == []
    ring.waiting = True
    ring.wake()
    ring.wake()
    assert calls == [1]
    assert ring.waiting is False
    ring.clear()
    ring.waiting = True
    ring.wake()
    assert calls == [1]
    assert ring.waiting is True
    ring.waker = None
    ring.accept(b"x", False, 1)
    ring.wake()


# Ends.


def fill(ring: Any) -> None:
    for _ in range(5):
        ring.accept(b"x", False, 1)
    ring.take()


@pytest.mark.parametrize("cycle", [None, "closure", "stream", "self"])
def test_a_tally_takes_over_the_counts(twin: Twin, cycle: str | None) -> None:
    tally = twin.ring.Tally()
    gone = []

    def scene() -> None:
        ring = twin.ring.MessageRing(3)
        fill(ring)
        ring.tally = tally
        assert ring.tally is tally
        gone.append(weakref.ref(ring))
        if cycle == "closure":
            ring.waker = lambda: ring
        elif cycle == "stream":
            stream = twin.stream.MessageStream(ring, bytes)
            ring.on_room = stream.reopen
        elif cycle == "self":
            ring.waker = ring.wake

    for _ in range(3):
        scene()
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
    assert (tally.received, tally.delivered, tally.dropped) == (15, 3, 12)
    assert tally.received == tally.delivered + tally.dropped


def test_a_tally_is_held_and_let_go(twin: Twin) -> None:
    tally, other = twin.ring.Tally(), twin.ring.Tally()
    before = sys.getrefcount(tally)
    rings = [twin.ring.MessageRing() for _ in range(100)]
    for ring in rings:
        assert ring.tally is None
        ring.tally = tally
        ring.tally = tally
    assert sys.getrefcount(tally) >= before + 100
    rings[0].tally = other
    rings[1].tally = None
    del rings, ring
    assert sys.getrefcount(tally) == before
    del other


def test_payloads_are_let_go_of(twin: Twin) -> None:
    payload = bytes(range(256)) * 40
    before = sys.getrefcount(payload)
    ring = twin.ring.MessageRing(10)
    for _ in range(30):
        ring.accept(payload, False, 1)
    for _ in range(5):
        ring.take()
    ring.clear()
    assert sys.getrefcount(payload) == before
    for _ in range(5):
        ring.accept(payload, False, 1)
    taken = ring.take()[0]
    del ring
    assert sys.getrefcount(payload) == before + (taken is payload)


def test_other_bounds_of_a_ring_that_blocks(twin: Twin) -> None:
    ring = twin.ring.MessageRing(2, max_bytes=100, overflow="block")
    room: list[int] = []
    ring.on_room = lambda: room.append(len(ring))
    assert [ring.accept(b"x", False, 0) for _ in range(3)] == [True, True, False]
    ring.set_bounds(0, 0)
    assert room == [2], "who was refused is told that there is room"
    assert (ring.capacity, ring.max_bytes, ring.refused) == (0, 0, False)
    assert all(ring.accept(b"x" * 100, False, 0) for _ in range(5))
    ring.set_bounds(4, 0)
    assert len(ring) == 7, "what is there already stays"
    assert not ring.accept(b"x", False, 0)
    for _ in range(5):
        ring.take()
    assert room == [2, 2], "half of it is room"
    assert ring.accept(b"x", False, 0)
    assert ring.received == ring.delivered + len(ring)


@pytest.mark.parametrize("bounds", [(-1, 0), (0, -1)])
def test_other_bounds_are_checked(twin: Twin, bounds: tuple[int, int]) -> None:
    ring = twin.ring.MessageRing(2, overflow="block")
    with pytest.raises(ValueError, match="must be non-negative, got -1"):
        ring.set_bounds(*bounds)
    assert ring.capacity == 2
    for overflow in ("drop_oldest", "drop_newest"):
        with pytest.raises(ValueError, match=f"only a ring that blocks.*'{overflow}'"):
            twin.ring.MessageRing(2, overflow=overflow).set_bounds(1, 1)


def test_other_bounds_of_a_group(twin: Twin) -> None:
    group = twin.group.GroupRing(1, overflow="block")
    member = group.member("a")
    assert [member.accept(b"x", False, 0) for _ in range(2)] == [True, False]
    member.set_bounds(3, 0)
    assert (group.capacity, member.capacity) == (3, 3)
    assert member.accept(b"x", False, 0)
