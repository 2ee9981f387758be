"""Marks: what a stream's consumer is given between messages, in its place, however it takes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .streams import LONG, push, settled, stream_of

BOTH = [Twin("compiled"), Twin("pure")]


class Mark:
    """Something that no decoder could have made."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ONE, TWO = Mark("one"), Mark("two")


async def by_iterating(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def by_recv(stream: Any) -> list[Any]:
    found = []
    try:
        while True:
            found.append(await stream.recv())
    except ConnectionError:
        return found


async def by_recv_in_time(stream: Any) -> list[Any]:
    found = []
    try:
        while True:
            found.append(await stream.recv(timeout=LONG))
    except ConnectionError:
        return found


async def by_batches(stream: Any) -> list[Any]:
    found: list[Any] = []
    async for batch in stream.batches():
        found += batch
    return found


async def by_small_batches(stream: Any) -> list[Any]:
    found: list[Any] = []
    async for batch in stream.batches(2):
        assert 1 <= len(batch) <= 2
        found += batch
    return found


async def by_messages(stream: Any) -> list[Any]:
    return [getattr(item, "data", item) async for item in stream.messages()]


async def by_listening(stream: Any) -> list[Any]:
    found: list[Any] = []
    ended = asyncio.Event()
    stream.listen(found.append, found.append, ended.set)
    await ended.wait()
    return found


WAYS = [by_iterating, by_recv, by_recv_in_time, by_batches, by_small_batches, by_messages, by_listening]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


class Closed(ConnectionError):
    pass


def ended(stream: Any) -> Any:
    stream.end(Closed("closed"), quiet=True)
    return stream


@ways
async def test_marks_come_in_their_place(twin: Twin, way: Any) -> None:
    stream = stream_of(twin, bytes)
    stream.mark(ONE)
    push(stream, b"1", b"2")
    stream.mark(TWO)
    stream.mark(ONE)
    push(stream, b"3")
    stream.mark(TWO)
    ring = stream.ring
    assert await way(ended(stream)) == [ONE, b"1", b"2", TWO, ONE, b"3", TWO]
    assert (ring.received, ring.delivered, ring.dropped, len(ring)) == (3, 3, 0, 0)


@ways
async def test_marks_wake_who_waits_though_there_is_no_message(twin: Twin, way: Any) -> None:
    stream = stream_of(twin, bytes)
    task = asyncio.ensure_future(way(stream))
    await settled()
    stream.mark(ONE)
    await settled()
    push(stream, b"1")
    stream.mark(TWO)
    await settled()
    stream.mark(None)
    ended(stream)
    assert await task == [ONE, b"1", TWO, None]


@ways
async def test_a_mark_outlives_the_messages_around_it(twin: Twin, way: Any) -> None:
    stream = twin.stream.MessageStream(twin.ring.MessageRing(2), bytes)
    push(stream, b"1")
    stream.mark(ONE)
    push(stream, b"2", b"3", b"4")
    stream.mark(TWO)
    push(stream, b"5")
    assert await way(ended(stream)) == [ONE, b"4", TWO, b"5"]


@ways
async def test_a_mark_is_behind_what_is_queued_though_new_messages_are_dropped(twin: Twin, way: Any) -> None:
    stream = twin.stream.MessageStream(twin.ring.MessageRing(2, overflow="drop_newest"), bytes)
    push(stream, b"1", b"2", b"3")
    stream.mark(ONE)
    push(stream, b"4")
    assert await anext(stream) == b"1"
    push(stream, b"5", b"6")
    stream.mark(TWO)
    assert await way(ended(stream)) == [b"2", ONE, b"5", TWO]


@ways
async def test_marks_stay_when_the_queue_is_cleared(twin: Twin, way: Any) -> None:
    stream = stream_of(twin, bytes, b"1", b"2")
    stream.mark(ONE)
    push(stream, b"3")
    stream.ring.clear()
    push(stream, b"4")
    assert await way(ended(stream)) == [ONE, b"4"]


@pytest.mark.parametrize("way", [by_iterating, by_recv, by_recv_in_time, by_batches, by_small_batches, by_messages])
async def test_an_exception_is_raised_in_its_place(twin: Twin, way: Any) -> None:
    stream = stream_of(twin, bytes, b"1", b"2", b"3")
    problem = LookupError("a gap")
    stream.mark(problem)
    push(stream, b"4")
    with pytest.raises(LookupError) as raised:
        await way(stream)
    assert raised.value is problem
    assert stream.ring.delivered == 3
    assert await way(ended(stream)) == [b"4"]


async def test_an_exception_ends_a_batch_before_it(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1", b"2")
    problem = LookupError("a gap")
    stream.mark(ONE)
    stream.mark(problem)
    push(stream, b"3")
    assert await stream.recv_batch() == [b"1", b"2", ONE]
    with pytest.raises(LookupError):
        await stream.recv_batch()
    assert await stream.recv_batch() == [b"3"]


async def test_an_exception_goes_to_the_trouble_of_a_listener(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    problem = LookupError("a gap")
    stream.mark(problem)
    push(stream, b"2")
    heard: list[Any] = []
    stream.listen(lambda item: heard.append(("item", item)), lambda error: heard.append(("trouble", error)), list)
    assert heard == [("item", b"1"), ("trouble", problem), ("item", b"2")]
    stream.mark(problem)
    stream.mark(ONE)
    assert heard[3:] == [("trouble", problem), ("item", ONE)]


async def test_marks_come_before_the_end(twin: Twin) -> None:
    stream = stream_of(twin, bytes, b"1")
    stream.mark(ONE)
    stream.end(Closed("closed"))
    stream.mark(TWO)
    assert [await stream.recv(), await stream.recv(timeout=0), await anext(stream)] == [b"1", ONE, TWO]
    with pytest.raises(Closed):
        await anext(stream)
    with pytest.raises(Closed):
        await stream.recv(timeout=0)


async def test_each_mark_goes_to_one_of_several_tasks(twin: Twin) -> None:
    stream = stream_of(twin, bytes)
    tasks = [asyncio.ensure_future(stream.recv()) for _ in range(3)]
    await settled()
    stream.mark(ONE)
    await settled()
    assert sorted(task.done() for task in tasks) == [False, False, True]
    stream.mark(TWO)
    stream.mark(ONE)
    await settled()
    assert sorted(map(repr, await asyncio.gather(*tasks))) == ["one", "one", "two"]


async def test_a_message_that_cannot_be_decoded_keeps_its_place_among_marks(twin: Twin) -> None:
    stream = stream_of(twin, str, b"1", b"\xff")
    stream.mark(ONE)
    push(stream, b"2")
    assert await stream.recv_batch() == ["1"]
    with pytest.raises(ValueError, match="cannot decode"):
        await stream.recv_batch()
    assert await stream.recv_batch() == [ONE, "2"]


async def test_a_decoder_may_put_a_mark(twin: Twin) -> None:
    marks = [ONE, LookupError("a gap")]
    stream = stream_of(twin, lambda payload: (stream.mark(marks.pop(0)) if marks else None) or payload, b"1", b"2")
    assert await stream.recv_batch() == [b"1"]
    with pytest.raises(LookupError):
        await by_batches(stream)
    assert await by_batches(ended(stream)) == []
    assert stream.ring.delivered == 2


async def test_a_mark_wakes_a_listener(twin: Twin) -> None:
    stream = stream_of(twin, bytes)
    heard: list[Any] = []
    stream.listen(heard.append, heard.append, list)
    stream.mark(ONE)
    push(stream, b"1")
    stream.mark(TWO)
    assert heard == [ONE, b"1", TWO]
    stream.stop_listening()
    stream.mark(ONE)
    assert heard == [ONE, b"1", TWO]
    assert await stream.recv() is ONE


Do = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "mark", "raise", "one", "batch", "message", "clear"]), st.integers(1, 4)
    ),
    max_size=60,
)


@given(steps=steps, overflow=st.sampled_from(["drop_oldest", "drop_newest", "block"]), capacity=st.integers(0, 5))
@settings(max_examples=200)
def test_any_operations_against_a_list(steps: list[Do], overflow: str, capacity: int) -> None:
    async def follow(twin: Twin) -> None:
        stream = twin.stream.MessageStream(twin.ring.MessageRing(capacity, overflow=overflow), bytes)
        queue: list[Any] = []

        def queued() -> list[bytes]:
            return [item for item in queue if isinstance(item, bytes)]

        for number, (what, count) in enumerate(steps):
            if what == "push":
                for at in range(count):
                    payload = f"{number} {at}".encode()
                    full = capacity and len(queued()) == capacity
                    stream.ring.accept(payload, False, number)
                    if full and overflow == "drop_oldest":
                        queue.remove(queued()[0])
                    if not full or overflow == "drop_oldest":
                        queue.append(payload)
            elif what in ("mark", "raise"):
                queue.append(Mark("mark") if what == "mark" else LookupError())
                stream.mark(queue[-1])
            elif what == "clear":
                queue = [item for item in queue if not isinstance(item, bytes)]
                stream.ring.clear()
            elif not queue:
                with pytest.raises(TimeoutError):
                    await stream.recv(timeout=0)
            else:
                # A batch ends before what raises.
                most = count if what == "batch" else 1
                errors = [at for at, item in enumerate(queue[:most]) if isinstance(item, LookupError)]
                most = max(1, errors[0] if errors else most)
                expected, queue = queue[:most], queue[most:]
                try:
                    if what == "batch":
                        found = await stream.recv_batch(count)
                    else:
                        found = [await anext(stream.messages() if what == "message" else stream)]
                        found = [getattr(item, "data", item) for item in found]
                except LookupError as error:
                    found = [error]
                assert found == expected
        assert len(stream.ring) == len(queued())

    for twin in BOTH:
        asyncio.run(follow(twin))
