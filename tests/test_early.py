"""What comes before its channel's key is known waits for it, in order; at an exchange: tests/test_reconciler.py."""

from __future__ import annotations

from typing import Any

from jetsocket.early import MOST_KEPT, Early
from jetsocket.hot import ChannelKey, MessageRing, Router
from jetsocket.routes import Routes


class Reader:
    """A consumer, as far as routes look at one."""

    def __init__(self, ring: MessageRing) -> None:
        self.ring = ring
        self.asked_on: object = None


class Place:
    """A router, the routes of two channels whose keys are not known, and what is early."""

    def __init__(self, capacity: int = 0, overflow: str = "drop_oldest") -> None:
        key = ChannelKey("[0]")
        self.router = Router(key)
        self.routes = Routes(self.router, lambda _: None)
        self.passed_on: list[bytes] = []
        self.early = Early(key, self.router, self.routes, lambda payload, *_: self.passed_on.append(payload))
        self.rings = {channel: MessageRing(capacity, overflow=overflow) for channel in ("a", "b")}
        for channel, ring in self.rings.items():
            reader: Any = Reader(ring)
            self.routes.join(channel, reader, ring, shared=True)

    def offer(self, payload: bytes) -> bool:
        """As the router does, and then who looks at what is unroutable."""
        unroutable = self.router.unroutable
        self.router.accept(payload, False, 1)
        if self.router.unroutable == unroutable:
            return False
        return self.early.route(payload, False, 1) or self.early.keep(payload, False, 1)

    def learn(self, channel: str, key: str) -> None:
        self.routes.bind(channel, key, True)
        self.early.learned(key)

    def taken(self, channel: str) -> list[bytes]:
        ring = self.rings[channel]
        return [ring.take()[0] for _ in range(len(ring))]


def test_what_is_early_is_routed_once_its_key_is_known_in_order():
    place = Place()
    for payload in (b"[1,10]", b"[2,20]", b"[1,11]"):
        assert place.offer(payload)
    place.learn("a", "1")
    assert place.taken("a") == [b"[1,10]", b"[1,11]"]
    assert place.taken("b") == []
    assert len(place.early) == 1
    place.learn("b", "2")
    assert place.taken("b") == [b"[2,20]"]
    assert place.router.unroutable - place.early.again == 0
    assert place.router.routed == 3


def test_what_was_sorted_before_the_key_was_known_is_routed_at_once():
    place = Place()
    place.learn("a", "1")
    assert place.early.route(b"[1,10]", False, 1)
    assert place.taken("a") == [b"[1,10]"]
    assert place.early.again == 1


def test_what_has_no_key_is_nobodys():
    place = Place()
    assert not place.offer(b'{"event":"info"}')
    assert len(place.early) == 0


def test_what_is_nobodys_is_handed_on_in_order_when_every_channel_has_its_key():
    place = Place()
    for payload in (b"[3,30]", b"[1,10]", b"[0,1]", b"[3,31]"):
        assert place.offer(payload)
    place.learn("a", "1")
    assert place.passed_on == []
    place.learn("b", "2")
    assert place.passed_on == [b"[3,30]", b"[0,1]", b"[3,31]"]
    assert not place.offer(b"[4,40]")
    assert len(place.early) == 0


def test_what_is_nobodys_is_handed_on_when_the_channels_that_had_no_key_are_gone():
    place = Place()
    place.learn("a", "1")
    assert place.offer(b"[3,30]")
    place.routes.leave("b", place.routes.get("b").shared)
    place.early.look()
    assert place.passed_on == [b"[3,30]"]


def test_of_too_much_the_oldest_is_handed_on():
    place = Place()
    for number in range(MOST_KEPT + 5):
        assert place.offer(b"[1,%d]" % number)
    assert len(place.early) == MOST_KEPT
    place.learn("a", "1")
    assert place.taken("a")[0] == b"[1,5]"
    assert place.passed_on == [b"[1,%d]" % number for number in range(5)]


def test_on_the_next_connection_keys_mean_others():
    place = Place()
    place.offer(b"[1,10]")
    place.early.clear()
    place.learn("a", "1")
    assert place.taken("a") == []
    assert place.passed_on == [b"[1,10]"]


def test_a_full_queue_that_drops_takes_no_more_and_the_sums_hold():
    place = Place(1, "drop_newest")
    for number in range(3):
        place.offer(b"[1,%d]" % number)
    place.learn("a", "1")
    assert place.taken("a") == [b"[1,0]"]
    assert place.router.routed + place.router.unroutable - place.early.again == 3


def test_a_full_queue_that_blocks_takes_what_was_read_already_and_no_more():
    place = Place(1, "block")
    for number in range(3):
        place.offer(b"[1,%d]" % number)
    # In the same read as the answer, behind it.
    assert place.router.accept(b"[1,3]", False, 1)
    place.learn("a", "1")
    assert place.early.route(b"[1,3]", False, 1)
    ring = place.rings["a"]
    assert (ring.capacity, ring.max_bytes, len(ring)) == (1, 0, 4)
    assert not place.router.accept(b"[1,4]", False, 1)
    assert place.taken("a") == [b"[1,0]", b"[1,1]", b"[1,2]", b"[1,3]"]
    assert (place.router.routed, place.router.unroutable - place.early.again) == (4, 0)


def test_of_several_consumers_of_a_channel_each_gets_what_was_early_also_where_some_block():
    place = Place(1, "block")
    rings = [
        place.rings["a"],
        MessageRing(1, max_bytes=8, overflow="block"),
        MessageRing(2),
        MessageRing(0, max_bytes=6),
    ]
    for ring in rings[1:]:
        reader: Any = Reader(ring)
        place.routes.join("a", reader, ring, shared=False)
    for number in range(3):
        place.offer(b"[1,%d]" % number)
    place.learn("a", "1")
    assert [len(ring) for ring in rings] == [3, 3, 2, 1]
    assert [(ring.capacity, ring.max_bytes) for ring in rings] == [(1, 0), (1, 8), (2, 0), (0, 6)]
    assert place.router.routed == 3
    assert place.early.again == 3


def test_who_was_kept_from_reading_looks_again():
    """Its queue's bounds were lifted meanwhile: it would not be told otherwise when there is room."""
    place = Place(1, "block")
    ring, told = place.rings["a"], []
    ring.on_room = lambda: told.append(len(ring))
    place.offer(b"[1,0]")
    place.offer(b"[1,1]")
    place.learn("a", "1")
    assert told
    assert not place.router.accept(b"[1,2]", False, 1)
    told.clear()
    assert place.taken("a") == [b"[1,0]", b"[1,1]"]
    assert told
