"""The terms of a subscription: what can be asked for, and the queue that comes of it."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from jetsocket.errors import BufferOverflowError
from jetsocket.hot import GroupRing, LatestRing, MessageRing, Sequence
from jetsocket.terms import OVERFLOWS, Overflow, TermOptions, Terms, overflowed

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"queue_size": -1}, ValueError, "queue_size must be non-negative, got -1"),
    ({"queue_size": True}, TypeError, "queue_size must be a whole number, got bool True"),
    ({"max_bytes": 1.0}, TypeError, "max_bytes must be a whole number, got float 1.0"),
    ({"events": 1}, TypeError, "events must be True or False, got int 1"),
    ({"stale_after": 0}, ValueError, "stale_after"),
    ({"stale_after": "1"}, TypeError, "stale_after"),
    (
        {"overflow": "drop"},
        ValueError,
        "overflow must be one of drop_oldest, drop_newest, latest, block, error, got 'drop'",
    ),
    ({"overflow": None}, ValueError, "got None"),
    ({"overflow": []}, ValueError, "got []"),
    ({"conflate_key": "s"}, ValueError, "conflate_key is for overflow='latest', got overflow='drop_oldest'"),
    ({"conflate_key": 1, "overflow": "latest"}, TypeError, "conflate_key: a channel key must be a str, got int 1"),
    ({"conflate_key": "", "overflow": "latest"}, ValueError, "conflate_key: the channel key is empty"),
    ({"recover": "fetch"}, TypeError, "recover must be callable, got str 'fetch'"),
    ({"sequence": 1}, TypeError, "sequence must be a path or a Sequence, got int"),
    ({"sequence": ""}, ValueError, "sequence: the channel key is empty"),
    ({"sequence": "a."}, ValueError, "sequence: channel key 'a.': expected a name or an index, found the end"),
]


@pytest.mark.parametrize("given, kind, words", WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named(given: dict[str, Any], kind: type[Exception], words: str):
    with pytest.raises(kind, match=re.escape(words)):
        Terms(**given)


def test_the_keywords_of_subscribe_are_these():
    assert set(TermOptions.__optional_keys__) == set(Terms.__dataclass_fields__)
    assert get_args(Overflow) == OVERFLOWS


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_each_overflow_has_its_queue(overflow: Any):
    ring = Terms(overflow=overflow, queue_size=7, max_bytes=99).ring()
    assert isinstance(ring, LatestRing if overflow == "latest" else MessageRing)


@pytest.mark.parametrize("overflow", [one for one in OVERFLOWS if one != "latest"])
def test_and_one_for_groups(overflow: Any):
    assert isinstance(Terms(overflow=overflow).group_ring(), GroupRing)


def test_a_group_cannot_keep_the_latest_alone():
    with pytest.raises(ValueError, match="overflow='latest' is for single subscriptions"):
        Terms(overflow="latest").group_ring()


def test_each_subscription_has_a_queue_and_a_sequence_of_its_own():
    terms = Terms(sequence=Sequence("data.u", first="data.U"))
    assert terms.ring() is not terms.ring()
    one, other = terms.sequence_of_its_own(), terms.sequence_of_its_own()
    assert one is not None
    assert other is not None
    assert one is not other
    assert one is not terms.sequence
    assert (one.path, one.first, one.previous) == ("data.u", "data.U", None)
    assert Terms(sequence="data.t").sequence_of_its_own().path == "data.t"  # type: ignore[union-attr]
    assert Terms().sequence_of_its_own() is None


async def recover(channel: str, gap: object) -> None:
    """Fetches nothing."""


def test_who_recovers_is_told_of_gaps():
    assert not Terms().tells_gaps
    assert Terms(events=True).tells_gaps
    assert Terms(recover=recover).tells_gaps


@pytest.mark.parametrize("dropped, words", [(1, "1 message dropped"), (2, "2 messages dropped")])
def test_an_overflow_says_how_many_are_missing(dropped: int, words: str):
    error = overflowed("btcusdt@trade", dropped)
    assert isinstance(error, BufferOverflowError)
    assert str(error) == f"the queue of 'btcusdt@trade' was full: {words}; read faster, or raise queue_size"
