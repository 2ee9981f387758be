"""What is true of every venue."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jetsocket import exchanges
from jetsocket.exchanges import BINANCE, BITFINEX, COINBASE, KRAKEN, OKX
from jetsocket.venue import Outcome, Reply, Venue

VENUES = (BINANCE, OKX, KRAKEN, BITFINEX, COINBASE)
CHANNELS = {
    "Binance": ["ethusdt@trade", "ethusdt@depth"],
    "OKX": ["trades:ETH-USDT", "tickers:ETH-USDT"],
    "Kraken": ["trade:ETH/EUR", "trade:BTC/USD"],
    "Bitfinex": ["trades:tETHUSD", "book:tETHF0:USTF0"],
    "Coinbase": ["level2:ETH-USD", "level2:BTC-USD"],
}
# What classify looks at, and what it may find there.
NAMES = """
    arg args cid chanId channel channels code connCount data e error Error event events freq id instFamily instId
    instType key len message method msg op platform prec product_id products reason req_id result status stream
    subscriptions success symbol system type version
""".split()  # noqa: SIM905  # a list of them would take a page
WORDS = """
    pong subscribe subscribed unsubscribe unsubscribed error info notice login conf auth status heartbeat heartbeats
    channel-conn-count channel-conn-count-error serverShutdown subscriptions book candles hb OK level2 60012 64008
""".split()  # noqa: SIM905  # a list of them would take a page
NUMBERS = st.sampled_from([10300, 10301, 10400, 10401, 20051, 20061]) | st.integers() | st.floats()
LEAVES = st.none() | st.booleans() | NUMBERS | st.sampled_from(WORDS) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=8)
    ),
    max_leaves=10,
)
FRAMES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=10)


def check(venue: Venue, raw: bytes) -> None:
    """A frame is taken for something well formed, or for nothing."""
    reply = venue.classify(raw)
    if reply is None:
        return
    assert isinstance(reply, Reply)
    assert reply.outcome in get_args(Outcome)
    assert reply.action in (None, "subscribe", "unsubscribe")
    assert all(type(channel) is str and channel for channel in reply.channels)
    for value in (reply.request_id, reply.code):
        assert value is None or type(value) in (int, str)
    for words in (reply.message, reply.key):
        assert words is None or (type(words) is str and words)
    assert reply.then in ("nothing", "reconnect", "resubscribe")
    assert isinstance(hash(reply), int)


@settings(deadline=None)
@given(raw=st.binary(max_size=200))
@example(raw=b"[" * 100_000)
@example(raw=b'{"event":"error","msg":"\\ud800{"}')
@example(raw=b'{"result":null,"id":' + b"9" * 5000 + b"}")
def test_no_bytes_are_too_odd(raw: bytes) -> None:
    for venue in VENUES:
        check(venue, raw)


@settings(deadline=None)
@given(value=VALUES)
def test_no_json_is_too_odd(value: Any) -> None:
    for venue in VENUES:
        check(venue, json.dumps(value).encode())


@settings(deadline=None, max_examples=300)
@given(frame=FRAMES, event=st.sampled_from(WORDS), place=st.sampled_from(["event", "method", "channel", "type"]))
def test_no_frame_of_known_words_is_too_odd(frame: dict[str, Any], event: str, place: str) -> None:
    for venue in VENUES:
        check(venue, json.dumps({place: event} | frame).encode())


@settings(deadline=None)
@given(words=st.text(max_size=60), quoted=VALUES)
def test_no_words_of_an_error_are_too_odd(words: str, quoted: Any) -> None:
    for said in (words, f"Invalid request: {json.dumps(quoted)}", f"channel:{words},instId:{words} doesn't exist"):
        check(OKX, json.dumps({"event": "error", "code": "60012", "msg": said}).encode())


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
def test_requests_are_json_and_change_nothing(venue: Venue) -> None:
    channels = CHANNELS[venue.name]
    for make in (venue.subscribe, venue.unsubscribe):
        assert make is not None
        given_ones = ["17", "18"] if make is venue.unsubscribe and venue.matching == "learned" else list(channels)
        before = list(given_ones)
        made = make(given_ones, 1)
        assert made == make(tuple(given_ones), 1)
        assert json.loads(json.dumps(made))
        assert given_ones == before


def test_every_venue_is_named_in_the_package() -> None:
    assert {getattr(exchanges, name) for name in exchanges.__all__} == set(VENUES)
    assert [venue.name.upper() for venue in VENUES] == ["BINANCE", "OKX", "KRAKEN", "BITFINEX", "COINBASE"]
    assert all(venue.uri.startswith("wss://") for venue in VENUES)
