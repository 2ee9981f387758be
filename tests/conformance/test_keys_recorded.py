"""Every recorded data frame is routed to the channel that `json` and indexing give, by both twins."""

from __future__ import annotations

import json

import pytest

from ..recordings import captured, runs, samples, venues
from .conftest import Twin
from .json_oracle import by_json

pytestmark = pytest.mark.recorded

OKX = "{arg.channel}:{arg.instId|arg.instFamily|arg.instType}"
SPECS = {
    "binance_spot_combined": "stream",
    "binance_spot_raw": "{s}@{e}",
    "bitfinex_v2": "[0]",
    "bybit_v5": "topic",
    "coinbase_advanced": "{channel}:{events[0].product_id|events[0].trades[0].product_id|"
    "events[0].tickers[0].product_id|events[0].candles[0].product_id}",
    "deribit": "params.channel",
    "kraken_v2": "{channel}:{data[0].symbol}",
    "kucoin": "topic",
    "okx_v5": OKX,
}
CAPTURES = {
    "binance_spot_btcusdt_2024": "stream",
    "bitfinex_2021": "[0]",
    "kucoin_2021": "topic",
    "okx_2022": "{arg.channel}:{arg.instId}",
}
# Venues whose key is not named by the frame itself: an id stands for it, or part of it is spelt otherwise.
NAMED_ELSEWHERE = {"binance_spot_raw", "bitfinex_v2"}


def channel_by_json(spec: str, payload: bytes) -> str | None:
    try:
        return by_json(spec, payload)
    except ValueError:  # a bare "pong" is no JSON
        return None


def test_every_recording_is_known() -> None:
    assert venues() == SPECS.keys()
    assert runs() == CAPTURES.keys()


@pytest.mark.parametrize("venue", SPECS)
def test_samples(twin: Twin, venue: str) -> None:
    spec = SPECS[venue]
    key = twin.keys.ChannelKey(spec)
    data = 0
    for sample in samples(venue):
        if sample["dir"] != "in":
            continue
        payload = sample["raw"].encode()
        channel = key.find(payload)
        assert channel == channel_by_json(spec, payload), sample["raw"]
        if sample["kind"] == "data":
            data += 1
            assert venue in NAMED_ELSEWHERE or channel == sample["key"], sample["raw"]
    assert data


@pytest.mark.parametrize("run", CAPTURES)
def test_captures(twin: Twin, run: str) -> None:
    spec = CAPTURES[run]
    key = twin.keys.ChannelKey(spec)
    found = 0
    for payload in captured(run):
        channel = key.find(payload)
        assert channel == channel_by_json(spec, payload), payload
        found += channel is not None
    assert found > 300


def test_the_ids_of_bitfinex_are_those_that_it_assigned(twin: Twin) -> None:
    key = twin.keys.ChannelKey("[0]")
    messages = [(payload, json.loads(payload)) for payload in captured("bitfinex_2021")]
    # Some heartbeats were recorded before the confirmation that names their id: all confirmations first.
    assigned = {
        str(message["chanId"])
        for _, message in messages
        if isinstance(message, dict) and message["event"] == "subscribed"
    }
    assert {key.find(payload) for payload, message in messages if isinstance(message, list)} <= assigned
    assert {key.find(payload) for payload, message in messages if isinstance(message, dict)} == {None}


def test_confirmations_of_okx_find_the_channel_that_they_confirm(twin: Twin) -> None:
    key = twin.keys.ChannelKey("{arg.channel}:{arg.instId}")
    confirmed = [payload for payload in captured("okx_2022") if json.loads(payload).get("event") == "subscribe"]
    assert confirmed
    for payload in confirmed:
        arg = json.loads(payload)["arg"]
        assert key.find(payload) == f"{arg['channel']}:{arg['instId']}"
