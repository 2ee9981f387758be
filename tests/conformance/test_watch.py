"""Watches: what a router looks for in a channel's messages, and that what it finds is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Twin

LARGEST = 2**63 - 1


def message(channel: Any = "a", **content: Any) -> bytes:
    return json.dumps({"s": channel, **content}).encode()


def watched(twin: Twin, sequence: Any = None, **options: Any) -> tuple[Any, Any, Any]:
    router, ring = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing()
    watch = twin.watch.Watch(sequence=sequence, **options)
    router.add("a", ring, watch)
    return router, ring, watch


def feed(router: Any, *messages: bytes, start: int = 0) -> None:
    for number, payload in enumerate(messages, start):
        assert router.accept(payload, False, number)


def test_a_sign_of_life_is_not_queued(twin: Twin) -> None:
    router, spill = twin.router.Router(twin.keys.ChannelKey("[0]")), twin.ring.MessageRing()
    router.spill = spill
    ring, watch = twin.ring.MessageRing(), twin.watch.Watch(skip=("[1]", "hb"))
    router.add("7", ring, watch)
    feed(router, b'[7,"hb"]', b'[7,["hb"]]', b'[8,"hb"]', b'[7,"hbx"]', b'[7,"\\u0068b"]', b"[7]")
    assert [ring.take()[0] for _ in range(len(ring))] == [b'[7,["hb"]]', b'[7,"hbx"]', b"[7]"]
    assert (watch.skipped, router.routed, router.unroutable, len(spill)) == (2, 3, 3, 1)
    assert watch.skip == ("[1]", "hb")


@pytest.mark.parametrize("text", ["", "é", "\ud800", "x" * 100_000])
def test_any_text_can_be_a_sign_of_life(twin: Twin, text: str) -> None:
    router, ring, watch = watched(twin, skip=("t", text))
    feed(router, message(t=text), message(t=text + "x"), message(t=None))
    assert (watch.skipped, len(ring)) == (1, 2)


def test_each_number_is_the_last_one_plus_one(twin: Twin) -> None:
    sequence = twin.watch.Sequence("n")
    router, ring, _ = watched(twin, sequence)
    assert (sequence.rule, sequence.path, sequence.previous, sequence.first) == ("next", "n", None, None)
    assert sequence.last is None
    feed(router, message(n=5), message(n="6"), message(), message(n=9), message(n=9), message(n=7), message(n=10))
    assert ring.take_breaks() == [(3, 7, 9, 2, 1, 3)]
    assert (sequence.last, sequence.last_ns, sequence.breaks, sequence.repeated) == (10, 6, 1, 2)
    assert ring.take_breaks() == []
    assert len(ring) == router.routed == 7
    sequence.reset()
    assert sequence.last is None
    feed(router, message(n=100))
    assert (ring.take_breaks(), sequence.last) == ([], 100)


def test_a_message_names_its_predecessor(twin: Twin) -> None:
    sequence = twin.watch.Sequence("d[0].seqId", previous="d[0].prevSeqId")
    router, ring, _ = watched(twin, sequence)
    assert (sequence.rule, sequence.previous) == ("previous", "d[0].prevSeqId")

    def book(previous: int | None, number: int) -> bytes:
        return message(d=[{"seqId": number} if previous is None else {"prevSeqId": previous, "seqId": number}])

    # A snapshot, a step, nothing new, a lost one, an old one, numbers that begin anew, a snapshot.
    steps = [(-1, 10), (10, 15), (15, 15), (17, 20), (10, 15), (20, 3), (-1, 50), (50, 51), (None, 70), (70, 71)]
    feed(router, *[book(*step) for step in steps])
    assert ring.take_breaks() == [(3, 15, 17, -1, 2, 3)]
    assert (sequence.last, sequence.breaks, sequence.repeated) == (71, 1, 1)


def test_a_message_has_a_range_of_numbers(twin: Twin) -> None:
    sequence = twin.watch.Sequence("u", first="U")
    router, ring, _ = watched(twin, sequence)
    assert (sequence.rule, sequence.first) == ("range", "U")
    # Whole, next, overlapping, old, three lost.
    steps = [(1, 10), (11, 12), (12, 14), (9, 14), (18, 20), (21, 21)]
    feed(router, *[message(U=first, u=last) for first, last in steps])
    assert ring.take_breaks() == [(4, 15, 18, 3, 2, 4)]
    assert (sequence.last, sequence.breaks, sequence.repeated) == (21, 1, 1)


@pytest.mark.parametrize("rule", ["next", "previous", "range"])
def test_numbers_that_begin_anew_are_a_break_of_unknown_size(twin: Twin, rule: str) -> None:
    """As after a restart of the exchange's service: else nothing would be missed until the numbers have caught up."""
    other = {"next": {}, "previous": {"previous": "m"}, "range": {"first": "m"}}[rule]
    sequence = twin.watch.Sequence("n", **other)
    router, ring, _ = watched(twin, sequence)

    def say(*numbers: int) -> None:
        # Each names the one before, or its only number.
        feed(router, *[message(n=number, m=number - (rule == "previous")) for number in numbers])

    say(5000, 5001, 1)
    assert (sequence.last, sequence.repeated, ring.take_breaks()) == (5001, 1, [])
    say(2, 3, 4)
    at, expected, got, missing, since, _ = ring.take_breaks()[0]
    assert (at, missing, since) == (3, -1, 1)
    assert (expected, got) == {"next": (5002, 2), "previous": (5001, 1), "range": (5002, 2)}[rule]
    assert (sequence.last, sequence.breaks, sequence.repeated) == (4, 1, 1)
    say(8)
    assert len(ring.take_breaks()) == 1
    assert (sequence.last, sequence.breaks) == (8, 2)


def test_old_numbers_that_do_not_follow_one_another_are_repeated(twin: Twin) -> None:
    sequence = twin.watch.Sequence("n")
    router, ring, _ = watched(twin, sequence)
    feed(router, *[message(n=number) for number in (10, 11, 7, 7, 9, 8, 3, 12, 4, 13, 5, 14)])
    assert (sequence.last, sequence.repeated, ring.take_breaks()) == (14, 7, [])
    # Nothing is left of them when the numbers begin anew with a connection.
    feed(router, message(n=14))
    sequence.reset()
    feed(router, message(n=20), message(n=15), message(n=21))
    assert (sequence.last, ring.take_breaks()) == (21, [])


@pytest.mark.parametrize(
    ("number", "read"),
    [
        (0, 0),
        (-1, -1),
        ("12", 12),
        ("-12", -12),
        ("007", 7),
        (LARGEST, LARGEST),
        (-LARGEST, -LARGEST),
        (LARGEST + 1, None),
        (-LARGEST - 1, None),
        (10**19, None),
        ("0" * 19, 0),
        ("0" * 20, None),
        (1.0, None),
        ("1e3", None),
        ("", None),
        ("-", None),
        ("+1", None),
        ("1 ", None),
        ("\u0661", None),
        (None, None),
        (True, None),
        ([1], None),
    ],
)
def test_what_is_a_number(twin: Twin, number: Any, read: int | None) -> None:
    sequence = twin.watch.Sequence("n")
    router, ring, _ = watched(twin, sequence)
    feed(router, message(n=number))
    assert (sequence.last, ring.take_breaks()) == (read, [])


def test_the_largest_numbers_are_told_apart(twin: Twin) -> None:
    sequence = twin.watch.Sequence("n")
    router, ring, _ = watched(twin, sequence)
    feed(router, message(n=-LARGEST), message(n=LARGEST), message(n=LARGEST), message(n=-LARGEST))
    # As many are missing as can be said.
    assert ring.take_breaks() == [(1, -LARGEST + 1, LARGEST, LARGEST, 0, 1)]
    assert sequence.repeated == 2


def test_breaks_that_nobody_takes_become_one(twin: Twin) -> None:
    router, ring, _ = watched(twin, twin.watch.Sequence("n"))
    feed(router, *[message(n=2 * number) for number in range(1500)])
    breaks = ring.take_breaks()
    assert len(breaks) == 1024
    assert breaks[-2] == (1023, 2045, 2046, 1, 1022, 1023)
    assert breaks[-1] == (1024, 2047, 2998, 476, 1023, 1499)
    feed(router, message(n=3000), start=1500)
    assert ring.take_breaks() == [(1500, 2999, 3000, 1, 1499, 1500)]


def test_unknown_numbers_of_missing_messages_stay_unknown(twin: Twin) -> None:
    router, ring, _ = watched(twin, twin.watch.Sequence("n", previous="p"))
    feed(router, message(n=0, p=-1), *[message(n=2 * number, p=2 * number - 1) for number in range(1, 1100)])
    assert ring.take_breaks()[-1][1:] == (2046, 2197, -1, 1023, 1099)


def test_a_break_is_before_the_message_that_shows_it(twin: Twin) -> None:
    """Whatever the ring has done with the messages by then."""
    sequence, ring = twin.watch.Sequence("n"), twin.ring.MessageRing(2, overflow="drop_newest")
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("a", ring, twin.watch.Watch(sequence=sequence))
    feed(router, message(n=1), message(n=2), message(n=3), message(n=5), message(n=6))
    assert ring.take_breaks() == [(2, 4, 5, 1, 2, 3)]
    assert (ring.head, ring.tail, ring.dropped, ring.aside) == (0, 2, 3, 3)
    oldest = twin.ring.MessageRing(2)
    sequence = twin.watch.Sequence("n")
    router.add("b", oldest, twin.watch.Watch(sequence=sequence))
    feed(router, *[message("b", n=number) for number in (1, 2, 3, 5, 6)])
    assert oldest.take_breaks() == [(3, 4, 5, 1, 2, 3)]
    assert (oldest.head, oldest.tail, oldest.dropped, oldest.aside) == (3, 5, 3, 0)


def test_a_refused_message_is_looked_at_when_it_is_taken(twin: Twin) -> None:
    sequence, ring = twin.watch.Sequence("n"), twin.ring.MessageRing(1, overflow="block")
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("a", ring, twin.watch.Watch(sequence=sequence, skip=("t", "x")))
    feed(router, message(n=1))
    for _ in range(3):
        assert router.accept(message(n=3), False, 1) is False
    assert router.accept(message(n=4, t="x"), False, 1) is True
    assert (sequence.last, ring.take_breaks(), ring.refused) == (1, [], True)
    ring.take()
    feed(router, message(n=3), start=2)
    assert (sequence.last, sequence.repeated, ring.take_breaks()) == (3, 0, [(1, 2, 3, 1, 0, 2)])


def test_a_sequence_may_run_through_all_messages(twin: Twin) -> None:
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    rings = [twin.ring.MessageRing() for _ in range(4)]
    router.add("a", rings[0])
    router.add("b", rings[1], twin.watch.Watch(skip=("t", "x")))
    router.add_ring("b", rings[2])
    assert router.sequence is None
    router.sequence = sequence = twin.watch.Sequence("n")
    assert router.sequence is sequence
    router.add("c", rings[3])
    feed(router, message("a", n=0), message("z", n=1), message("b", n=2, t="x"), message(None, n=5), message("b", n=6))
    assert [ring.take_breaks() for ring in rings] == [[(1, 3, 5, 2, 2, 3)], *[[(0, 3, 5, 2, 2, 3)]] * 3]
    assert (sequence.last, router.routed, router.unroutable) == (6, 2, 3)
    feed(router, message("b", n=8), start=5)
    assert [ring.take_breaks() for ring in rings] == [[(at, 7, 8, 1, 4, 5)] for at in (1, 1, 1, 0)]
    router.sequence = None
    feed(router, message("a", n=20))
    assert (rings[0].take_breaks(), sequence.last) == ([], 8)
    router.sequence = sequence
    feed(router, message("a", n=21))
    assert rings[0].take_breaks() == [(2, 9, 21, 12, 5, 0)]


def test_a_refused_message_counts_once_in_a_routers_sequence(twin: Twin) -> None:
    router, ring = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing(1, overflow="block")
    quiet = twin.ring.MessageRing()
    router.add("a", ring)
    router.add("b", quiet)
    router.sequence = sequence = twin.watch.Sequence("n")
    feed(router, message(n=1))
    for _ in range(3):
        assert router.accept(message(n=3), False, 1) is False
    assert (sequence.last, quiet.take_breaks()) == (1, [])
    ring.take()
    feed(router, message(n=3), start=2)
    assert (sequence.repeated, quiet.take_breaks()) == (0, [(0, 2, 3, 1, 0, 2)])


def test_a_break_wakes_who_waits_though_there_is_no_message(twin: Twin) -> None:
    router, quiet = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing()
    router.add("a", quiet)
    router.sequence = twin.watch.Sequence("n")
    calls: list[int] = []
    quiet.waker = lambda: calls.append(1)
    quiet.waiting = True
    feed(router, message("z", n=1), message("z", n=2))
    router.wake()
    assert calls == []
    feed(router, message("z", n=4))
    router.wake()
    assert (calls, quiet.waiting) == ([1], False)


def test_a_watch_and_a_sequence_are_for_one_channel(twin: Twin) -> None:
    sequence = twin.watch.Sequence("n")
    watch = twin.watch.Watch(sequence=sequence)
    assert watch.sequence is sequence
    with pytest.raises(ValueError, match="a Sequence is for one channel, and this one is in use"):
        twin.watch.Watch(sequence=sequence)
    router, ring = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing()
    with pytest.raises(ValueError, match="in use"):
        router.sequence = sequence
    router.add("a", ring, watch)
    with pytest.raises(ValueError, match="a Watch is for one channel"):
        router.add("b", ring, watch)
    assert "b" not in router
    router.remove("a")
    router.add("b", ring, watch)
    feed(router, message("a", n=1), message("b", n=2))
    assert (sequence.last, len(ring)) == (2, 1)


def test_a_path_that_is_none_is_refused(twin: Twin) -> None:
    for paths in ({"path": ""}, {"path": "n", "previous": "a..b"}, {"path": "n", "first": "["}):
        with pytest.raises(ValueError, match="channel key"):
            twin.watch.Sequence(**paths)
    with pytest.raises(ValueError, match="not by both"):
        twin.watch.Sequence("n", previous="p", first="f")
    with pytest.raises(ValueError, match="channel key"):
        twin.watch.Watch(skip=("", "x"))
    for odd in (5, b"n", None):
        with pytest.raises(TypeError):
            twin.watch.Sequence(odd)
        with pytest.raises(TypeError):
            twin.watch.Watch(skip=("n", odd))
