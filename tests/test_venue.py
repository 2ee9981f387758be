"""A venue is checked when it is made: what is wrong is named, with its value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import pytest

from jetsocket.exchanges import BINANCE, BITFINEX, COINBASE, KRAKEN, OKX
from jetsocket.protocol.pacing import Window
from jetsocket.venue import Reply, Venue


def subscribe(channels: Sequence[str], request_id: int) -> dict[str, Any]:
    return {"subscribe": list(channels), "id": request_id}


def classify(raw: bytes) -> Reply | None:
    return None


def venue(**given: Any) -> Venue:
    return Venue(
        **{
            "name": "Somewhere",
            "uri": "ws://127.0.0.1:1/",
            "channel_key": "stream",
            "subscribe": subscribe,
            "classify": classify,
            **given,
        }
    )


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"name": ""}, TypeError, "venue name must be a text, got str ''"),
    ({"uri": None}, TypeError, "venue uri must be a text, got NoneType None"),
    ({"channel_key": b"stream"}, TypeError, "venue channel_key must be a text, got bytes b'stream'"),
    ({"channel_key": "a."}, ValueError, "channel key 'a.': expected a name or an index"),
    ({"subscribe": None}, TypeError, "venue subscribe must be callable, got NoneType None"),
    ({"classify": "json"}, TypeError, "venue classify must be callable, got str 'json'"),
    ({"unsubscribe": 1}, TypeError, "venue unsubscribe must be callable, got int 1"),
    ({"route": "x"}, TypeError, "venue route must be callable, got str 'x'"),
    ({"together": 0}, TypeError, "venue together must be callable, got int 0"),
    (
        {"matching": "guess"},
        ValueError,
        "venue matching must be one of request_id, echo, state, learned, data, got 'guess'",
    ),
    ({"one_at_a_time": 1}, TypeError, "venue one_at_a_time must be True or False, got int 1"),
    ({"pace_counts_control": None}, TypeError, "venue pace_counts_control must be True or False, got NoneType None"),
    ({"max_channels": -1}, ValueError, "venue max_channels must be non-negative, got -1"),
    ({"max_channels": True}, TypeError, "venue max_channels must be a whole number, got bool True"),
    ({"channels_per_message": 1.5}, TypeError, "venue channels_per_message must be a whole number, got float 1.5"),
    ({"characters_per_message": "9"}, TypeError, "venue characters_per_message must be a whole number, got str '9'"),
    ({"reserve": -1}, ValueError, "venue reserve must be non-negative, got -1"),
    ({"pace": Window(5, 1.0)}, TypeError, "venue pace must be a tuple of Window, got Window(count=5, seconds=1.0)"),
    ({"pace": [Window(5, 1.0)]}, TypeError, "venue pace must be a tuple of Window, got [Window("),
    ({"connect_pace": ((5, 1.0),)}, TypeError, "venue connect_pace must be a tuple of Window, got ((5, 1.0),)"),
    (
        {"pace": (Window(2, 1.0),), "reserve": 2, "pace_counts_control": True},
        ValueError,
        "venue pace Window(count=2, seconds=1.0) leaves nothing when 2 are kept for pongs",
    ),
    ({"answer_timeout": 0}, ValueError, "venue answer_timeout"),
    ({"answer_timeout": None}, TypeError, "venue answer_timeout"),
    ({"max_connection_age": -1}, ValueError, "venue max_connection_age"),
    ({"data_timeout": "1"}, TypeError, "venue data_timeout"),
    ({"heartbeat": -1}, ValueError, "heartbeat"),
    ({"channel_heartbeat": "hb"}, TypeError, "venue channel_heartbeat must be a path and a text, got 'hb'"),
    ({"channel_heartbeat": ("[1]", 1)}, TypeError, "venue channel_heartbeat must be a path and a text, got ('[1]', 1)"),
    ({"channel_heartbeat": ("[", "hb")}, ValueError, "'['"),
]


@pytest.mark.parametrize("given, kind, words", WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named(given: dict[str, Any], kind: type[Exception], words: str):
    with pytest.raises(kind, match=re.escape(words)):
        venue(**given)


def test_the_least_that_a_venue_needs():
    one = venue()
    assert one.unsubscribe is None
    assert (one.pace, one.connect_pace, one.max_channels) == ((), (), 0)
    assert one.matching == "request_id"


def test_where_pongs_do_not_count_nothing_is_kept_for_them():
    assert venue(pace=(Window(1, 1.0),), reserve=1).pace == (Window(1, 1.0),)


def test_one_is_derived_from_another_and_checked_again():
    assert dataclasses.replace(BINANCE, uri="ws://127.0.0.1:1/").name == BINANCE.name
    with pytest.raises(ValueError, match="venue max_channels"):
        dataclasses.replace(BINANCE, max_channels=-1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        BINANCE.uri = "ws://elsewhere/"  # type: ignore[misc]


def test_those_of_the_exchanges_are_venues():
    names = {one.name for one in (BINANCE, OKX, KRAKEN, BITFINEX, COINBASE)}
    assert len(names) == 5


def test_a_reply_says_nothing_that_it_is_not_told():
    reply = Reply("notice")
    assert (reply.action, reply.channels, reply.request_id, reply.key, reply.then) == (None, (), None, None, "nothing")
    with pytest.raises(dataclasses.FrozenInstanceError):
        reply.then = "reconnect"  # type: ignore[misc]
