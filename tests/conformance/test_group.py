"""GroupRing: many channels in one queue, counted for each of them; GroupStream: whose each message is."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .ring_model import Item, Model

BOTH = [Twin("compiled"), Twin("pure")]
CHANNELS = ["", "a", "btcusdt@trade", "x" * 40]


class GroupModel:
    """What a group is to do: a ring's model, beside which stands whose each message is."""

    def __init__(self, capacity: int, max_bytes: int, overflow: str) -> None:
        self.ring = Model(capacity, max_bytes, overflow)
        self.owners: list[int] = []
        # owner -> received, delivered, dropped
        self.counts: dict[int, list[int]] = {}

    def accept(self, owner: int, item: Item) -> bool:
        dropped = self.ring.dropped
        if not self.ring.accept(item):
            return False
        self.counts[owner][0] += 1
        if self.ring.items and self.ring.items[-1] is item:
            self.owners.append(owner)
            for _ in range(self.ring.dropped - dropped):
                self.counts[self.owners.pop(0)][2] += 1
        else:
            self.counts[owner][2] += 1
        return True

    def take(self) -> tuple[int, Item]:
        owner = self.owners.pop(0)
        self.counts[owner][1] += 1
        return owner, self.ring.take()

    def clear(self) -> int:
        for owner in self.owners:
            self.counts[owner][2] += 1
        self.owners.clear()
        return self.ring.clear()


def assert_like(group: Any, members: dict[int, Any], model: GroupModel) -> None:
    assert (group.received, group.delivered, group.dropped, len(group)) == (
        model.ring.received,
        model.ring.delivered,
        model.ring.dropped,
        len(model.ring.items),
    )
    assert group.nbytes == sum(len(item[0]) for item in model.ring.items)
    for owner, member in members.items():
        assert [member.received, member.delivered, member.dropped] == model.counts[owner]
        assert len(member) == model.owners.count(owner)
        assert member.received == member.delivered + member.dropped + len(member)
        pairs = zip(model.owners, model.ring.items, strict=True)
        assert member.nbytes == sum(len(item[0]) for other, item in pairs if other == owner)


def assert_tallied(tally: Any, owners: set[int], model: GroupModel) -> None:
    """What is queued of a member that is gone counts as dropped until it is delivered after all."""
    counts = [model.counts[owner] for owner in owners]
    queued = sum(model.owners.count(owner) for owner in owners)
    assert tally.received == sum(count[0] for count in counts)
    assert tally.delivered == sum(count[1] for count in counts)
    assert tally.dropped == sum(count[2] for count in counts) + queued


operations = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.sampled_from([0, 1, 7, 8, 9, 50, 101, 900, 33_000]), st.integers(0, 5)),
        st.tuples(st.just("accept"), st.integers(0, 120), st.integers(0, 5)),
        st.tuples(st.just("take"), st.integers(1, 10), st.just(0)),
        st.tuples(st.just("add"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("remove"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("clear"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


class Trial:
    """A group of a twin, and the model of it."""

    def __init__(self, twin: Twin, capacity: int, max_bytes: int, overflow: str) -> None:
        self.group = twin.group.GroupRing(capacity, max_bytes=max_bytes, overflow=overflow)
        self.model = GroupModel(capacity, max_bytes, overflow)
        self.tally = twin.ring.Tally()
        self.members: dict[int, Any] = {}
        self.names: dict[int, str] = {}
        self.gone: set[int] = set()
        self.number = 0

    def add(self, channel: str) -> None:
        owner = len(self.names)
        self.members[owner] = self.group.member(channel)
        self.members[owner].tally = self.tally
        self.names[owner] = channel
        self.model.counts[owner] = [0, 0, 0]

    def remove(self, at: int) -> None:
        if self.members:
            owner = sorted(self.members)[at % len(self.members)]
            del self.members[owner]
            self.gone.add(owner)

    def accept(self, size: int, at: int) -> None:
        self.number += 1
        if self.members:
            owner = sorted(self.members)[at % len(self.members)]
            item = (bytes([self.number % 256]) * size, bool(at % 2), self.number * 10**12)
            assert self.members[owner].accept(*item) is self.model.accept(owner, item)

    def take(self, count: int) -> None:
        for _ in range(min(count, len(self.model.owners))):
            owner, item = self.model.take()
            assert self.group.take_tagged() == (self.names[owner], *item)
            assert self.group.channel == self.names[owner]

    def check(self) -> None:
        assert_like(self.group, self.members, self.model)
        owners, head = self.model.owners, self.group.head
        channels = [self.group.channel_at(head + at) for at in range(len(owners))]
        assert channels == [self.names[owner] for owner in owners]
        assert self.group.channel_at(head + len(owners)) is None
        assert_tallied(self.tally, self.gone, self.model)


@given(
    capacity=st.sampled_from([0, 0, 1, 2, 3, 8]),
    max_bytes=st.sampled_from([0, 0, 1, 100, 500]),
    overflow=st.sampled_from(["drop_oldest", "drop_newest", "block"]),
    steps=operations,
)
@settings(max_examples=300, deadline=None)
def test_against_a_list(capacity: int, max_bytes: int, overflow: str, steps: list[tuple[str, int, int]]) -> None:
    for twin in BOTH:
        trial = Trial(twin, capacity, max_bytes, overflow)
        trial.add("a")
        trial.add("b")
        for step, size, at in steps:
            if step == "accept":
                trial.accept(size, at)
            elif step == "take":
                trial.take(size)
            elif step == "add":
                trial.add(CHANNELS[size])
            elif step == "remove":
                trial.remove(size)
            else:
                assert trial.group.clear() == trial.model.clear()
            trial.check()
        trial.take(len(trial.group))
        trial.check()


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block"])
def test_a_thousand_channels_that_come_and_go(twin: Twin, overflow: str) -> None:
    rng = random.Random(7)
    trial = Trial(twin, 500, 0, overflow)
    for number in range(1000):
        trial.add(f"channel-{number}")
    for number in range(8000):
        chance = rng.random()
        if chance < 0.6:
            trial.accept(int(rng.expovariate(1 / 200)), rng.randrange(1000))
        elif chance < 0.95:
            trial.take(1)
        elif chance < 0.975:
            trial.remove(rng.randrange(1000))
        else:
            trial.add(f"later-{number}")
        if number % 1000 == 0:
            trial.check()
    trial.take(len(trial.group))
    trial.check()


# What a group is.


def test_members_have_the_bounds_of_the_group(twin: Twin) -> None:
    group = twin.group.GroupRing(5, max_bytes=7, overflow="block")
    member = group.member("a")
    assert (member.capacity, member.max_bytes, member.overflow, member.channel) == (5, 7, "block", "a")
    assert isinstance(member, twin.ring.MessageRing)
    assert member.group is group
    assert member.accept(b"1234567", False, 1)
    assert not member.accept(b"8", False, 1)
    assert (member.refused, group.refused) == (True, True)
    member.stop_blocking()
    assert (group.overflow, member.overflow) == ("drop_newest", "drop_newest")
    assert member.accept(b"8", False, 1)
    assert (member.received, member.dropped, len(member)) == (2, 1, 1)


def test_a_group_without_its_members_is_a_ring(twin: Twin) -> None:
    group = twin.group.GroupRing(2)
    for number in range(3):
        assert group.accept(b"%d" % number, True, number)
    assert (len(group), group.nbytes, group.received, group.dropped) == (2, 2, 3, 1)
    assert group.take() == (b"1", True, 1)
    assert group.take_tagged() == (None, b"2", True, 2)
    with pytest.raises(IndexError, match=r"take\(\) from an empty MessageRing"):
        group.take_tagged()


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
        twin.group.GroupRing(**arguments)
    assert str(caught.value) == text


def test_nothing_is_taken_from_a_member(twin: Twin) -> None:
    group = twin.group.GroupRing()
    member = group.member("a")
    member.accept(b"x", False, 1)
    for use in (member.take, member.clear):
        with pytest.raises(TypeError, match="the messages of a GroupMember are taken from its group"):
            use()
    assert (len(member), len(group)) == (1, 1)


def test_how_they_show(twin: Twin) -> None:
    group = twin.group.GroupRing(1)
    member = group.member("a")
    member.accept(b"1", False, 1)
    member.accept(b"2", False, 1)
    assert repr(group) == "GroupRing(1 of 1 messages, dropped 1)"
    assert repr(member) == "GroupMember('a', 1 queued, dropped 1)"
    assert repr(twin.group.GroupRing()) == "GroupRing(0 of unbounded messages, dropped 0)"


def test_a_member_is_of_a_group_and_has_a_name(twin: Twin) -> None:
    group = twin.group.GroupRing()
    for arguments in ((None, "a"), (twin.ring.MessageRing(), "a"), (group, None), (group, b"a")):
        with pytest.raises(TypeError):
            twin.group.GroupMember(*arguments)
    with pytest.raises(TypeError):
        group.member(None)
    member = group.member("a")
    for made, arguments in ((group, (1,)), (member, (group, "b"))):
        with pytest.raises(TypeError, match="is initialised once"):
            made.__init__(*arguments)
    assert (group.capacity, member.channel) == (0, "a")


def test_two_members_of_one_name_are_counted_each(twin: Twin) -> None:
    group = twin.group.GroupRing()
    first, second = group.member("a"), group.member("a")
    first.accept(b"1", False, 1)
    second.accept(b"2", False, 1)
    assert [group.take_tagged()[:2] for _ in range(2)] == [("a", b"1"), ("a", b"2")]
    assert (first.delivered, second.delivered) == (1, 1)


def test_a_member_keeps_its_group_and_not_the_other_way_round(twin: Twin) -> None:
    gc.disable()
    try:
        group, tally = twin.group.GroupRing(), twin.ring.Tally()
        member = group.member("a")
        group.tally = tally
        member.accept(b"x", False, 1)
        del group
        member.accept(b"y", False, 1)
        assert (len(member), tally.received) == (2, 0)
        # Without the collector.
        del member
        assert (tally.received, tally.dropped) == (2, 2)
    finally:
        gc.enable()


def test_what_is_queued_of_a_member_outlives_it(twin: Twin) -> None:
    group, tally = twin.group.GroupRing(), twin.ring.Tally()
    member = group.member("a")
    member.tally = tally
    for payload in (b"1", b"2"):
        member.accept(payload, False, 1)
    group.take()
    del member
    assert (tally.received, tally.delivered, tally.dropped) == (2, 1, 1)
    assert group.take_tagged() == ("a", b"2", False, 1)
    assert (tally.received, tally.delivered, tally.dropped) == (2, 2, 0)
