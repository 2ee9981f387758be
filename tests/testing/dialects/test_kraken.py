from __future__ import annotations

from typing import Any

import pytest

from jetsocket.testing import VenueExchange

from .conftest import meeting, samples, shape, user_of


def request(method: str, channel: str, *symbols: str, number: int | None = 1, **params: Any) -> dict[str, Any]:
    asked = {"method": method, "params": {"channel": channel, "symbol": list(symbols), **params}}
    return asked if number is None else {**asked, "req_id": number}


async def test_each_symbol_has_an_answer_with_the_number_of_the_request() -> None:
    async with meeting("kraken") as (exchange, user):
        await user.say(request("subscribe", "trade", "BTC/USD", "ETH/USD", number=7, snapshot=False))
        answers = [await user.hear(), await user.hear()]
        assert [answer["result"] for answer in answers] == [
            {"channel": "trade", "symbol": "BTC/USD", "snapshot": False},
            {"channel": "trade", "symbol": "ETH/USD", "snapshot": False},
        ]
        assert all((answer["success"], answer["req_id"]) == (True, 7) for answer in answers)
        assert exchange.subscribed() == ["trade:BTC/USD", "trade:ETH/USD"]
        answer = await user.ask(request("unsubscribe", "trade", "BTC/USD", number=8))
        assert (answer["method"], answer["success"], answer["req_id"]) == ("unsubscribe", True, 8)
        assert exchange.subscribed() == ["trade:ETH/USD"]


async def test_one_refused_symbol_leaves_the_others() -> None:
    async with meeting("kraken") as (exchange, user):
        exchange.refuse("trade:XBT/USD")
        await user.say(request("subscribe", "trade", "XBT/USD", "BTC/USD", number=3))
        error = await user.hear()
        assert (error["success"], error["symbol"], error["req_id"]) == (False, "XBT/USD", 3)
        assert error["error"] == "Currency pair not supported XBT/USD"
        assert (await user.hear())["success"] is True
        assert exchange.subscribed() == ["trade:BTC/USD"]


async def test_what_is_so_already_is_an_error() -> None:
    async with meeting("kraken") as (exchange, user):
        await user.ask(request("subscribe", "trade", "BTC/USD"))
        assert (await user.ask(request("subscribe", "trade", "BTC/USD")))["error"] == "Already subscribed"
        error = await user.ask(request("unsubscribe", "trade", "ETH/USD"))
        assert (error["error"], error["method"]) == ("Subscription Not Found", "unsubscribe")
        assert exchange.subscribed() == ["trade:BTC/USD"]


async def test_a_channel_without_symbols() -> None:
    async with meeting("kraken") as (exchange, user):
        answer = await user.ask({"method": "subscribe", "params": {"channel": "instrument"}})
        assert answer["result"] == {"channel": "instrument", "snapshot": True}
        assert exchange.subscribed() == ["instrument"]


@pytest.mark.parametrize("text", ["{", "[]", '{"method":"subscribe"}', '{"method":"subscribe","params":{"channel":1}}'])
async def test_what_is_no_request_is_malformed(text: str) -> None:
    async with meeting("kraken") as (_, user):
        assert (await user.ask(text))["error"] == "Malformed request"


async def test_a_connection_is_told_the_state_of_the_system() -> None:
    async with VenueExchange("kraken") as exchange, user_of(exchange, welcomed=False) as user:
        for kind, system in ((None, "online"), ("maintenance", "maintenance"), ("resumed", "online")):
            if kind is not None:
                exchange.notice(kind)
            heard = await user.hear()
            assert (heard["channel"], heard["data"][0]["system"]) == ("status", system)


async def test_a_revoked_channel_is_the_answer_to_no_request() -> None:
    async with meeting("kraken") as (exchange, user):
        await user.ask(request("subscribe", "book", "BTC/USD"))
        exchange.revoke("book:BTC/USD")
        heard = await user.hear()
        assert (heard["method"], heard["result"]) == ("unsubscribe", {"channel": "book", "symbol": "BTC/USD"})
        assert "req_id" not in heard
        assert exchange.subscribed() == []


@pytest.mark.recorded
async def test_recorded_requests_get_the_recorded_answers() -> None:
    acks = [sample["message"] for sample in samples("kraken_v2", "in", "ack")]
    async with meeting("kraken") as (_, user):
        await user.say(samples("kraken_v2", "out", "subscribe")[0]["raw"])
        trade, other = await user.hear(), await user.hear()
        # The one recorded for this channel is of a request without a number.
        assert shape(trade) == shape({**acks[1], "req_id": 1})
        assert (trade["result"], other["result"]["symbol"]) == (acks[1]["result"], "MATIC/GBP")
        ticker = await user.ask(request("subscribe", "ticker", "BTC/USD"))
        assert shape(ticker) == shape(acks[0])
        assert ticker["result"] == acks[0]["result"]
        await user.ask({"method": "subscribe", "params": {"channel": "executions"}, "req_id": 3})
        left = await user.ask({"method": "unsubscribe", "params": {"channel": "executions"}, "req_id": 4})
        assert {name: left[name] for name in acks[2]} == acks[2]
        pong = await user.ask({**samples("kraken_v2", "out", "ping")[0]["message"], "req_id": 42})
        assert shape(pong) == shape(samples("kraken_v2", "in", "pong")[0]["message"])


@pytest.mark.recorded
async def test_recorded_errors_and_heartbeats_have_the_same_form() -> None:
    error = samples("kraken_v2", "in", "error")[0]["message"]
    async with meeting("kraken") as (exchange, user):
        exchange.refuse("trade:XBT/USD")
        heard = await user.ask(request("subscribe", "trade", "XBT/USD", number=None))
        del heard["time_out"]
        assert {**heard, "time_in": ""} == {**error, "time_in": ""}
        assert exchange.heartbeat() == 1
        assert await user.hear() == samples("kraken_v2", "in", "heartbeat")[0]["message"]


@pytest.mark.recorded
async def test_data_have_the_recorded_form() -> None:
    recorded: dict[str, list[Any]] = {}
    for sample in samples("kraken_v2", "in", "data"):
        recorded.setdefault(sample["message"]["channel"], []).append(sample["message"])
    async with meeting("kraken") as (exchange, user):
        for kind, messages in recorded.items():
            await user.ask(request("subscribe", kind, "BTC/USD"))
            exchange.publish(f"{kind}:BTC/USD")
            heard = await user.hear()
            assert shape(heard).keys() == messages[0].keys()
            assert shape(heard) in [shape(message) for message in messages]
