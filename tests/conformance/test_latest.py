"""LatestRing: of each key no more than the newest message, in the order in which the keys came."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin

BOTH = [Twin("compiled"), Twin("pure")]
Entry = tuple[str | None, tuple[bytes, bool, int]]


class Model:
    """What it is to do, with a plain list."""

    def __init__(self, capacity: int, max_bytes: int) -> None:
        self.capacity, self.max_bytes = capacity or 10**9, max_bytes or 10**9
        self.entries: list[Entry] = []
        self.received = self.delivered = self.dropped = self.conflated = 0

    def nbytes(self) -> int:
        return sum(len(item[0]) for _, item in self.entries)

    def accept(self, key: str | None, item: tuple[bytes, bool, int]) -> None:
        size = len(item[0])
        self.received += 1
        if size > self.max_bytes:
            self.dropped += 1
            return
        keys = [one for one, _ in self.entries]
        if key in keys:
            self.entries[keys.index(key)] = key, item
            self.dropped += 1
            self.conflated += 1
        else:
            self.entries.append((key, item))
        while len(self.entries) > self.capacity or self.nbytes() > self.max_bytes:
            del self.entries[0 if self.entries[0][0] != key else 1]
            self.dropped += 1

    def take(self) -> tuple[bytes, bool, int]:
        self.delivered += 1
        return self.entries.pop(0)[1]

    def clear(self) -> int:
        count = len(self.entries)
        self.dropped += count
        self.entries.clear()
        return count


def assert_like(ring: Any, model: Model) -> None:
    assert (len(ring), ring.nbytes) == (len(model.entries), model.nbytes())
    assert (ring.received, ring.delivered, ring.dropped) == (model.received, model.delivered, model.dropped)
    assert ring.conflated == model.conflated
    assert ring.received == ring.delivered + ring.dropped + len(ring)
    # Where the next message will stand is not moved by what is replaced.
    assert ring.tail - ring.head == len(ring)
    assert ring.head == ring.delivered + ring.dropped - ring.aside


def quote(key: str | None, size: int = 0) -> bytes:
    """A message with that key, of as many bytes where it is shorter."""
    if key is None:
        return b"x" * size
    return b'{"s":"%s"}' % key.encode() + b" " * (size - 8 - len(key.encode()))


KEYS = [None, "", "a", "b", "c", "d\N{EURO SIGN}", "a name of over sixteen bytes", "a name of over sixteen bytez"]
operations = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.sampled_from([0, 1, 50, 100, 101, 5000, 70_000]), st.sampled_from(KEYS)),
        st.tuples(st.just("accept"), st.integers(0, 120), st.sampled_from(KEYS)),
        st.tuples(st.just("take"), st.integers(1, 10), st.none()),
        st.tuples(st.just("clear"), st.just(0), st.none()),
    ),
    max_size=60,
)


@given(
    capacity=st.sampled_from([0, 0, 1, 2, 3, 5]),
    max_bytes=st.sampled_from([0, 0, 1, 100, 500]),
    keyed=st.booleans(),
    steps=operations,
)
@settings(max_examples=400, deadline=None)
def test_against_a_list(capacity: int, max_bytes: int, keyed: bool, steps: list[tuple[str, int, str | None]]) -> None:
    for twin in BOTH:
        key = twin.keys.ChannelKey("s") if keyed else None
        ring, model = twin.latest.LatestRing(capacity, max_bytes=max_bytes, key=key), Model(capacity, max_bytes)
        for number, (step, size, name) in enumerate(steps):
            if step == "accept":
                item = (quote(name, size), bool(number % 2), number)
                assert ring.accept(*item)
                model.accept(name if keyed else None, item)
            elif step == "clear":
                assert ring.clear() == model.clear()
            else:
                for _ in range(min(size, len(model.entries))):
                    assert ring.take() == model.take()
            assert_like(ring, model)
        while model.entries:
            assert ring.take() == model.take()
        assert_like(ring, model)


@pytest.mark.parametrize(("capacity", "max_bytes"), [(0, 0), (100, 0), (0, 20_000)])
def test_long_runs_over_many_keys(twin: Twin, capacity: int, max_bytes: int) -> None:
    rng = random.Random(capacity + max_bytes)
    ring = twin.latest.LatestRing(capacity, max_bytes=max_bytes, key=twin.keys.ChannelKey("s"))
    model = Model(capacity, max_bytes)
    for number in range(6000):
        if rng.random() < 0.6 + 0.2 * (number // 1000 % 2):
            name = f"{'long-' * rng.randrange(5)}{rng.randrange(250)}"
            item = (quote(name, int(rng.expovariate(1 / 300))), rng.random() < 0.5, rng.randrange(-(2**63), 2**63))
            assert ring.accept(*item)
            model.accept(name, item)
        elif model.entries:
            assert ring.take() == model.take()
        if number % 100 == 0:
            assert_like(ring, model)
    assert_like(ring, model)
    while model.entries:
        assert ring.take() == model.take()


def test_without_a_key_only_the_newest_is_kept(twin: Twin) -> None:
    ring = twin.latest.LatestRing()
    for number in range(5):
        assert ring.accept(b"%d" % number, bool(number % 2), number)
    assert (len(ring), ring.received, ring.dropped, ring.conflated) == (1, 5, 4, 4)
    assert ring.take() == (b"4", False, 4)
    with pytest.raises(IndexError, match=r"take\(\) from an empty MessageRing"):
        ring.take()


def test_a_busy_key_does_not_push_others_back(twin: Twin) -> None:
    ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("s"))
    taken = []
    for name in ("busy", "a", "b"):
        ring.accept(quote(name), False, 1)
    for number in range(3):
        for _ in range(100):
            ring.accept(quote("busy", 20 + number), False, 1)
        taken.append(ring.take()[0])
    assert taken == [quote("busy", 20), quote("a"), quote("b")]
    assert ring.take()[0] == quote("busy", 22)


def test_beyond_its_bounds_the_oldest_key_goes(twin: Twin) -> None:
    ring = twin.latest.LatestRing(2, key=twin.keys.ChannelKey("s"))
    for name in "abab":
        ring.accept(quote(name), False, 1)
    ring.accept(quote("c"), False, 1)
    assert (ring.dropped, ring.conflated) == (3, 2)
    assert [ring.take()[0] for _ in range(2)] == [quote("b"), quote("c")]


def test_a_message_that_grows_pushes_out_others_and_never_itself(twin: Twin) -> None:
    ring = twin.latest.LatestRing(max_bytes=100, key=twin.keys.ChannelKey("s"))
    for name in "abc":
        ring.accept(quote(name, 30), False, 1)
    ring.accept(quote("a", 60), False, 2)
    assert (len(ring), ring.nbytes, ring.dropped, ring.conflated) == (2, 90, 2, 1)
    ring.accept(quote("a", 101), False, 3)
    # What could not be kept anyway pushes nothing else out.
    assert (len(ring), ring.nbytes, ring.dropped, ring.conflated) == (2, 90, 3, 1)
    assert [ring.take() for _ in range(2)] == [(quote("a", 60), False, 2), (quote("c", 30), False, 1)]


def test_a_template_is_a_key_too(twin: Twin) -> None:
    ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("{arg.channel}:{arg.instId}"))
    payloads = [
        b'{"arg":{"channel":"books","instId":"%s"},"n":%d}' % (name, n) for n in range(3) for name in (b"X", b"Y")
    ]
    for payload in payloads:
        ring.accept(payload, False, 1)
    assert [ring.take()[0] for _ in range(2)] == payloads[-2:]


def test_names_that_differ_in_how_they_are_written_are_one_key(twin: Twin) -> None:
    ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("s"))
    ring.accept(b'{"s":"ab"}', False, 1)
    ring.accept(b'{"s":"\\u0061b"}', False, 2)
    assert (len(ring), ring.take()) == (1, (b'{"s":"\\u0061b"}', False, 2))


def test_its_bounds_can_be_read(twin: Twin) -> None:
    key = twin.keys.ChannelKey("s")
    ring = twin.latest.LatestRing(5, max_bytes=70, key=key)
    assert (ring.capacity, ring.max_bytes, ring.overflow, ring.key) == (5, 70, "latest", key)
    ring.stop_blocking()
    ring.accept(quote("a"), False, 1)
    ring.accept(quote("a"), False, 1)
    assert repr(ring) == "LatestRing(1 of 5 keys, conflated 1)"
    assert isinstance(ring, twin.ring.MessageRing)
    ring = twin.latest.LatestRing()
    assert (ring.capacity, ring.max_bytes, ring.overflow, ring.key) == (0, 0, "latest", None)
    assert repr(ring) == "LatestRing(0 of unbounded keys, conflated 0)"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"capacity": -1}, "capacity must be non-negative, got -1"),
        ({"max_bytes": -5}, "max_bytes must be non-negative, got -5"),
    ],
)
def test_bad_bounds(twin: Twin, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        twin.latest.LatestRing(**arguments)
    assert str(caught.value) == text


def test_it_is_initialised_once(twin: Twin) -> None:
    ring = twin.latest.LatestRing(1)
    ring.accept(b"x", False, 1)
    with pytest.raises(TypeError, match="is initialised once"):
        ring.__init__(2)
    assert (ring.capacity, ring.key, len(ring)) == (1, None, 1)


def test_what_it_came_to_goes_to_the_tally(twin: Twin) -> None:
    ring, tally = twin.latest.LatestRing(key=twin.keys.ChannelKey("s")), twin.ring.Tally()
    ring.tally = tally
    for name in "aab":
        ring.accept(quote(name), False, 1)
    ring.take()
    del ring
    assert (tally.received, tally.delivered, tally.dropped) == (3, 1, 2)


# Behind a router, and before a stream.


def test_routed_to_and_spilled_into(twin: Twin) -> None:
    key = twin.keys.ChannelKey("s")
    spill, ring = twin.latest.LatestRing(), twin.latest.LatestRing(key=twin.keys.ChannelKey("k"))
    router = twin.router.Router(key, spill)
    router.add("a", ring)
    calls: list[int] = []
    ring.waker = lambda: calls.append(len(ring))
    ring.waiting = True
    for number in range(4):
        router.accept(b'{"s":"a","k":%d,"n":%d}' % (number % 2, number), False, 1)
        router.accept(b'{"s":"b","n":%d}' % number, False, 1)
    router.wake()
    assert (calls, router.routed, router.unroutable) == ([2], 4, 4)
    assert (ring.received, ring.conflated, spill.received, len(spill)) == (4, 2, 4, 1)
    assert [ring.take()[0][-6:] for _ in range(2)] == [b'"n":2}', b'"n":3}']
    assert spill.take()[0] == b'{"s":"b","n":3}'


async def test_a_stream_gives_the_newest(twin: Twin) -> None:
    ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("s"))
    stream = twin.stream.MessageStream(ring, bytes)
    for size in (20, 30):
        for name in "ab":
            ring.accept(quote(name, size), False, size)
    assert await stream.recv() == quote("a", 30)
    ring.accept(quote("a", 40), False, 40)
    assert await stream.recv_batch() == [quote("b", 30), quote("a", 40)]
    ring.accept(quote("a", 50), True, 50)
    message = await anext(stream.messages())
    assert (message.data, message.binary, message.received_ns) == (quote("a", 50), True, 50)


async def test_what_was_replaced_is_told_before_what_is_queued(twin: Twin) -> None:
    ring = twin.latest.LatestRing(2, key=twin.keys.ChannelKey("s"))
    stream = twin.stream.MessageStream(ring, bytes)
    stream.watch_losses(lambda *facts: facts)
    for number, name in enumerate("aabaa", start=1):
        ring.accept(quote(name), False, number)
    stream.mark("a mark")
    assert await stream.recv_batch() == [("overflow", 3, 2, 5), quote("a"), quote("b"), "a mark"]
    for number, name in enumerate("abc", start=6):
        ring.accept(quote(name), False, number)
    assert await stream.recv_batch() == [("overflow", 1, 3, 7), quote("b"), quote("c")]


async def test_a_break_comes_before_what_is_queued(twin: Twin) -> None:
    ring = twin.latest.LatestRing()
    stream = twin.stream.MessageStream(ring, bytes)
    stream.watch_losses(lambda kind, *facts: (kind, facts[0]))
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("a", ring, twin.watch.Watch(sequence=twin.watch.Sequence("n")))
    for number in (1, 2, 5):
        router.accept(b'{"s":"a","n":%d}' % number, False, number)
    assert await stream.recv_batch() == [("overflow", 2), ("sequence", 2), b'{"s":"a","n":5}']


async def test_marks_keep_their_places_while_messages_are_replaced(twin: Twin) -> None:
    ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("s"))
    stream = twin.stream.MessageStream(ring, bytes)
    for name in "ab":
        ring.accept(quote(name), False, 1)
    stream.mark("a mark")
    ring.accept(quote("c"), False, 1)
    for name in "abcabc":
        ring.accept(quote(name), False, 2)
    assert await stream.recv_batch() == [quote("a"), quote("b"), "a mark", quote("c")]


# Memory, of the compiled one.


def compiled_ring(**options: Any) -> Any:
    twin = Twin("compiled")
    return twin.latest.LatestRing(key=twin.keys.ChannelKey("s"), **options)


@pytest.mark.parametrize("size", [20, 1000, 50_000])
@pytest.mark.parametrize("drain", ["take", "clear"])
def test_a_burst_gives_its_memory_back(size: int, drain: str) -> None:
    ring = compiled_ring()
    for number in range(5_000_000 // (size + 100)):
        ring.accept(quote(str(number), size), False, 1)
    # A key, an entry, two places in the table, and the room that a buffer has to grow.
    assert ring.nbytes <= ring.allocated <= 1.2 * ring.nbytes + 250 * len(ring) + 5000
    while len(ring):
        if drain == "clear":
            ring.clear()
        else:
            ring.take()
    for _ in range(500):
        ring.accept(quote("small"), False, 1)
        ring.take()
    assert ring.allocated <= 1024


def test_memory_follows_what_is_queued() -> None:
    ring = compiled_ring()
    assert ring.allocated == 0
    for number in range(20_000):
        ring.accept(quote(str(number), 100), False, 1)
    for _ in range(19_990):
        ring.take()
    assert ring.allocated <= 10_000
    for number in range(100_000):
        ring.accept(quote(str(19_990 + number % 10), 100), False, 1)
    assert ring.allocated <= 10_000


def test_a_large_message_gives_its_memory_back_when_it_is_replaced() -> None:
    ring = compiled_ring()
    ring.accept(quote("a", 10**6), False, 1)
    assert 10**6 <= ring.allocated <= 1.2 * 10**6
    ring.accept(quote("a", 100), False, 1)
    assert ring.allocated <= 1024
