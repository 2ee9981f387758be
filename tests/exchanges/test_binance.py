from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jetsocket.exchanges import BINANCE
from jetsocket.protocol.pacing import Window
from jetsocket.venue import Reply

from ..recordings import captured
from .samples import Find, check_no_data, check_replies, control, data, messages, requests

TRADE = b'{"stream":"ethusdt@trade","data":{"e":"trade","E":17,"s":"ETHUSDT","t":5,"p":"1.50","q":"2","m":true}}'
BOOK = b'{"stream":"ethusdt@bookTicker","data":{"u":9,"s":"ETHUSDT","b":"1.4","B":"1","a":"1.6","A":"2"}}'

# By hand: what comes, and what it is.
CONTROL = {
    b'{"result":null,"id":7}': Reply("accepted", request_id=7),
    b'{"id":"a1","result":null}': Reply("accepted", request_id="a1"),
    # What the user has asked besides.
    b'{"result":["ethusdt@trade","ethusdt@depth"],"id":8}': None,
    b'{"result":[],"id":9}': None,
    b'{"result":true,"id":10}': None,
    b'{"code":1,"msg":"Invalid value type"}': Reply("refused", code=1, message="Invalid value type"),
    b'{"error":{"code":-1003,"msg":"Too many requests"},"id":11}': Reply(
        "later", request_id=11, code=-1003, message="Too many requests"
    ),
    b'{"code":3,"msg":"Invalid JSON","id":11}': Reply("refused", request_id=11, code=3, message="Invalid JSON"),
    b'{"error":{"code":2,"msg":"Invalid request"},"id":12}': Reply(
        "refused", request_id=12, code=2, message="Invalid request"
    ),
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}': Reply(
        "notice", message="serverShutdown", then="reconnect"
    ),
    b'{"e":"serverShutdown","E":1}': Reply("notice", message="serverShutdown", then="reconnect"),
}


@pytest.mark.parametrize(("raw", "reply"), CONTROL.items())
def test_what_is_no_data_is_understood(raw: bytes, reply: Reply | None) -> None:
    assert BINANCE.classify(raw) == reply


@pytest.mark.parametrize("raw", [TRADE, BOOK, b'{"error":"no object"}', b'{"lastUpdateId":1,"bids":[],"asks":[]}'])
def test_what_is_data_is_no_reply(raw: bytes) -> None:
    assert BINANCE.classify(raw) is None


def test_data_carry_their_stream(find: Find) -> None:
    assert find(BINANCE.channel_key, TRADE) == "ethusdt@trade"
    assert find(BINANCE.channel_key, BOOK) == "ethusdt@bookTicker"
    check_no_data(BINANCE, find, CONTROL, ["ethusdt@trade", "ethusdt@depth", "ethusdt@bookTicker"])


def test_one_request_asks_for_many() -> None:
    assert BINANCE.unsubscribe is not None
    channels = ["ethusdt@trade", "ethusdt@depth"]
    assert messages(BINANCE.subscribe(channels, 4)) == [{"method": "SUBSCRIBE", "params": channels, "id": 4}]
    assert messages(BINANCE.unsubscribe(channels, 5)) == [{"method": "UNSUBSCRIBE", "params": channels, "id": 5}]


def test_limits_are_those_of_the_document() -> None:
    assert BINANCE.pace == (Window(5, 1.0),)
    assert BINANCE.pace_counts_control
    assert BINANCE.reserve == 1
    assert BINANCE.max_channels == 1024
    assert BINANCE.connect_pace == (Window(300, 300.0),)
    assert BINANCE.max_connection_age is not None
    assert 86_400 - 3600 < BINANCE.max_connection_age < 86_400
    assert 3900 < BINANCE.characters_per_message < 4088


def test_another_address_is_another_venue() -> None:
    futures = replace(BINANCE, uri="wss://fstream.binance.com/stream", pace=(Window(10, 1.0),), max_channels=200)
    assert futures.uri != BINANCE.uri
    assert futures.classify is BINANCE.classify


@pytest.mark.recorded
def test_recorded_answers_are_understood() -> None:
    expected: list[Reply | None] = [
        Reply("accepted", request_id=1),
        Reply("accepted", request_id=312),
        None,
        Reply("refused", code=2, message="Invalid request: property name must be a string"),
        Reply("refused", request_id=1, code=2, message="Invalid request: unknown variant"),
        Reply("notice", message="serverShutdown", then="reconnect"),
    ]
    check_replies(BINANCE, control("binance_spot_combined"), expected)


@pytest.mark.recorded
def test_recorded_data_are_routed_and_answers_are_not(find: Find) -> None:
    frames = data("binance_spot_combined")
    assert len(frames) == 11
    for sample in frames:
        assert find(BINANCE.channel_key, sample.raw) == sample.key
        assert BINANCE.classify(sample.raw) is None
    check_no_data(BINANCE, find, control("binance_spot_combined"), [str(sample.key) for sample in frames])


@pytest.mark.recorded
def test_recorded_requests_are_ours() -> None:
    assert BINANCE.unsubscribe is not None
    ours = [BINANCE.subscribe(["btcusdt@aggTrade", "btcusdt@depth"], 1), BINANCE.unsubscribe(["btcusdt@depth"], 312)]
    assert [message for request in ours for message in messages(request)] == requests("binance_spot_combined")


@pytest.mark.recorded
def test_a_recorded_run_is_all_data(find: Find) -> None:
    frames = captured("binance_spot_btcusdt_2024")
    channels = [json.loads(raw).get("stream") for raw in frames]
    assert [find(BINANCE.channel_key, raw) for raw in frames] == channels
    assert {BINANCE.classify(raw) for raw in frames} == {None}
