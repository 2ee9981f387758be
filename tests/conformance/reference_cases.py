"""What test_reference_counts.py does with rings and sieves, once and a thousand times."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from .conftest import Twin


class Case(NamedTuple):
    """An operation, and what brings everything back to where it was.

    `held` says by how much the operation alone changes the counts of references to what is watched.
    """

    watched: dict[str, object]
    act: Callable[[], Any]
    undo: Callable[[], Any] = lambda: None
    held: Mapping[str, int] = MappingProxyType({})


class Odd(Exception):
    """What a callback raises."""


class Calls:
    """A callback that answers or raises; it can be referred to weakly."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def __call__(self, *_: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer.with_traceback(None)
        return self.answer


def kept(twin: Twin, **counts: int) -> dict[str, int]:
    """What the pure twin holds; the compiled one has copies."""
    return counts if twin.kind == "pure" else {}


def fresh(text: str) -> str:
    """A text of its own, that nothing else refers to."""
    return "".join(list(text))


def ignoring(act: Callable[[], Any], *errors: type[BaseException]) -> Callable[[], None]:
    """`act`, whose error is expected."""

    def ignored() -> None:
        with pytest.raises(errors):
            act()

    return ignored


def put(twin: Twin, payload: bytes) -> Case:
    ring = twin.ring.MessageRing()
    return Case(
        {"payload": payload, "ring": ring}, lambda: ring.accept(payload, True, 1), ring.clear, kept(twin, payload=1)
    )


def put_and_take(twin: Twin, payload: bytes) -> Case:
    ring = twin.ring.MessageRing()

    def act() -> None:
        ring.accept(payload, True, 1)
        ring.accept(payload, False, 2)
        assert (ring.take(), ring.take()) == ((payload, True, 1), (payload, False, 2))

    return Case({"payload": payload, "ring": ring}, act)


def take_from_nothing(twin: Twin, payload: bytes) -> Case:
    ring = twin.ring.MessageRing()
    return Case({"ring": ring}, ignoring(ring.take, IndexError))


def drop_the_oldest(twin: Twin, payload: bytes) -> Case:
    ring, other = twin.ring.MessageRing(2), bytes(bytearray(b"other one"))

    def act() -> None:
        for _ in range(5):
            ring.accept(payload, False, 1)
        ring.accept(other, False, 1)
        ring.accept(other, False, 1)

    return Case({"payload": payload, "other": other, "ring": ring}, act, ring.clear, kept(twin, other=2))


def drop_the_newest(twin: Twin, payload: bytes) -> Case:
    ring, first = twin.ring.MessageRing(1, overflow="drop_newest"), bytes(bytearray(b"first one"))

    def act() -> None:
        for accepted in (first, payload, payload):
            ring.accept(accepted, False, 1)

    return Case({"payload": payload, "first": first, "ring": ring}, act, ring.clear, kept(twin, first=1))


def refuse_and_make_room(twin: Twin, payload: bytes) -> Case:
    ring, on_room = twin.ring.MessageRing(1, overflow="block"), Calls()
    ring.on_room = on_room

    def act() -> None:
        assert ring.accept(payload, False, 1)
        assert not ring.accept(payload, False, 1)
        ring.take()
        ring.accept(payload, False, 1)
        assert not ring.accept(payload, False, 1)
        ring.clear()

    return Case({"payload": payload, "on_room": on_room, "ring": ring}, act)


def make_room_for_one_that_raises(twin: Twin, payload: bytes) -> Case:
    ring, on_room = twin.ring.MessageRing(1, overflow="block"), Calls(Odd())
    ring.on_room = on_room

    def act() -> None:
        for empty in (ring.take, ring.clear):
            ring.accept(payload, False, 1)
            ring.accept(payload, False, 1)
            with pytest.raises(Odd):
                empty()

    return Case({"payload": payload, "on_room": on_room, "error": on_room.answer, "ring": ring}, act)


def wake(twin: Twin, payload: bytes) -> Case:
    ring, waker, raising = twin.ring.MessageRing(), Calls(), Calls(Odd())

    def act() -> None:
        ring.accept(payload, False, 1)
        for callback in (waker, raising, None):
            ring.waker, ring.waiting = callback, True
            with suppress(Odd):
                ring.wake()
        ring.clear()

    return Case({"payload": payload, "waker": waker, "raising": raising, "error": raising.answer, "ring": ring}, act)


def hand_over_to_a_tally(twin: Twin, payload: bytes) -> Case:
    tally, on_room = twin.ring.Tally(), Calls()

    def act() -> None:
        ring = twin.ring.MessageRing(3)
        ring.tally = twin.ring.Tally()
        ring.tally = tally
        ring.on_room = ring.waker = on_room
        for _ in range(5):
            ring.accept(payload, False, 1)
        assert ring.tally is tally

    return Case({"payload": payload, "tally": tally, "on_room": on_room}, act)


def collect_a_cycle(twin: Twin, payload: bytes) -> Case:
    tally, on_room = twin.ring.Tally(), Calls()

    def act() -> None:
        ring = twin.ring.MessageRing()
        ring.tally, ring.on_room = tally, on_room
        ring.waker = partial(id, ring)
        ring.accept(payload, False, 1)
        gone = weakref.ref(ring)
        del ring
        gc.collect(0)
        assert gone() is None

    return Case({"payload": payload, "tally": tally, "on_room": on_room}, act)


def refuse_bad_arguments(twin: Twin, payload: bytes) -> Case:
    ring, name = twin.ring.MessageRing(), fresh("nowhere")

    def act() -> None:
        for options in ({"capacity": -1}, {"max_bytes": -1}, {"overflow": name}):
            with pytest.raises(ValueError, match=r"must be"):
                twin.ring.MessageRing(**options)

    return Case({"ring": ring, "name": name}, act)


def sift(twin: Twin, payload: bytes) -> Case:
    ring, error = twin.ring.MessageRing(), Odd()
    matches = Calls()
    sieve = twin.sieve.Sieve(ring, matches)

    def act() -> None:
        for answer in (True, False, error):
            matches.answer = answer
            sieve.accept(payload, False, 1)
        sieve.wake()
        sieve.error = matches.answer = error.__traceback__ = None

    def undo() -> None:
        ring.clear()

    watched = {"payload": payload, "matches": matches, "ring": ring, "sieve": sieve}
    return Case(watched, act, undo, kept(twin, payload=2))


RINGS = [
    put,
    put_and_take,
    take_from_nothing,
    drop_the_oldest,
    drop_the_newest,
    refuse_and_make_room,
    make_room_for_one_that_raises,
    wake,
    hand_over_to_a_tally,
    collect_a_cycle,
    refuse_bad_arguments,
    sift,
]
