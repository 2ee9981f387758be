from __future__ import annotations

import pytest

from jetsocket.exchanges import COINBASE
from jetsocket.protocol.pacing import Window
from jetsocket.venue import Reply

from .samples import Find, check_no_data, check_replies, control, data, messages, requests

HEAD = b'"timestamp":"2026-01-01T00:00:00Z","sequence_num":3,"events":'
DATA = {
    "l2_data:ETH-USD": b'{"channel":"l2_data",'
    + HEAD
    + b'[{"type":"update","product_id":"ETH-USD","updates":[{"side":"bid","price_level":"1.5"}]}]}',
    "market_trades:ETH-USD": b'{"channel":"market_trades",'
    + HEAD
    + b'[{"type":"update","trades":[{"trade_id":"7","product_id":"ETH-USD","price":"1.5"}]}]}',
    "ticker:ETH-USD": b'{"channel":"ticker",'
    + HEAD
    + b'[{"type":"update","tickers":[{"type":"ticker","product_id":"ETH-USD","price":"1.5"}]}]}',
    "candles:ETH-USD": b'{"channel":"candles",'
    + HEAD
    + b'[{"type":"update","candles":[{"start":"1","product_id":"ETH-USD"}]}]}',
}
STATE = b'{"channel":"subscriptions",' + HEAD

CONTROL = {
    STATE + b'[{"subscriptions":{"heartbeats":["heartbeats"],"level2":["ETH-USD"],"ticker":["BTC-USD"]}}]}': Reply(
        "state", channels=("heartbeats", "level2:ETH-USD", "l2_data:ETH-USD", "ticker:BTC-USD")
    ),
    STATE + b'[{"subscriptions":{"l2_data":["ETH-USD","BTC-USD"]}}]}': Reply(
        "state", channels=("level2:ETH-USD", "l2_data:ETH-USD", "level2:BTC-USD", "l2_data:BTC-USD")
    ),
    STATE + b'[{"subscriptions":{}}]}': Reply("state"),
    b'{"type":"error","message":"authentication failure"}': Reply("refused", message="authentication failure"),
    b'{"type":"error","message":"Failed to subscribe","reason":"No channel"}': Reply(
        "refused", message="Failed to subscribe: No channel"
    ),
    b'{"type":"error"}': Reply("refused"),
    b'{"type":"error","message":"Rate limit exceeded"}': Reply("later", message="Rate limit exceeded"),
    b'{"channel":"heartbeats",' + HEAD + b'[{"current_time":"now","heartbeat_counter":4}]}': Reply("heartbeat"),
    b'{"channel":"something new","events":[]}': None,
}


@pytest.mark.parametrize(("raw", "reply"), CONTROL.items())
def test_what_is_no_data_is_understood(raw: bytes, reply: Reply | None) -> None:
    assert COINBASE.classify(raw) == reply


@pytest.mark.parametrize(("channel", "raw"), DATA.items())
def test_data_carry_channel_and_first_product(find: Find, channel: str, raw: bytes) -> None:
    assert find(COINBASE.channel_key, raw) == channel
    assert COINBASE.classify(raw) is None
    check_no_data(COINBASE, find, CONTROL, [*DATA, "level2:ETH-USD", "heartbeats", "ticker:BTC-USD"])


def test_a_book_has_two_names_and_one_route() -> None:
    assert COINBASE.route is not None
    assert COINBASE.together is not None
    for name in ("level2:ETH-USD", "l2_data:ETH-USD"):
        assert COINBASE.route(name) == "l2_data:ETH-USD"
        assert COINBASE.together(name) == "level2"
    for name in ("ticker:ETH-USD", "heartbeats"):
        assert COINBASE.route(name) == name
        assert COINBASE.together(name) == name.partition(":")[0]


def test_a_request_is_for_one_channel_and_many_products() -> None:
    assert COINBASE.unsubscribe is not None
    channels = ["level2:ETH-USD", "l2_data:BTC-USD", "l2_data:ETH-USD"]
    products = {"product_ids": ["ETH-USD", "BTC-USD"], "channel": "level2"}
    assert messages(COINBASE.subscribe(channels, 1)) == [{"type": "subscribe", **products}]
    assert messages(COINBASE.unsubscribe(channels, 2)) == [{"type": "unsubscribe", **products}]


def test_different_channels_are_asked_for_apart() -> None:
    assert messages(COINBASE.subscribe(["ticker:ETH-USD", "heartbeats", "ticker:BTC-USD"], 1)) == [
        {"type": "subscribe", "product_ids": ["ETH-USD", "BTC-USD"], "channel": "ticker"},
        {"type": "subscribe", "channel": "heartbeats"},
    ]


@pytest.mark.parametrize("channel", ["status", "user", "user:BTC-USD", "ticker"])
def test_what_has_no_key_of_its_name_is_not_asked_for(channel: str) -> None:
    with pytest.raises(ValueError, match=f"data of '{channel}' do not name it by a product"):
        COINBASE.subscribe(["ticker:BTC-USD", channel], 1)


def test_limits_are_those_of_the_document() -> None:
    assert COINBASE.pace == (Window(8, 1.0),)
    assert COINBASE.connect_pace == (Window(8, 1.0),)
    # Its errors name neither request nor channel.
    assert COINBASE.one_at_a_time


@pytest.mark.recorded
def test_recorded_answers_are_understood() -> None:
    expected = [
        Reply(
            "state",
            channels=("level2:BTC-USD", "l2_data:BTC-USD", "market_trades:BTC-USD", "market_trades:ETH-USD"),
        ),
        Reply("refused", message="failure to subscribe"),
        Reply("heartbeat"),
    ]
    check_replies(COINBASE, control("coinbase_advanced"), expected)


@pytest.mark.recorded
def test_recorded_data_are_routed_and_answers_are_not(find: Find) -> None:
    frames = data("coinbase_advanced")
    assert len(frames) == 3
    for sample in frames:
        assert find(COINBASE.channel_key, sample.raw) == sample.key
        assert COINBASE.classify(sample.raw) is None
    subscribed = ["level2:BTC-USD", *(str(sample.key) for sample in frames)]
    check_no_data(COINBASE, find, control("coinbase_advanced"), subscribed)


@pytest.mark.recorded
def test_recorded_requests_are_ours() -> None:
    assert COINBASE.unsubscribe is not None
    ours = messages(COINBASE.subscribe(["market_trades:BTC-USD", "market_trades:ETH-USD"], 1))
    ours += messages(COINBASE.unsubscribe(["market_trades:ETH-USD"], 2))
    assert ours == requests("coinbase_advanced")
