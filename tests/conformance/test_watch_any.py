"""Watches, sequences and several rings a channel, in any order: as a simple model has it, and both twins alike."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin

BOTH = [Twin("compiled"), Twin("pure")]
CHANNELS = ["a", "b", "a channel with a long name"]
POLICIES = ["drop_oldest", "drop_newest", "block"]

numbers = st.one_of(st.integers(-2, 12), st.sampled_from(["3", "x", None, 2.5]))
channels = st.sampled_from(CHANNELS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), channels, numbers, numbers, st.booleans()),
        st.tuples(st.just("say"), channels, numbers, numbers, st.just(False)),
        st.tuples(st.just("take"), st.integers(0, 4)),
        st.tuples(st.sampled_from(["ring", "unring"]), channels, st.integers(0, 4)),
        st.tuples(st.just("unroute"), channels),
        st.tuples(st.just("route"), channels, st.integers(0, 4), st.sampled_from([None, "next", "previous", "range"])),
        st.tuples(st.just("order"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 4)),
        st.tuples(st.just("wake")),
    ),
    max_size=60,
)
feeds = st.lists(st.tuples(numbers, numbers, st.booleans()), max_size=40)


def number_of(value: Any) -> int | None:
    return int(value) if str(value).lstrip("-").isdigit() else None


def breaks_of(rule: str, feed: list[tuple[Any, Any, bool]]) -> list[tuple[int, int, int, int]]:
    """What is to be found in numbers, some of which begin a new connection: place, expected, got, missing."""
    last: int | None = None
    behind: int | None = None
    found = []
    for place, (raw, other, anew) in enumerate(feed):
        if anew:
            last = behind = None
        number, second = number_of(raw), number_of(other)
        if number is None:
            continue
        before, behind = behind, None
        begins = last is None or (rule != "next" and second is None) or (rule == "previous" and second < 0)
        if begins or (rule == "previous" and second == last):
            last = number
        elif number <= last:
            named = number if rule == "next" else second
            steps_on = before is not None and number > before
            if steps_on and (named == before if rule == "previous" else named <= before + 1):
                found.append((place, last + (rule != "previous"), named, -1))
                last = number
            else:
                behind = number
        else:
            named = number if rule == "next" else second
            if rule == "previous":
                found.append((place, last, named, -1))
            elif named > last + 1:
                found.append((place, last + 1, named, named - last - 1))
            last = number
    return found


def sequence_of(twin: Twin, rule: str) -> Any:
    return twin.watch.Sequence("n", **({} if rule == "next" else {"previous" if rule == "previous" else "first": "m"}))


@given(rule=st.sampled_from(["next", "previous", "range"]), feed=feeds)
@settings(max_examples=200)
def test_any_numbers(rule: str, feed: list[tuple[Any, Any, bool]]) -> None:
    for twin in BOTH:
        router, ring, sequence = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing(7), None
        sequence = sequence_of(twin, rule)
        router.add("a", ring, twin.watch.Watch(sequence=sequence))
        for place, (number, other, anew) in enumerate(feed):
            if anew:
                sequence.reset()
            router.accept(json.dumps({"s": "a", "n": number, "m": other}).encode(), False, place)
        breaks = ring.take_breaks()
        assert [found[:4] for found in breaks] == breaks_of(rule, feed)
        assert all(since < until == at for at, _, _, _, since, until in breaks)
        assert sequence.breaks == len(breaks)


class Side:
    """One twin's router, which does what the steps say, and tells what came of it."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.router = twin.router.Router(twin.keys.ChannelKey("s"))
        self.rings = [twin.ring.MessageRing(3, overflow=POLICIES[at % 3], max_bytes=120 * (at > 2)) for at in range(5)]
        self.calls: list[int] = []
        for at, ring in enumerate(self.rings):
            ring.waker = lambda at=at: self.calls.append(at)
        self.watches: list[Any] = []

    def act(self, now: int, what: str, *details: Any) -> Any:
        try:
            return getattr(self, what)(now, *details)
        except (ValueError, IndexError) as error:
            return str(error)

    def say(self, now: int, channel: str, number: Any, other: Any, sign: bool) -> Any:
        content = {"s": channel, "n": number, "m": other, "t": "hb" if sign else None}
        return self.router.accept(json.dumps(content).encode(), False, now)

    def take(self, _: int, at: int) -> Any:
        return self.rings[at].take()

    def ring(self, _: int, channel: str, at: int) -> Any:
        return self.router.add_ring(channel, self.rings[at])

    def unring(self, _: int, channel: str, at: int) -> Any:
        return self.router.remove_ring(channel, self.rings[at])

    def unroute(self, _: int, channel: str) -> Any:
        return self.router.remove(channel)

    def route(self, _: int, channel: str, at: int, rule: str | None) -> Any:
        watch = None
        if rule is not None:
            watch = self.twin.watch.Watch(skip=("t", "hb"), sequence=sequence_of(self.twin, rule))
            self.watches.append(watch)
        return self.router.add(channel, self.rings[at], watch)

    def order(self, _: int, on: bool) -> Any:
        self.router.sequence = self.twin.watch.Sequence("n") if on else None
        return self.router.sequence is None

    def wait(self, _: int, at: int) -> None:
        self.rings[at].waiting = True

    def wake(self, _: int) -> list[int]:
        self.router.wake()
        calls = sorted(set(self.calls))
        self.calls.clear()
        return calls

    def state(self) -> Any:
        rings = [
            (len(ring), ring.received, ring.delivered, ring.dropped, ring.aside, ring.head, ring.tail, ring.refused)
            for ring in self.rings
        ]
        sequences = [(watch.sequence.last, watch.sequence.breaks, watch.sequence.repeated) for watch in self.watches]
        return rings, self.router.routed, self.router.unroutable, [watch.skipped for watch in self.watches], sequences


@given(steps=steps)
@settings(max_examples=200)
def test_any_operations(steps: list[tuple[Any, ...]]) -> None:
    sides = [Side(twin) for twin in BOTH]
    said = 0
    for now, step in enumerate(steps, 1):
        did = [side.act(now, *step) for side in sides]
        assert did[0] == did[1]
        said += step[0] == "say" and did[0] is True
        states = [side.state() for side in sides]
        assert states[0] == states[1]
        rings, routed, unroutable = states[0][:3]
        assert routed + unroutable == said
        assert all(received == delivered + dropped + count for count, received, delivered, dropped, *_ in rings)
        assert all(head + count == tail for count, *_, head, tail, _ in rings)
    breaks = [[ring.take_breaks() for ring in side.rings] for side in sides]
    assert breaks[0] == breaks[1]
    for ring, found in zip(sides[0].rings, breaks[0], strict=True):
        places = [place for place, *_ in found]
        assert places == sorted(places)
        assert all(place <= ring.tail for place in places)
