"""Which queues a channel's messages go to, by which key, and how many of them are copies."""

from __future__ import annotations

from typing import Any

import pytest

from jetsocket.decoding import make_decoding
from jetsocket.hot import ChannelKey, GroupRing, MessageRing, MessageStream, Router, Sequence
from jetsocket.routes import Routes
from jetsocket.subscription import Subscription


async def _close(_: Subscription[Any]) -> None:
    """Nobody has to be told."""


def consumer(name: str = "a") -> Subscription[Any]:
    ring = MessageRing()
    return Subscription(name, MessageStream(ring, make_decoding().decode, name), _close)


class Floor:
    """Routes, and messages for them."""

    def __init__(self, **options: Any) -> None:
        self.router = Router(ChannelKey("stream"))
        self.routes = Routes(self.router, **options)

    def join(self, channel: str, *, shared: bool = True, sequence: Sequence | None = None) -> Subscription[Any]:
        reader = consumer(channel)
        self.routes.join(channel, reader, reader.ring, shared=shared, sequence=sequence)
        return reader

    def bring(self, channel: str, count: int = 1, **fields: Any) -> None:
        rest = "".join(f',"{name}":{value}' for name, value in fields.items())
        for _ in range(count):
            assert self.router.accept(f'{{"stream":"{channel}"{rest}}}'.encode(), False, 1)

    def check(self, *readers: Subscription[Any]) -> None:
        """Of `readers` none has been taken from, and there are no others."""
        assert self.router.routed + self.routes.copied == sum(reader.ring.received for reader in readers)


def test_a_channel_comes_with_its_first_consumer_and_goes_with_its_last() -> None:
    floor = Floor()
    shared, own = floor.join("a"), floor.join("a", shared=False)
    assert "a" in floor.routes
    assert len(floor.routes) == 1
    route = floor.routes.get("a")
    assert route is not None
    assert [reader for reader, _ in route.readers] == [shared, own]
    assert route.shared is shared
    floor.bring("a")
    assert floor.routes.leave("a", shared) is shared.ring
    assert route.shared is None
    floor.bring("a")
    floor.routes.leave("a", own)
    floor.bring("a")
    assert (len(shared.ring), len(own.ring), floor.router.unroutable) == (1, 2, 1)
    assert "a" not in floor.routes
    assert floor.routes.get("a") is None
    assert list(floor.routes) == []


def test_copies_are_counted_whoever_comes_and_goes() -> None:
    floor = Floor()
    first = floor.join("a", shared=False)
    other = floor.join("b")
    floor.bring("a", 3)
    floor.bring("b", 4)
    assert floor.routes.copied == 0
    second = floor.join("a")
    floor.bring("a", 2)
    assert floor.routes.copied == 2
    third = floor.join("a", shared=False)
    floor.bring("a", 5)
    assert floor.routes.copied == 12
    floor.routes.leave("a", second)
    floor.bring("a", 1)
    assert floor.routes.copied == 13
    floor.check(first, second, third, other)
    floor.routes.leave("a", first)
    floor.bring("a", 7)
    floor.routes.leave("a", third)
    assert floor.routes.copied == 13
    again = floor.join("a")
    floor.bring("a", 1)
    floor.check(first, second, third, other, again)


def test_a_member_of_a_group_is_a_consumer_as_others_are() -> None:
    floor = Floor()
    single, in_group, group = floor.join("a"), consumer(), GroupRing()
    floor.routes.join("a", in_group, group.member("a"), shared=False)
    floor.bring("a", 3)
    assert (len(single.ring), len(group), floor.routes.copied) == (3, 3, 3)
    floor.routes.leave("a", in_group)
    floor.bring("a")
    assert (len(single.ring), len(group), floor.routes.copied) == (4, 3, 3)


def test_a_name_that_data_do_not_carry() -> None:
    floor = Floor(key_of=lambda channel: channel.upper())
    reader = floor.join("a")
    floor.bring("a")
    floor.bring("A")
    assert len(reader.ring) == 1
    with pytest.raises(ValueError, match=r"^cannot subscribe to 'A' beside 'a': the data of both are called 'A'$"):
        floor.join("A")
    assert "A" not in floor.routes
    floor.bring("A")
    assert len(reader.ring) == 2


def test_a_key_that_is_learned_and_forgotten_and_given_to_another() -> None:
    floor = Floor(key_of=lambda _: None)
    one, own, other = floor.join("one"), floor.join("one", shared=False), floor.join("other")
    floor.routes.bind("nobody's", "9", True)
    floor.bring("17")
    assert len(one.ring) == 0
    floor.routes.bind("one", "17", True)
    floor.bring("17")
    floor.routes.bind("one", "17", True)
    floor.bring("17")
    assert (len(one.ring), len(own.ring)) == (2, 2)
    # The last one counts.
    floor.routes.bind("other", "17", True)
    floor.bring("17")
    assert (len(one.ring), len(other.ring)) == (2, 1)
    floor.routes.bind("other", "17", False)
    floor.bring("17")
    assert len(other.ring) == 1
    floor.routes.leave("other", other)
    floor.routes.bind("one", "18", True)
    floor.bring("18")
    floor.check(one, own, other)


def test_signs_of_life_count_as_received() -> None:
    floor = Floor(skip=("e", "hb"))
    reader = floor.join("a")
    floor.bring("a")
    floor.bring("a", 2, e='"hb"')
    route = floor.routes.get("a")
    assert route is not None
    assert (route.received(), len(reader.ring)) == (3, 1)


def test_numbers_are_looked_at_from_when_somebody_asks() -> None:
    floor = Floor(skip=("e", "hb"))
    first = floor.join("a")
    floor.bring("a", t=1)
    floor.bring("a", t=5)
    assert first.ring.take_breaks() == []
    second = floor.join("a", shared=False, sequence=Sequence("t"))
    floor.bring("a", t=6)
    floor.bring("a", t=8)
    floor.bring("a", e='"hb"')
    for reader in (first, second):
        ((_, expected, got, missing, *_),) = reader.ring.take_breaks()
        assert (expected, got, missing) == (7, 8, 1)
    floor.check(first, second)
    # One more of the same is no other.
    floor.join("a", shared=False, sequence=Sequence("t"))
    route = floor.routes.get("a")
    assert route is not None
    assert len(route.readers) == 3
    with pytest.raises(ValueError, match=r"channel 'a' has another sequence already.*'t', rule next"):
        floor.join("a", shared=False, sequence=Sequence("u"))
    assert len(route.readers) == 3


@pytest.mark.parametrize("options", [{}, {"skip": ("e", "hb")}], ids=["plain", "with signs of life"])
def test_the_last_that_asks_for_numbers_takes_them_away(options: dict[str, Any]) -> None:
    floor = Floor(**options)
    plain = floor.join("a")
    first, second = (floor.join("a", shared=False, sequence=Sequence("t")) for _ in range(2))
    floor.bring("a", t=1)
    floor.routes.leave("a", first)
    with pytest.raises(ValueError, match="has another sequence already"):
        floor.join("a", shared=False, sequence=Sequence("u"))
    floor.routes.leave("a", second)
    floor.bring("a", t=7)
    other = floor.join("a", shared=False, sequence=Sequence("u"))
    floor.bring("a", t=17, u=1)
    floor.bring("a", t=27, u=3)
    ((_, expected, got, missing, *_),) = other.ring.take_breaks()
    assert (expected, got, missing) == (2, 3, 1)
    assert len(plain.ring) == 4
    assert floor.router.routed + floor.routes.copied == sum(len(one.ring) for one in (plain, first, second, other))


def test_numbers_of_a_channel_whose_key_is_not_known_yet() -> None:
    floor = Floor(key_of=lambda _: None)
    plain = floor.join("a")
    reader = floor.join("a", shared=False, sequence=Sequence("t"))
    floor.routes.bind("a", "17", True)
    floor.bring("17", t=1)
    floor.routes.bind("a", "17", False)
    floor.routes.bind("a", "18", True)
    floor.bring("18", t=3)
    assert len(reader.ring.take_breaks()) == 1
    floor.check(plain, reader)
