"""What a Multiplex is given is checked before anything else happens, and each mistake named."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from typing import Any

import pytest

from jetsocket import Multiplex
from jetsocket.arguments import Arguments, MultiplexConfig
from jetsocket.exchanges import BINANCE, BITFINEX, COINBASE
from jetsocket.hot import Sequence

URI = "ws://127.0.0.1:1/"
CONFIG = MultiplexConfig(channel_extractor=lambda message: message["stream"], queue_size=7)


def arguments(**given: Any) -> Arguments:
    """As a Multiplex makes them."""
    own = {
        "uri": None,
        "config": None,
        "venue": None,
        "channel_key": None,
        "channel_extractor": None,
        "subscribe_msg": None,
        "unsubscribe_msg": None,
        "queue_size": 1000,
        "max_bytes": 0,
        "overflow": "drop_oldest",
        "sequence": None,
        "data_timeout": None,
        "on_connect": None,
        "manager_kwargs": None,
    }
    return Arguments.of({name: given.pop(name, value) for name, value in own.items()}, given)


async def asynchronous(*arguments: Any) -> Any:
    return arguments


class Asynchronous:
    async def __call__(self, channel: str) -> str:
        return channel


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"uri": URI}, ValueError, "Multiplex needs venue, channel_key, channel_extractor or config, to find a message's"),
    (
        {"uri": URI, "channel_key": "s", "channel_extractor": str},
        ValueError,
        "give channel_key or channel_extractor, not both: each finds the channel",
    ),
    ({"channel_key": "s"}, TypeError, "Multiplex needs uri, the address, or a venue, which has one"),
    ({"uri": 1, "channel_key": "s"}, TypeError, "uri must be a str, got int"),
    ({"venue": "binance"}, TypeError, "venue must be of Venue or None, got str 'binance'"),
    (
        {"venue": BINANCE, "channel_key": "s"},
        ValueError,
        "give venue or channel_key, not both: the venue Binance says how messages are routed",
    ),
    ({"venue": BINANCE, "channel_extractor": str}, ValueError, "give venue or channel_extractor, not both"),
    ({"venue": BINANCE, "subscribe_msg": str}, ValueError, "give venue or subscribe_msg, not both"),
    ({"venue": BINANCE, "unsubscribe_msg": str}, ValueError, "give venue or unsubscribe_msg, not both"),
    ({"venue": BINANCE, "config": CONFIG}, ValueError, "give venue or config, not both"),
    ({"uri": URI, "config": {}}, TypeError, "config must be a MultiplexConfig or None, got dict {}"),
    ({"uri": URI, "channel_key": "s", "subscribe_msg": 1}, TypeError, "subscribe_msg must be callable or None, got"),
    ({"venue": BINANCE, "on_connect": "log in"}, TypeError, "on_connect must be callable or None, got str 'log in'"),
    ({"venue": BINANCE, "on_connect": lambda: None}, TypeError, "on_connect must take one argument, the connection; "),
    (
        {"uri": URI, "channel_extractor": asynchronous},
        TypeError,
        "channel_extractor must be a plain function, got an async one, <function asynchronous at ",
    ),
    (
        {"uri": URI, "channel_key": "s", "subscribe_msg": partial(asynchronous, 1)},
        TypeError,
        "subscribe_msg must be",
    ),
    ({"uri": URI, "channel_key": "s", "unsubscribe_msg": Asynchronous()}, TypeError, "unsubscribe_msg must be a plain"),
    ({"venue": BINANCE, "data_timeout": 0}, ValueError, "data_timeout"),
    ({"venue": BINANCE, "data_timeout": True}, TypeError, "data_timeout"),
    ({"venue": BINANCE, "overflow": "drop"}, ValueError, "overflow must be one of"),
    ({"venue": BINANCE, "queue_size": -1}, ValueError, "queue_size must be non-negative, got -1"),
    ({"venue": BINANCE, "max_bytes": -1}, ValueError, "max_bytes must be non-negative, got -1"),
    ({"venue": BINANCE, "sequence": 1}, TypeError, "sequence must be a path or a Sequence, got int"),
    (
        {"uri": URI, "channel_extractor": str, "sequence": "t"},
        ValueError,
        "sequence needs channel_key: it is read from the raw bytes",
    ),
    ({"venue": BINANCE, "manager_kwargs": 1}, TypeError, "manager_kwargs must be of Mapping or None, got int 1"),
    ({"venue": BINANCE, "manager_kwargs": {"venu": 1}}, TypeError, "venu"),
    ({"venue": BINANCE, "buffer": 1}, TypeError, "buffer"),
    ({"venue": BINANCE, "heartbeat": -1}, ValueError, "heartbeat"),
]


@pytest.mark.parametrize("given, kind, words", WRONG, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_named(given: dict[str, Any], kind: type[Exception], words: str):
    with pytest.raises(kind, match=re.escape(words)):
        Multiplex(**given)


@pytest.mark.parametrize("name", ["venue", "on_connect", "overflow", "sequence", "data_timeout", "max_bytes"])
def test_a_misspelling_is_told_what_may_be_meant(name: str):
    with pytest.raises(TypeError, match=name):
        Multiplex(URI, **{f"{name}s": 1})


def test_a_venue_brings_what_is_not_given():
    given = arguments(venue=BINANCE)
    assert given.uri == BINANCE.uri
    assert given.channel_key == BINANCE.channel_key
    assert given.options.heartbeat == BINANCE.heartbeat
    assert given.options.max_connection_age == BINANCE.max_connection_age
    silent = dataclasses.replace(BINANCE, data_timeout=30.0)
    assert arguments(venue=silent).data_timeout == 30.0


def test_what_is_given_wins_over_the_venue():
    silent = dataclasses.replace(BINANCE, data_timeout=30.0)
    given = arguments(venue=silent, uri=URI, data_timeout=5.0, heartbeat=None, max_connection_age=60.0)
    assert (given.uri, given.data_timeout) == (URI, 5.0)
    assert (given.options.heartbeat, given.options.max_connection_age) == (None, 60.0)
    given = arguments(venue=silent, manager_kwargs={"heartbeat": 7.0})
    assert given.options.heartbeat == 7.0


def test_a_config_wins_over_the_keywords_of_its_meaning():
    given = arguments(uri=URI, config=CONFIG, queue_size=99, channel_key="s")
    assert (given.queue_size, given.channel_key) == (7, None)
    assert given.channel_extractor is CONFIG.channel_extractor


@pytest.mark.parametrize("uri", [lambda: URI, lambda: None])
def test_an_address_may_be_asked_for_later(uri: Any):
    assert arguments(uri=uri, channel_key="s").uri is uri


def test_what_data_carry_in_place_of_a_name():
    assert arguments(uri=URI, channel_key="s").key_of() is None
    assert arguments(venue=BINANCE).key_of() is None
    learned = arguments(venue=BITFINEX).key_of()
    assert learned is not None
    assert learned("ticker:tBTCUSD") is None
    routed = arguments(venue=COINBASE).key_of()
    assert routed is not None
    assert routed("level2:BTC-USD") == "l2_data:BTC-USD"


def test_the_sequence_of_a_connection_is_of_one_multiplex():
    sequence = Sequence("sequence_num")
    given = arguments(venue=COINBASE, sequence=sequence)
    own = given.sequence_of_connection
    assert own is not None
    assert own is not sequence
    assert own.path == "sequence_num"
    assert arguments(venue=COINBASE).sequence_of_connection is None
