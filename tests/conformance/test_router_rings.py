"""A channel of several rings, a ring of several channels, and a spill that changes."""

from __future__ import annotations

import gc
import weakref

import pytest

from .conftest import Twin
from .test_router import contents, message, router_of


def test_every_ring_of_a_channel_gets_every_message(twin: Twin) -> None:
    router, rings = router_of(twin), [twin.ring.MessageRing() for _ in range(3)]
    router.add("a", rings[0])
    for ring in rings[1:]:
        router.add_ring("a", ring)
    for number in range(3):
        assert router.accept(message("a", number), number == 1, number)
    assert (router.routed, len(router)) == (3, 1)
    for ring in rings:
        assert (ring.received, ring.take()[1:], ring.take()[1:]) == (3, (False, 0), (True, 1))
        assert contents(ring) == [2]


def test_what_one_ring_drops_is_not_lost_to_the_others(twin: Twin) -> None:
    router = router_of(twin)
    rings = [twin.ring.MessageRing(2), twin.ring.MessageRing(2, overflow="drop_newest"), twin.ring.MessageRing()]
    router.add("a", rings[0])
    for ring in rings[1:]:
        router.add_ring("a", ring)
    for number in range(5):
        assert router.accept(message("a", number), False, number)
    assert [ring.dropped for ring in rings] == [3, 3, 0]
    assert [contents(ring) for ring in rings] == [[3, 4], [0, 1], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("blocking", range(3))
def test_no_ring_gets_a_message_twice_when_one_refuses_it(twin: Twin, blocking: int) -> None:
    router = router_of(twin)
    rings = [twin.ring.MessageRing(2, overflow="block" if at == blocking else "drop_oldest") for at in range(3)]
    router.add("a", rings[0])
    for ring in rings[1:]:
        router.add_ring("a", ring)
    for number in range(2):
        assert router.accept(message("a", number), False, number)
    for _ in range(3):
        assert router.accept(message("a", 2), False, 2) is False
    assert [ring.refused for ring in rings] == [at == blocking for at in range(3)]
    assert [ring.received for ring in rings] == [2, 2, 2]
    rooms: list[int] = []
    rings[blocking].on_room = lambda: rooms.append(1)
    rings[blocking].take()
    assert rooms == [1]
    assert router.accept(message("a", 2), False, 2) is True
    assert [contents(ring) for ring in rings] == [[1, 2]] * 3
    assert router.routed == 3


def test_rings_come_and_go(twin: Twin) -> None:
    router, rings = router_of(twin), [twin.ring.MessageRing() for _ in range(3)]
    with pytest.raises(ValueError, match="channel 'a' has no ring yet"):
        router.add_ring("a", rings[0])
    router.add("a", rings[0])
    with pytest.raises(ValueError, match="channel 'a' has that ring already"):
        router.add_ring("a", rings[0])
    router.add_ring("a", rings[1])
    router.add_ring("a", rings[2])
    assert router.remove_ring("b", rings[0]) is False
    assert router.remove_ring("a", rings[0]) is True
    assert router.remove_ring("a", rings[0]) is False
    router.accept(message("a", 1), False, 1)
    assert router.remove_ring("a", rings[2]) is True
    router.accept(message("a", 2), False, 2)
    assert router.remove_ring("a", rings[1]) is True
    assert "a" not in router
    router.accept(message("a", 3), False, 3)
    assert [contents(ring) for ring in rings] == [[], [1, 2], [1]]
    assert (router.routed, router.unroutable) == (2, 1)
    for ring in rings:
        router.add("a", ring)
        router.add_ring("a", twin.ring.MessageRing())
        assert router.remove("a") is True


def test_each_consumer_is_woken_once_a_read(twin: Twin) -> None:
    router, rings = router_of(twin), [twin.ring.MessageRing() for _ in range(40)]
    calls: list[int] = []
    for number, ring in enumerate(rings):
        ring.waker = lambda number=number: calls.append(number)
        ring.waiting = True
    router.add("a", rings[0])
    for ring in rings[1:]:
        router.add_ring("a", ring)
    for number in range(3):
        router.accept(message("a", number), False, number)
    router.wake()
    assert sorted(calls) == list(range(40))
    router.wake()
    assert len(calls) == 40


def test_a_ring_that_goes_before_it_is_woken_is_woken_then(twin: Twin) -> None:
    router, rings = router_of(twin), [twin.ring.MessageRing() for _ in range(2)]
    calls: list[int] = []
    router.add("a", rings[0])
    router.add_ring("a", rings[1])
    for number, ring in enumerate(rings):
        ring.waker = lambda number=number: calls.append(number)
        ring.waiting = True
    router.accept(message("a"), False, 1)
    router.remove_ring("a", rings[1])
    router.wake()
    assert sorted(calls) == [0, 1]


def test_a_ring_of_two_names_keeps_the_one_that_stays(twin: Twin) -> None:
    router, ring = router_of(twin), twin.ring.MessageRing()
    router.add("ticker:tBTCUSD", ring)
    router.add("1701", ring)
    calls: list[int] = []
    ring.waker = lambda: calls.append(1)
    for number, name in enumerate(["ticker:tBTCUSD", "1701"]):
        router.accept(message(name, number), False, number)
    assert contents(ring) == [0, 1]
    ring.waiting = True
    router.accept(message("1701", 2), False, 2)
    assert router.remove("ticker:tBTCUSD") is True
    router.wake()
    assert calls == [1]
    ring.waiting = True
    router.accept(message("ticker:tBTCUSD", 3), False, 3)
    router.accept(message("1701", 4), False, 4)
    router.wake()
    assert (calls, contents(ring)) == ([1, 1], [2, 4])
    assert router.remove("1701") is True
    assert (router.routed, router.unroutable) == (4, 1)


def test_the_spill_can_be_changed(twin: Twin) -> None:
    router, spills = router_of(twin), [twin.ring.MessageRing() for _ in range(2)]
    assert router.spill is None
    for number, spill in enumerate([None, *spills, None, spills[0]]):
        router.spill = spill
        assert router.spill is spill
        router.accept(message("x", number), False, number)
        router.wake()
    assert [contents(spill) for spill in spills] == [[1, 4], [2]]
    gone = weakref.ref(spills.pop())
    gc.collect()
    assert gone() is None


def test_rings_go_with_their_router(twin: Twin) -> None:
    router, rings = router_of(twin), [twin.ring.MessageRing() for _ in range(3)]
    watch = twin.watch.Watch(sequence=twin.watch.Sequence("n"))
    router.add("a", rings[0], watch)
    router.add_ring("a", rings[1])
    router.add("b", rings[2])
    router.sequence = twin.watch.Sequence("n")
    # In a cycle.
    rings[0].waker = router.wake
    gone = [weakref.ref(ring) for ring in rings]
    del router, watch
    rings.clear()
    gc.collect()
    assert [ring() for ring in gone] == [None] * 3
