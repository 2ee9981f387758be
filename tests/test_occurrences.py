"""What handlers are told: facts that stay as they are, but for a gap, whose end comes later."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from jetsocket import occurrences
from jetsocket.occurrences import Blocked, Gap, Notice, Replaced, Resubscribed, Silent, Stale, Stalled

FACTS = [
    Gap("btcusdt@trade", "overflow", 1, 2, 3, recovered={"a": 1}),
    Resubscribed(1000, 1.5),
    Notice("64008", "soon closed", b"{}", "reconnect"),
    Stale("btcusdt@trade", 30.0, "resubscribe"),
    Silent(60.0),
    Stalled("btcusdt@trade", 10.0),
    Replaced("as the exchange asks for it"),
    Blocked(0.7, "handle_trade (feed.py:12)"),
]


def test_each_kind_is_looked_at_here():
    kinds = {one for one in vars(occurrences).values() if dataclasses.is_dataclass(one) or hasattr(one, "_fields")}
    assert kinds == {type(fact) for fact in FACTS}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_they_are_values(fact: object):
    assert pickle.loads(pickle.dumps(fact)) == fact
    assert copy.copy(fact) == fact
    assert copy.deepcopy(fact) == fact
    # Small, and without attributes that a misspelling would make.
    assert not hasattr(fact, "__dict__")
    with pytest.raises((AttributeError, TypeError)):
        fact.untill = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("fact", FACTS[1:], ids=lambda fact: type(fact).__name__)
def test_they_cannot_be_changed_by_a_handler_for_the_next_one(fact: Any):
    with pytest.raises(AttributeError):
        setattr(fact, fact._fields[0], None)
    assert hash(fact) == hash(copy.copy(fact))


def test_what_is_not_known_of_a_gap_is_none():
    gap = Gap("a", "reconnect")
    assert (gap.since, gap.until, gap.dropped, gap.recovered) == (None, None, None, None)
    gap.until = 5
    assert gap == Gap("a", "reconnect", until=5)


def test_defaults():
    assert Notice(None, None, b"").then == "nothing"
    assert Blocked(1.0).by is None
