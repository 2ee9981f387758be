"""Groups and conflating queues that are made by half, called back at the worst moment, or used by two threads."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

from .conftest import Twin
from .test_threads import CHANNELS, COMPILED, beside, whole_reads
from .wire import TEXT, frame

# Made by half, or copied.


def test_compiled_objects_without_their_arguments() -> None:
    room = COMPILED.group
    group = room.GroupRing.__new__(room.GroupRing)
    assert group.member("a").accept(b"x", False, 1)
    assert group.take_tagged() == ("a", b"x", False, 1)
    for kind in (room.GroupMember, COMPILED.group_stream.GroupStream):
        with pytest.raises(TypeError):
            kind.__new__(kind)
    member = room.GroupMember.__new__(room.GroupMember, group, "b")
    assert member.accept(b"y", False, 2)
    assert group.take_tagged() == ("b", b"y", False, 2)
    kind = COMPILED.group_stream.GroupMessage
    message = kind.__new__(kind)
    with pytest.raises(TypeError, match="a Message of no stream cannot be decoded"):
        message.decode()
    ring = COMPILED.latest.LatestRing.__new__(COMPILED.latest.LatestRing)
    for payload in (b"x", b"y"):
        assert ring.accept(payload, False, 1)
    assert ring.take()[0] == b"y"


def test_a_queue_that_was_refused_its_arguments_can_be_given_better_ones(twin: Twin) -> None:
    for kind in (twin.group.GroupRing, twin.latest.LatestRing):
        ring = kind.__new__(kind)
        with pytest.raises(ValueError, match="capacity"):
            ring.__init__(-1)
        ring.__init__(1)
        assert ring.accept(b"x", False, 1)
        assert ring.take()[0] == b"x"


def test_compiled_objects_with_memory_of_their_own_are_not_copied() -> None:
    group = COMPILED.group.GroupRing()
    things = (group, group.member("a"), COMPILED.group_stream.GroupStream(group, bytes), COMPILED.latest.LatestRing())
    for thing in things:
        for copying in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                copying(thing)


@pytest.mark.parametrize("bound", [2**31, 2**32, 2**62, 2**63 - 1])
def test_enormous_bounds_are_no_bounds(twin: Twin, bound: int) -> None:
    group = twin.group.GroupRing(bound, max_bytes=bound, overflow="block")
    ring = twin.latest.LatestRing(bound, max_bytes=bound, key=twin.keys.ChannelKey("s"))
    member = group.member("a")
    for number in range(100):
        assert member.accept(b"%d" % number, False, 1)
        assert ring.accept(b'{"s":"%d"}' % number, False, 1)
    assert (len(group), group.max_bytes, len(ring), ring.capacity) == (100, bound, 100, bound)


def test_a_hundred_thousand_messages(twin: Twin) -> None:
    group = twin.group.GroupRing()
    members = [group.member(f"c{number}") for number in range(10)]
    for number in range(100_000):
        members[number % 10].accept(b"%d" % number, False, number)
    assert all(len(member) == 10_000 for member in members)
    assert all(group.take_tagged() == (f"c{n % 10}", b"%d" % n, False, n) for n in range(100_000))


def test_memory_of_a_compiled_group_follows_what_is_queued() -> None:
    group = COMPILED.group.GroupRing()
    member = group.member("a")
    for _ in range(50_000):
        member.accept(b"x" * 100, False, 1)
    assert group.nbytes <= group.allocated <= 1.3 * (group.nbytes + 32 * len(group)) + 100_000
    group.clear()
    for _ in range(500):
        member.accept(b"small", False, 1)
        group.take()
    assert (group.allocated <= 2048, group.nbytes) == (True, 0)


# At the worst moment.


def test_a_waker_that_removes_the_members(twin: Twin) -> None:
    router, group = twin.router.Router(twin.keys.ChannelKey("s")), twin.group.GroupRing()
    for channel in CHANNELS:
        router.add(channel, group.member(channel))

    def waker() -> None:
        for channel in CHANNELS:
            router.remove(channel)
        gc.collect()

    group.waker = waker
    group.waiting = True
    for channel in CHANNELS:
        router.accept(b'{"s":"%s"}' % channel.encode(), False, 1)
    router.wake()
    assert len(router) == 0
    assert [group.take_tagged()[0] for _ in CHANNELS] == CHANNELS


def test_room_is_made_use_of_by_a_new_member(twin: Twin) -> None:
    group = twin.group.GroupRing(2, overflow="block")
    first = group.member("first")
    left = [b"%d" % number for number in range(2, 50)]

    def on_room() -> None:
        while left and group.member("later").accept(left[0], False, 1):
            del left[0]

    group.on_room = on_room
    assert first.accept(b"0", False, 1)
    assert first.accept(b"1", False, 1)
    assert not first.accept(b"2", False, 1)
    del first
    taken = [group.take_tagged()[:2] for _ in range(50)]
    assert taken == [("first", b"0"), ("first", b"1"), *(("later", b"%d" % number) for number in range(2, 50))]


def test_a_tally_whose_destructor_comes_back(twin: Twin) -> None:
    group, calls = twin.group.GroupRing(), []

    class Last(twin.ring.Tally):  # type: ignore[name-defined,misc]
        def __del__(self) -> None:
            calls.append((self.received, self.dropped))
            group.member("from the destructor").accept(b"again", False, 1)

    for act in (group.take, group.clear):
        for number in range(3):
            member = group.member(f"m{number}")
            member.tally = Last()
            member.accept(b"x", False, 1)
            member.accept(b"y", False, 1)
        del member
        while len(group):
            act()
        group.member("next")
        group.clear()
    gc.collect()
    assert len(calls) == 6
    assert all(received == 2 for received, _ in calls)


# Several threads. Not a contract of the pure twin: see test_threads.py.


@pytest.fixture
def routed() -> tuple[Any, Any, Any]:
    router, group = COMPILED.router.Router(COMPILED.keys.ChannelKey("s")), COMPILED.group.GroupRing(3000)
    for channel in CHANNELS:
        router.add(channel, group.member(channel))
    return COMPILED.frames.FrameDecoder(router), router, group


def test_a_group_is_read_while_it_is_filled(routed: tuple[Any, Any, Any]) -> None:
    decoder, router, group = routed
    taken = [0]

    def read() -> None:
        while len(group):
            channel, payload, _, _ = group.take_tagged()
            assert payload.startswith(b'{"s":"%s"' % channel.encode())
            taken[0] += 1

    with beside(read) as raised:
        for size in whole_reads(decoder, 300):
            assert decoder.commit(size, 1) is None
    assert raised == []
    assert router.routed == group.received == 310 * 1000
    assert group.received == group.delivered + group.dropped + len(group)
    assert taken[0] == group.delivered


def test_members_come_and_go_while_a_group_is_filled(routed: tuple[Any, Any, Any]) -> None:
    decoder, router, group = routed
    tally = COMPILED.ring.Tally()
    members: dict[str, Any] = {}
    turn = [0]

    def change() -> None:
        turn[0] += 1
        channel = CHANNELS[turn[0] % len(CHANNELS)]
        router.remove(channel)
        members.pop(channel, None)
        members[channel] = group.member(channel)
        members[channel].tally = tally
        router.add(channel, members[channel])
        for _ in range(min(len(group), 20)):
            group.take()

    for channel in CHANNELS:
        router.remove(channel)
    with beside(change) as raised:
        for size in whole_reads(decoder, 300):
            assert decoder.commit(size, 1) is None
    assert raised == []
    for channel in CHANNELS:
        router.remove(channel)
    assert group.received == group.delivered + group.dropped + len(group)
    group.clear()
    members.clear()
    group.member("the last")
    assert (tally.received, tally.delivered, tally.dropped) == (group.received, group.delivered, group.dropped)
    assert group.received == router.routed


def test_a_decoder_of_one_member_alone() -> None:
    group = COMPILED.group.GroupRing()
    decoders = [COMPILED.frames.FrameDecoder(group.member(channel)) for channel in "ab"]
    for decoder in decoders:
        decoder.feed(frame(TEXT, b"x") * 2, 1)
    assert [group.take_tagged()[0] for _ in range(4)] == ["a", "a", "b", "b"]


def test_a_conflating_queue_is_read_while_it_is_filled() -> None:
    router = COMPILED.router.Router(COMPILED.keys.ChannelKey("s"))
    ring = COMPILED.latest.LatestRing(50, key=COMPILED.keys.ChannelKey("n"))
    for channel in CHANNELS:
        router.add(channel, ring)
    decoder = COMPILED.frames.FrameDecoder(router)

    def read() -> None:
        while len(ring):
            assert ring.take()[0].startswith(b'{"s":"channel ')
        ring.clear()

    with beside(read) as raised:
        for size in whole_reads(decoder, 300):
            assert decoder.commit(size, 1) is None
    assert raised == []
    assert ring.received == 310 * 1000 == ring.delivered + ring.dropped + len(ring)
