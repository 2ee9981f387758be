from __future__ import annotations

import pytest

from jetsocket.exchanges import KRAKEN
from jetsocket.protocol.pacing import Window
from jetsocket.venue import Reply

from .samples import Find, check_no_data, check_replies, control, data, messages, requests

DATA = {
    "trade:ETH/EUR": b'{"channel":"trade","type":"update","data":[{"symbol":"ETH/EUR","side":"buy","price":1.5}]}',
    "book:ETH/EUR": b'{"channel":"book","type":"update","data":[{"symbol":"ETH/EUR","bids":[],"asks":[]}]}',
}
ACCEPTED = b'{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"ETH/EUR"},"success":true'
REFUSED = b'{"error":"Currency pair not supported NO/PE","method":"subscribe","success":false,"symbol":"NO/PE"'
STATUS = b'{"channel":"status","type":"update","data":[{"system":"maintenance","api_version":"v2","connection_id":5}]}'

CONTROL = {
    ACCEPTED + b',"req_id":3,"time_in":"2026-01-01T00:00:00Z"}': Reply("accepted", "subscribe", ("trade:ETH/EUR",), 3),
    ACCEPTED + b"}": Reply("accepted", "subscribe", ("trade:ETH/EUR",)),
    b'{"method":"unsubscribe","result":{"channel":"book","symbol":"ETH/EUR"},"success":true,"req_id":4}': Reply(
        "accepted", "unsubscribe", ("book:ETH/EUR",), 4
    ),
    REFUSED + b',"req_id":5}': Reply(
        "refused", "subscribe", (":NO/PE",), 5, message="Currency pair not supported NO/PE"
    ),
    b'{"error":"Already subscribed","method":"subscribe","req_id":8,"success":false,"symbol":"ETH/EUR"}': Reply(
        "accepted", "subscribe", (":ETH/EUR",), 8, message="Already subscribed"
    ),
    b'{"error":"Subscription Not Found","method":"unsubscribe","req_id":9,"success":false,"symbol":"ETH/EUR"}': Reply(
        "accepted", "unsubscribe", (":ETH/EUR",), 9, message="Subscription Not Found"
    ),
    b'{"error":"Subscription Not Found","method":"subscribe","req_id":9,"success":false}': Reply(
        "refused", "subscribe", (), 9, message="Subscription Not Found"
    ),
    b'{"error":"Event(s) not found","method":"subscribe","req_id":6,"success":false}': Reply(
        "refused", "subscribe", (), 6, message="Event(s) not found"
    ),
    b'{"error":"EGeneral","method":"subscribe","req_id":7}': Reply("refused", "subscribe", (), 7, message="EGeneral"),
    b'{"error":"Malformed request","success":false}': Reply("refused", message="Malformed request"),
    b'{"Error":"Exceeded msg rate"}': Reply("later", message="Exceeded msg rate"),
    b'{"Error":"Something else"}': Reply("notice", message="Something else"),
    b'{"method":"subscribe","success":false,"error":"EAPI:Rate limit exceeded","symbol":"A/B","req_id":3}': Reply(
        "later", "subscribe", (":A/B",), 3, message="EAPI:Rate limit exceeded"
    ),
    b'{"method":"pong","req_id":7}': Reply("pong", request_id=7),
    b'{"channel":"heartbeat"}': Reply("heartbeat"),
    STATUS: Reply("notice", message="maintenance"),
    b'{"channel":"status","data":[]}': Reply("notice"),
    b'{"method":"add_order","success":true}': None,
}


@pytest.mark.parametrize(("raw", "reply"), CONTROL.items())
def test_what_is_no_data_is_understood(raw: bytes, reply: Reply | None) -> None:
    assert KRAKEN.classify(raw) == reply


@pytest.mark.parametrize(("channel", "raw"), DATA.items())
def test_data_carry_channel_and_symbol(find: Find, channel: str, raw: bytes) -> None:
    assert find(KRAKEN.channel_key, raw) == channel
    assert KRAKEN.classify(raw) is None
    check_no_data(KRAKEN, find, CONTROL, DATA)


def test_a_request_is_for_one_channel_and_many_symbols() -> None:
    assert KRAKEN.unsubscribe is not None
    assert KRAKEN.together is not None
    channels = ["trade:ETH/EUR", "trade:BTC/USD"]
    assert {KRAKEN.together(channel) for channel in channels} == {"trade"}
    parameters = {"channel": "trade", "symbol": ["ETH/EUR", "BTC/USD"]}
    assert messages(KRAKEN.subscribe(channels, 4)) == [{"method": "subscribe", "params": parameters, "req_id": 4}]
    assert messages(KRAKEN.unsubscribe(channels, 5)) == [{"method": "unsubscribe", "params": parameters, "req_id": 5}]


def test_different_channels_are_asked_for_apart() -> None:
    asked = messages(KRAKEN.subscribe(["trade:ETH/EUR", "book:ETH/EUR", "trade:BTC/USD"], 4))
    assert [message["params"] for message in asked] == [
        {"channel": "trade", "symbol": ["ETH/EUR", "BTC/USD"]},
        {"channel": "book", "symbol": ["ETH/EUR"]},
    ]


@pytest.mark.parametrize("channel", ["instrument", "instrument:BTC/USD", "executions", "trade"])
def test_what_has_no_key_of_its_name_is_not_asked_for(channel: str) -> None:
    with pytest.raises(ValueError, match=f"data of '{channel}' do not name it by a symbol"):
        KRAKEN.subscribe(["trade:BTC/USD", channel], 1)


def test_limits_are_those_of_the_document() -> None:
    assert KRAKEN.connect_pace == (Window(150, 600.0),)
    assert not KRAKEN.pace_counts_control


@pytest.mark.recorded
def test_recorded_answers_are_understood() -> None:
    expected = [
        Reply("accepted", "subscribe", ("ticker:BTC/USD",), 1),
        Reply("accepted", "subscribe", ("trade:BTC/USD",)),
        Reply("refused", "subscribe", (":XBT/USD",), message="Currency pair not supported XBT/USD"),
        Reply("later", message="Exceeded msg rate"),
        Reply("accepted", "unsubscribe", ("executions",), 4),
        Reply("pong", request_id=42),
        Reply("heartbeat"),
    ]
    check_replies(KRAKEN, control("kraken_v2"), expected)


@pytest.mark.recorded
def test_recorded_data_are_routed_and_answers_are_not(find: Find) -> None:
    frames = data("kraken_v2")
    assert len(frames) == 5
    for sample in frames:
        assert find(KRAKEN.channel_key, sample.raw) == sample.key
        assert KRAKEN.classify(sample.raw) is None
    check_no_data(KRAKEN, find, control("kraken_v2"), [str(sample.key) for sample in frames])


@pytest.mark.recorded
def test_recorded_requests_are_ours_but_for_the_snapshot() -> None:
    [recorded_one] = requests("kraken_v2")
    # It asks for none; the default is to send one.
    assert recorded_one["params"].pop("snapshot") is False
    assert messages(KRAKEN.subscribe(["trade:BTC/USD", "trade:MATIC/GBP"], 1)) == [recorded_one]
