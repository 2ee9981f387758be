"""References are counted around what groups and conflating queues do, on both twins: see test_reference_counts.py."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from jetsocket.errors import DecodeError

from .conftest import Twin
from .reference_cases import Calls, Case, Odd, fresh, kept
from .test_reference_counts import PAYLOADS, check, times
from .test_reference_counts_streams import WAYS, steady

Make = Callable[[Twin, bytes], Case]


def put(twin: Twin, payload: bytes) -> Case:
    group, name = twin.group.GroupRing(), fresh("chan")
    member = group.member(name)
    watched = {"payload": payload, "name": name, "group": group, "member": member}
    return Case(watched, lambda: member.accept(payload, True, 1), group.clear, kept(twin, payload=1))


def put_and_take(twin: Twin, payload: bytes) -> Case:
    group, names = twin.group.GroupRing(), [fresh("chan"), fresh("other")]
    members = [group.member(name) for name in names]

    def act() -> None:
        for member in members:
            member.accept(payload, True, 1)
        assert [group.take_tagged() for _ in members] == [(name, payload, True, 1) for name in names]

    watched = {"payload": payload, "name": names[0], "last": names[1], "group": group, "member": members[0]}
    return Case(watched, act)


def overflow(twin: Twin, payload: bytes) -> Case:
    group, name = twin.group.GroupRing(1), fresh("chan")
    member, other = group.member(name), group.member("other")

    def act() -> None:
        for _ in range(3):
            member.accept(payload, True, 1)
            other.accept(b"other", True, 1)

    return Case({"payload": payload, "name": name, "group": group, "member": member}, act, group.clear)


def members_that_come_and_go(twin: Twin, payload: bytes) -> Case:
    group, name, tally = twin.group.GroupRing(), fresh("chan"), twin.ring.Tally()

    def act() -> None:
        members = [group.member(name) for _ in range(4)]
        for member in members:
            member.tally = tally
            member.accept(payload, False, 1)
        gone = weakref.ref(members.pop())
        del member
        assert gone() is None
        members.pop()
        group.take()

    def undo() -> None:
        group.clear()
        # What is left of those that are gone goes with the next that comes.
        group.member("next")

    held = {"name": 3, "tally": 3} | kept(twin, payload=3)
    return Case({"payload": payload, "name": name, "group": group, "tally": tally}, act, undo, held)


def a_group_that_goes_with_all_that_is_queued(twin: Twin, payload: bytes) -> Case:
    name, tally = fresh("chan"), twin.ring.Tally()

    def act() -> None:
        group = twin.group.GroupRing()
        group.tally = tally
        for _ in range(3):
            member = group.member(name)
            member.tally = tally
            member.accept(payload, False, 1)

    return Case({"payload": payload, "name": name, "tally": tally}, act)


def collect_a_cycle(twin: Twin, payload: bytes) -> Case:
    name, on_room = fresh("chan"), Calls()

    def act() -> None:
        group = twin.group.GroupRing()
        member = group.member(name)
        group.on_room = on_room
        group.waker = partial(id, member)
        member.waker = partial(id, member)
        member.accept(payload, False, 1)
        gone = [weakref.ref(member), weakref.ref(group)]
        del member, group
        gc.collect(0)
        assert [ref() for ref in gone] == [None, None]

    return Case({"payload": payload, "name": name, "on_room": on_room}, act)


def route(twin: Twin, payload: bytes) -> Case:
    router, group = twin.router.Router(twin.keys.ChannelKey("s")), twin.group.GroupRing()
    name, waker, text = fresh("chan"), Calls(Odd()), b'{"s":"chan"}'

    def act() -> None:
        router.add(name, group.member(name))
        group.waker, group.waiting = waker, True
        router.accept(text, False, 1)
        for act in (router.wake, partial(router.remove, name), router.wake):
            with suppress(Odd):
                act()
        waker.answer.__traceback__ = None
        group.waker = None
        group.waiting = False
        assert group.take_tagged()[0] is name

    return Case({"name": name, "waker": waker, "group": group, "router": router}, act)


def replace(twin: Twin, payload: bytes) -> Case:
    key = twin.keys.ChannelKey("s")
    ring = twin.latest.LatestRing(2, key=key)

    def act() -> None:
        for text in (payload, payload, b'{"s":"a"}', b'{"s":"a"}', b'{"s":"b"}', payload):
            ring.accept(text, False, 1)
        ring.take()

    return Case({"payload": payload, "ring": ring, "key": key}, act, ring.clear, kept(twin, payload=1))


def conflate_and_go(twin: Twin, payload: bytes) -> Case:
    key, tally = twin.keys.ChannelKey("s"), twin.ring.Tally()

    def act() -> None:
        ring = twin.latest.LatestRing(key=key)
        ring.tally = tally
        ring.on_room = partial(id, ring)
        for text in (payload, b'{"s":"a"}', b'{"s":"b"}'):
            ring.accept(text, False, 1)
        gone = weakref.ref(ring)
        del ring
        gc.collect(0)
        assert gone() is None

    return Case({"payload": payload, "key": key, "tally": tally}, act)


CASES = [
    put,
    put_and_take,
    overflow,
    members_that_come_and_go,
    a_group_that_goes_with_all_that_is_queued,
    collect_a_cycle,
    route,
    replace,
    conflate_and_go,
]


@pytest.mark.slow
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_groups_and_conflating_queues(twin: Twin, make: Make, payload: bytes) -> None:
    check(make(twin, payload), times(twin, payload))


@pytest.mark.slow
@pytest.mark.parametrize("decode", ["bytes", "str", "call", "raising"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_delivery(twin: Twin, way: Callable[[Any], Any], decode: str) -> None:
    payloads = [b"", b"x", bytes(bytearray(b"a payload")), bytes(bytearray(b"\xff")), bytes(10_000)]
    called = Calls(Odd("no") if decode == "raising" else object())
    group, names = twin.group.GroupRing(), [fresh("chan"), fresh("other")]
    stream = twin.group_stream.GroupStream(group, {"bytes": bytes, "str": str}.get(decode, called), "name")
    members = [group.member(name) for name in names]
    watched = {"payload": payloads[2], "decode": called, "answer": called.answer, "name": names[0], "stream": stream}

    async def turns(count: int) -> None:
        for number in range(count):
            members[number % 2].accept(payloads[number % 5], False, 1)
            with suppress(DecodeError):
                await way(stream)
            if decode == "raising":
                called.answer.__traceback__ = None
        # The group knows whose the last one was.
        members[1].accept(b"", False, 1)
        group.take()

    await turns(5)
    await steady(watched, turns, 500 if twin.kind == "compiled" else 100)


async def test_a_stream_and_its_group_go(twin: Twin) -> None:
    group = twin.group.GroupRing()
    stream = twin.group_stream.GroupStream(group, bytes)
    member = group.member("a")

    async def received(stream: Any) -> Any:
        return await stream.recv()

    task = asyncio.ensure_future(received(stream))
    await asyncio.sleep(0)
    member.accept(b"x", False, 1)
    member.wake()
    assert await task == ("a", b"x")
    stream.end()
    gone = [weakref.ref(group), weakref.ref(member)]
    del group, stream, member, task
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
