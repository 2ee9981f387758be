from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import Any

import pytest

from jetsocket.testing.market import Market


def opened(frame: str) -> dict[str, Any]:
    """The message in a frame of the market, whose header says the payload's length."""
    data = frame.encode("latin-1")
    assert data[0] == 0x81
    start, size = (4, int.from_bytes(data[2:4], "big")) if data[1] == 126 else (2, data[1])
    assert len(data) - start == size
    message: dict[str, Any] = json.loads(data[start:])
    return message


def trading(*channels: str, **options: Any) -> Market:
    market = Market(**options)
    for channel in channels:
        market.follow(channel, now=0.0)
    return market


def messages(market: Market, count: int) -> list[dict[str, Any]]:
    channels, frames = market.take(count)
    opened_frames = [opened(frame) for frame in frames]
    assert channels == [message["stream"] for message in opened_frames]
    return opened_frames


FIELDS = {
    "trade": "e E s t p q T m M",
    "bookTicker": "u s b B a A",
    "ticker": "e E s p P w x c Q b B a A o h l v q O C F L n",
    "miniTicker": "e E s c o h l v q",
}


@pytest.mark.parametrize("kind", FIELDS)
def test_each_kind_has_the_fields_of_the_real_one(kind: str) -> None:
    for message in messages(trading(f"ethusdt@{kind}"), 3000):
        assert list(message) == ["stream", "data"]
        assert message["stream"] == f"ethusdt@{kind}"
        assert list(message["data"]) == FIELDS[kind].split()
        assert message["data"]["s"] == "ETHUSDT"


def test_a_trade_is_about_170_bytes() -> None:
    _, frames = trading("btcusdt@trade").take(100)
    assert all(160 <= len(frame) <= 180 for frame in frames)


@pytest.mark.parametrize("kind, number", [("trade", "t"), ("bookTicker", "u"), ("ticker", "L")])
def test_ids_are_consecutive(kind: str, number: str) -> None:
    numbers = [message["data"][number] for message in messages(trading(f"btcusdt@{kind}"), 2000)]
    assert numbers == list(range(numbers[0], numbers[0] + 2000))


def test_prices_walk_in_small_steps() -> None:
    prices = [float(message["data"]["p"]) for message in messages(trading("btcusdt@trade"), 5000)]
    assert len(set(prices)) > 10
    assert all(abs(after / before - 1) < 0.001 for before, after in itertools.pairwise(prices))


def test_the_book_is_never_crossed() -> None:
    assert all(float(m["data"]["b"]) < float(m["data"]["a"]) for m in messages(trading("btcusdt@bookTicker"), 5000))


def test_a_ticker_holds_together() -> None:
    for message in messages(trading("btcusdt@ticker"), 2000):
        data = message["data"]
        assert float(data["l"]) <= float(data["c"]) <= float(data["h"])
        assert float(data["p"]) == pytest.approx(float(data["c"]) - float(data["o"]), abs=1e-6)
        assert data["C"] - data["O"] == 86_400_000


def test_streams_of_one_symbol_share_its_price() -> None:
    market = trading("btcusdt@trade", "btcusdt@bookTicker")
    prices = [float(message["data"].get("p") or message["data"]["b"]) for message in messages(market, 4000)]
    assert all(abs(after / before - 1) < 0.001 for before, after in itertools.pairwise(prices))


def test_the_same_seed_gives_the_same_market() -> None:
    def prices(seed: int) -> list[str]:
        return [m["data"]["p"] for m in messages(trading("a@trade", "b@trade", seed=seed), 500)]

    assert prices(1) == prices(1)
    assert prices(1) != prices(2)


def test_every_channel_gets_the_same_share() -> None:
    names, _ = trading(*(f"s{index}@trade" for index in range(7))).take(700)
    assert set(Counter(names).values()) == {100}


def test_zipf_shares_fall_with_the_rank() -> None:
    names, _ = trading(*(f"s{index}@trade" for index in range(10)), zipf=1.0).take(20_000)
    counts = Counter(names)
    for rank in range(1, 11):
        assert counts[f"s{rank - 1}@trade"] / counts["s0@trade"] == pytest.approx(1 / rank, rel=0.15)


def test_the_sending_time_is_in_the_message_when_asked_for() -> None:
    market = trading("btcusdt@trade", "btcusdt@ticker", "btcusdt@bookTicker", timestamps=True)
    before = time.time_ns()
    times = [message["data"]["ns"] for message in messages(market, 10)]
    assert all(before <= ns <= time.time_ns() for ns in times)
    assert "ns" not in messages(trading("btcusdt@trade"), 1)[0]["data"]


def test_the_market_goes_on_while_nobody_follows() -> None:
    market = trading("a@trade", "b@trade")
    last = {m["stream"]: m["data"]["t"] for m in messages(market, 10)}["a@trade"]
    market.leave("a@trade", now=10.0, rate=100.0)
    market.follow("a@trade", now=12.0)
    first = next(m["data"]["t"] for m in messages(market, 2) if m["stream"] == "a@trade")
    assert first == last + 100 + 1  # two seconds at half of the rate


def test_those_that_leave_together_had_the_same_share() -> None:
    market = trading("a@trade", "b@trade")
    last = {m["stream"]: m["data"]["t"] for m in messages(market, 10)}
    for channel in last:
        market.leave(channel, now=10.0, rate=100.0)
    for channel in last:
        market.follow(channel, now=12.0)
    assert {m["stream"]: m["data"]["t"] - last[m["stream"]] for m in messages(market, 2)} == {
        "a@trade": 101,
        "b@trade": 101,
    }


@pytest.mark.parametrize("channel", ["", "!ticker@arr", "btcusdt", "btcusdt@depth", "BTCUSDT@trade", "btcusdt@trade "])
def test_any_other_channel_is_silent(channel: str) -> None:
    market = trading(channel, "ethusdt@trade")
    assert list(market.followed) == ["ethusdt@trade"]
    market.leave(channel, now=1.0, rate=1.0)


def test_nothing_comes_when_nothing_is_followed() -> None:
    assert Market().take(10) == ([], [])
