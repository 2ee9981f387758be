"""GroupRing behind a router: who is woken, what stops, and who is told of breaks."""

from __future__ import annotations

from .conftest import Twin


def test_a_member_wakes_who_waits_for_the_group(twin: Twin) -> None:
    group = twin.group.GroupRing()
    calls: list[int] = []
    group.waker = lambda: calls.append(len(group))
    member = group.member("a")
    member.accept(b"x", False, 1)
    member.wake()
    assert calls == []
    group.waiting = True
    assert member.waiting
    member.wake()
    member.wake()
    assert (calls, member.waiting) == ([1], False)
    member.waiting = True
    assert group.waiting


def message(channel: str, number: int = 0) -> bytes:
    return b'{"s":"%s","n":%d}' % (channel.encode(), number)


def test_a_router_wakes_a_group_once(twin: Twin) -> None:
    group = twin.group.GroupRing()
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    members = {f"c{number}": group.member(f"c{number}") for number in range(100)}
    for channel, member in members.items():
        router.add(channel, member)
    calls: list[int] = []
    group.waker = lambda: calls.append(len(group))
    group.waiting = True
    for _ in range(3):
        for channel in members:
            assert router.accept(message(channel), False, 1)
    router.accept(message("other"), False, 1)
    router.wake()
    assert (calls, router.routed, router.unroutable) == ([300], 300, 1)
    assert all((member.received, len(member)) == (3, 3) for member in members.values())
    assert [group.take_tagged()[0] for _ in range(300)] == [*members] * 3


def test_a_member_that_is_removed_while_its_group_is_to_be_woken(twin: Twin) -> None:
    group, calls = twin.group.GroupRing(), []
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("a", group.member("a"))
    router.add("b", group.member("b"))
    group.waker = lambda: calls.append(len(group))
    group.waiting = True
    router.accept(message("a"), False, 1)
    assert router.remove("a")
    group.waiting = True
    router.accept(message("b"), False, 1)
    assert router.remove("b")
    router.wake()
    # Each of the two times, now or when its member was removed.
    assert len(calls) in (1, 2)
    assert [group.take_tagged()[0] for _ in range(2)] == ["a", "b"]


def test_a_blocking_group_stops_its_members(twin: Twin) -> None:
    group, told = twin.group.GroupRing(2, overflow="block"), []
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    for channel in "ab":
        router.add(channel, group.member(channel))
    group.on_room = lambda: told.append(len(group))
    assert router.accept(message("a"), False, 1)
    assert router.accept(message("b"), False, 1)
    assert not router.accept(message("a", 1), False, 1)
    assert (router.routed, group.refused) == (2, True)
    group.take()
    assert told == [1]
    assert router.accept(message("a", 1), False, 1)
    assert [group.take_tagged()[:2] for _ in range(2)] == [("b", message("b")), ("a", message("a", 1))]


def test_a_group_itself_may_be_routed_to_and_be_the_spill(twin: Twin) -> None:
    group = twin.group.GroupRing()
    router = twin.router.Router(twin.keys.ChannelKey("s"), group)
    router.add("a", group)
    router.accept(message("a"), False, 1)
    router.accept(message("b"), False, 1)
    assert [group.take_tagged()[:2] for _ in range(2)] == [(None, message("a")), (None, message("b"))]


def test_a_break_in_a_channel_is_told_to_the_group(twin: Twin) -> None:
    group = twin.group.GroupRing(3)
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    for channel in "ab":
        watch = twin.watch.Watch(skip=("n", "0"), sequence=twin.watch.Sequence("n"))
        router.add(channel, group.member(channel), watch)
    for number in range(1, 4):
        router.accept(message("a", number), False, number)
        router.accept(message("b", number * number), False, number)
        router.accept(message("b", 0), False, number)
    assert (router.routed, router.unroutable, len(group), group.dropped) == (6, 3, 3, 3)
    first, second = group.take_breaks()
    assert first[1:] == (2, 4, 2, 1, 2)
    assert second[1:] == (5, 9, 4, 2, 3)
    assert [group.channel_at(found[0]) for found in (first, second)] == ["b", "b"]
    assert first[0] == group.head
    group.take()
    assert group.channel_at(first[0]) is None


def test_a_break_in_all_channels_is_told_to_a_group_once(twin: Twin) -> None:
    group, calls = twin.group.GroupRing(), []
    group.waker = lambda: calls.append(len(group))
    group.waiting = True
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    for channel in "abc":
        router.add(channel, group.member(channel))
    router.sequence = twin.watch.Sequence("n")
    for number in (1, 5):
        router.accept(message("other", number), False, number)
    router.wake()
    assert calls == [0]
    assert [found[1:] for found in group.take_breaks()] == [(2, 5, 3, 1, 5)]


def test_a_second_ring_beside_a_group(twin: Twin) -> None:
    group, other = twin.group.GroupRing(1, overflow="block"), twin.ring.MessageRing()
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    member = group.member("a")
    router.add("a", other)
    router.add_ring("a", member)
    assert router.accept(message("a"), False, 1)
    assert not router.accept(message("a"), False, 1)
    assert (member.received, other.received, group.refused) == (1, 1, True)
    assert router.remove_ring("a", member)
    assert router.accept(message("a"), False, 1)
    assert (member.received, other.received) == (1, 2)


def test_clearing_makes_room(twin: Twin) -> None:
    group, told = twin.group.GroupRing(2, overflow="block"), []
    member = group.member("a")
    group.on_room = lambda: told.append(len(group))
    for _ in range(3):
        member.accept(b"x", False, 1)
    assert group.clear() == 2
    assert (told, member.dropped, len(member), member.nbytes) == ([0], 2, 0, 0)
