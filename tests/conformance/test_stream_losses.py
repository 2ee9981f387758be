"""What a stream's consumer is given in the place of messages that were lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .streams import settled
from .test_stream_marks import ended, ways

BOTH = [Twin("compiled"), Twin("pure")]


class Overrun(Exception):
    """As a stream whose `overflow` is "error" raises."""


def gap(kind: str, count: int, since_ns: int, until_ns: int) -> tuple[str, int, int, int]:
    return kind, count, since_ns, until_ns


def losing(twin: Twin, capacity: int = 2, make: Any = gap, **options: Any) -> Any:
    stream = twin.stream.MessageStream(twin.ring.MessageRing(capacity, **options), bytes)
    stream.watch_losses(make)
    return stream


def push(stream: Any, *numbers: int) -> None:
    for number in numbers:
        assert stream.ring.accept(b"%d" % number, False, 1000 + number)
    stream.ring.wake()


def numbered(*numbers: int) -> list[bytes]:
    return [b'{"s":"a","n":%d}' % number for number in numbers]


def in_sequence(twin: Twin, capacity: int = 0, make: Any = gap, **options: Any) -> tuple[Any, Any]:
    stream = losing(twin, capacity, make, **options)
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("a", stream.ring, twin.watch.Watch(sequence=twin.watch.Sequence("n")))
    return stream, router


def feed(router: Any, *numbers: int) -> None:
    for number, payload in zip(numbers, numbered(*numbers), strict=True):
        assert router.accept(payload, False, 1000 + number)
    router.wake()


@ways
async def test_what_the_oldest_gave_way_to_is_told_before_it(twin: Twin, way: Any) -> None:
    stream = losing(twin)
    push(stream, 1, 2)
    assert [await anext(stream), await anext(stream)] == [b"1", b"2"]
    push(stream, 3, 4, 5, 6)
    assert await way(ended(stream)) == [("overflow", 2, 1002, 1005), b"5", b"6"]
    assert stream.ring.dropped == 2


@ways
async def test_what_there_was_no_room_for_is_told_behind_what_there_was(twin: Twin, way: Any) -> None:
    stream = losing(twin, overflow="drop_newest")
    push(stream, 1, 2, 3, 4)
    assert await way(ended(stream)) == [b"1", b"2", ("overflow", 2, 1003, 1004)]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_message_that_never_fits_is_told_in_its_place(twin: Twin, overflow: str) -> None:
    stream = losing(twin, 0, max_bytes=4, overflow=overflow)
    push(stream, 1, 2, 33333, 4, 5)
    assert await stream.recv_batch() == [b"1", b"2", ("overflow", 1, 34333, 34333), b"4", b"5"]


async def test_a_small_message_behind_a_large_one_that_was_dropped_is_behind_the_gap(twin: Twin) -> None:
    stream = losing(twin, 0, max_bytes=4, overflow="drop_newest")
    push(stream, 1, 22, 333, 4, 555)
    assert await stream.recv_batch() == [b"1", b"22", ("overflow", 2, 1333, 1555), b"4"]
    push(stream, 666, 77, 8)
    assert await stream.recv_batch() == [b"666", ("overflow", 1, 1077, 1077), b"8"]


@ways
async def test_a_break_in_a_sequence_is_told_before_what_shows_it(twin: Twin, way: Any) -> None:
    stream, router = in_sequence(twin)
    feed(router, 1, 2, 5, 6, 8)
    found = await way(ended(stream))
    one, two, five, six, eight = numbered(1, 2, 5, 6, 8)
    assert found == [one, two, ("sequence", 2, 1002, 1005), five, six, ("sequence", 1, 1006, 1008), eight]


async def test_a_break_whose_messages_are_dropped_is_told_with_them(twin: Twin) -> None:
    stream, router = in_sequence(twin, 2)
    feed(router, 1, 2, 5, 6, 7)
    assert await stream.recv_batch() == [("sequence", 2, 1002, 1005), ("overflow", 3, 0, 1006), *numbered(6, 7)]


async def test_a_break_wakes_who_waits_on_a_quiet_channel(twin: Twin) -> None:
    stream = losing(twin)
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("quiet", stream.ring)
    router.sequence = twin.watch.Sequence("n")
    heard: list[Any] = []
    stream.listen(heard.append, heard.append, list)
    feed(router, 1, 2)
    assert heard == []
    feed(router, 4)
    assert heard == [("sequence", 1, 1002, 1004)]
    stream.stop_listening()
    task = asyncio.ensure_future(stream.recv())
    await settled()
    feed(router, 7)
    assert await task == ("sequence", 2, 1004, 1007)


async def test_an_overflow_may_be_an_error(twin: Twin) -> None:
    """The ring then drops the newest, and the error comes where they are missing."""

    def fail(kind: str, count: int, since_ns: int, until_ns: int) -> Exception:
        return Overrun(f"{kind}: {count} messages between {since_ns} and {until_ns}")

    stream = losing(twin, make=fail, overflow="drop_newest")
    push(stream, 1, 2, 3, 4)
    assert await stream.recv_batch() == [b"1", b"2"]
    with pytest.raises(Overrun, match="overflow: 2 messages between 1003 and 1004"):
        await stream.recv()
    push(stream, 5, 6, 7)
    assert [await anext(stream), await stream.recv(timeout=0)] == [b"5", b"6"]
    with pytest.raises(Overrun, match="overflow: 1 messages"):
        await anext(stream)
    with pytest.raises(TimeoutError):
        await stream.recv(timeout=0)
    # A listener's `on_trouble` hears of it.
    push(stream, 8, 9, 10)
    heard: list[Any] = []
    stream.listen(heard.append, lambda error: heard.append(str(error)), list)
    assert heard == [b"8", b"9", "overflow: 1 messages between 1010 and 1010"]


async def test_what_the_maker_raises_is_raised_in_its_place(twin: Twin) -> None:
    def broken(*_: object) -> Any:
        raise LookupError("no such thing")

    stream = losing(twin, make=broken)
    push(stream, 1, 2, 3)
    with pytest.raises(LookupError, match="no such thing"):
        await stream.recv()
    assert await stream.recv_batch() == [b"2", b"3"]


async def test_the_maker_may_take_and_mark(twin: Twin) -> None:
    taken = []

    def odd(kind: str, *_: int) -> str:
        taken.append(stream.ring.take()[0])
        stream.mark("mark")
        return kind

    stream = losing(twin, make=odd)
    push(stream, 1, 2, 3)
    # The mark is behind the one message that is left.
    assert await stream.recv_batch() == ["overflow", b"3", "mark"]
    assert taken == [b"2"]
    with pytest.raises(TimeoutError):
        await stream.recv(timeout=0)


async def test_losses_from_before_or_after_are_not_told(twin: Twin) -> None:
    stream, router = in_sequence(twin, 2)
    stream.watch_losses(None)
    feed(router, 1, 3, 5, 7)
    stream.watch_losses(gap)
    assert await stream.recv_batch() == numbered(5, 7)
    feed(router, 9)
    assert await stream.recv() == ("sequence", 1, 1007, 1009)
    stream.watch_losses(None)
    feed(router, 11, 13)
    assert await stream.recv_batch() == numbered(11, 13)


async def test_marks_and_losses_keep_their_order(twin: Twin) -> None:
    stream = losing(twin, 3)
    push(stream, 1, 2)
    stream.mark("mark")
    push(stream, 3, 4)
    assert await anext(stream) == ("overflow", 1, 0, 1002)
    assert await anext(stream) == b"2"
    push(stream, 5, 6, 7)
    stream.mark("last")
    assert await stream.recv_batch() == ["mark", ("overflow", 2, 1002, 1005), b"5", b"6", b"7", "last"]


async def test_whoever_waits_hears_of_a_loss_with_the_next_message(twin: Twin) -> None:
    stream = losing(twin, 0, max_bytes=2)
    push(stream, 333)
    assert await stream.recv(timeout=0) == ("overflow", 1, 1333, 1333)


items = st.lists(st.tuples(st.sampled_from(["push", "push", "push", "one", "batch"]), st.integers(1, 5)), max_size=50)


@given(items=items, overflow=st.sampled_from(["drop_oldest", "drop_newest"]), max_bytes=st.sampled_from([0, 6, 13]))
@settings(max_examples=200)
def test_every_message_is_delivered_or_told_of_in_order(items: list[Any], overflow: str, max_bytes: int) -> None:
    """Numbers up to each gap, and behind it, add up: as for a consumer who keeps a book."""

    async def follow(twin: Twin) -> list[Any]:
        stream, router = in_sequence(twin, 3, overflow=overflow, max_bytes=max_bytes * 7)
        sent = number = 0
        found: list[Any] = []
        for what, count in items:
            if what == "push":
                for _ in range(count):
                    sent, number = sent + 1, number + (2 if count == 5 else 1)
                    # Some are larger than others.
                    payload = json.dumps({"s": "a", "n": number, "x": "x" * (number * 7 % 30)}).encode()
                    assert router.accept(payload, False, number)
            else:
                try:
                    found += await stream.recv_batch(count, 0) if what == "batch" else [await stream.recv(timeout=0)]
                except TimeoutError:
                    pass
        stream.end(quiet=True)
        found += [item async for item in stream]
        gaps = [item for item in found if isinstance(item, tuple)]
        messages = [json.loads(item)["n"] for item in found if isinstance(item, bytes)]
        assert messages == sorted(messages)
        assert len(messages) + sum(gap[1] for gap in gaps if gap[0] == "overflow") == sent
        assert len(messages) + sum(gap[1] for gap in gaps) == max(number - (sent > 0 and count_first(items)), 0)
        assert not told_late(found)
        return found

    found = [asyncio.run(follow(twin)) for twin in BOTH]
    assert found[0] == found[1]


def count_first(items: list[Any]) -> int:
    """How many numbers are left out before the first message: nobody can know of them."""
    return next((1 if count == 5 else 0 for what, count in items if what == "push"), 0)


def told_late(found: list[Any]) -> list[Any]:
    """Messages behind missing ones of which nothing was told before. One item stands for all losses of a time."""
    last, told, late = None, 0, []
    for item in found:
        if isinstance(item, tuple):
            told = max(told, item[3])
            continue
        number = json.loads(item)["n"]
        if last is not None and number != last + 1 and number - 1 > told:
            late.append(number)
        last = number
    return late


async def test_a_mark_comes_before_what_has_taken_the_place_of_a_message_since(twin: Twin) -> None:
    """A queue of the newest message keeps its place: its content is of another time than that."""
    ring = twin.latest.LatestRing()
    stream = twin.stream.MessageStream(ring, bytes)
    stream.watch_losses(lambda kind, count, *_: (kind, count))
    ring.accept(b"before", False, 1)
    stream.mark("the connection was lost")
    ring.accept(b"behind", False, 2)
    assert [await stream.recv(0) for _ in range(3)] == ["the connection was lost", ("overflow", 1), b"behind"]
