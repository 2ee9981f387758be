from __future__ import annotations

from typing import Any

import pytest

from jetsocket import Multiplex, SubscriptionError
from jetsocket.exchanges import BITFINEX
from jetsocket.testing import VenueExchange

from .conftest import meeting, samples, shape, user_of


def request(channel: str, symbol: str, **options: Any) -> dict[str, Any]:
    return {"event": "subscribe", "channel": channel, "symbol": symbol, **options}


async def test_the_answer_brings_the_number_that_data_carry() -> None:
    async with meeting("bitfinex") as (exchange, user):
        trades = await user.ask(request("trades", "tBTCUSD"))
        ticker = await user.ask(request("ticker", "tBTCUSD"))
        assert (trades["event"], trades["channel"], trades["pair"]) == ("subscribed", "trades", "BTCUSD")
        assert exchange.subscribed() == ["trades:tBTCUSD", "ticker:tBTCUSD"]
        exchange.publish("ticker:tBTCUSD")
        exchange.publish("trades:tBTCUSD", 2)
        exchange.skip("trades:tBTCUSD")
        exchange.publish("trades:tBTCUSD")
        assert (await user.hear())[0] == ticker["chanId"]
        heard = [await user.hear() for _ in range(3)]
        assert [(number, kind, trade[0]) for number, kind, trade in heard] == [
            (trades["chanId"], "te", 1),
            (trades["chanId"], "te", 2),
            (trades["chanId"], "te", 4),
        ]


async def test_the_next_connection_gives_a_number_to_another_channel() -> None:
    async with VenueExchange("bitfinex") as exchange:
        numbers = []
        for _ in range(2):
            async with user_of(exchange) as user:
                asked = [await user.ask(request("trades", symbol)) for symbol in ("tBTCUSD", "tETHUSD")]
                numbers.append([answer["chanId"] for answer in asked])
        assert numbers[1][0] == numbers[0][1]


async def test_books_are_told_apart_by_their_options() -> None:
    async with meeting("bitfinex") as (exchange, user):
        usual = await user.ask(request("book", "tBTCF0:USTF0"))
        assert (usual["prec"], usual["freq"], usual["len"]) == ("P0", "F0", "25")
        deep = await user.ask(request("book", "tBTCF0:USTF0", prec="P0", freq="F0", len="100"))
        assert deep["len"] == "100"
        assert exchange.subscribed() == ["book:tBTCF0:USTF0", "book:tBTCF0:USTF0:P0:F0:100"]
        assert exchange.publish("book:tBTCF0:USTF0:P0:F0:25") == exchange.sent("book:tBTCF0:USTF0") == 1
        assert (await user.hear())[0] == usual["chanId"]


async def test_candles_have_a_key() -> None:
    async with meeting("bitfinex") as (exchange, user):
        answer = await user.ask({"event": "subscribe", "channel": "candles", "key": "trade:1m:tBTCUSD"})
        assert list(answer) == ["event", "channel", "chanId", "key"]
        assert exchange.publish("candles:trade:1m:tBTCUSD") == 1
        assert len((await user.hear())[1]) == 6


@pytest.mark.parametrize("subject", [{}, {"symbol": ""}, {"symbol": None}, {"key": 5}])
async def test_a_channel_of_nothing_is_refused(subject: dict[str, Any]) -> None:
    async with meeting("bitfinex") as (exchange, user):
        asked = {"channel": "trades", **subject}
        refused = await user.ask({"event": "subscribe", **asked})
        assert refused == {**asked, "event": "error", "msg": "symbol: invalid", "code": 10300}
        assert exchange.subscribed() == []


async def test_who_asks_for_a_channel_of_nothing_is_told_at_once() -> None:
    async with VenueExchange("bitfinex") as exchange, Multiplex(exchange.uri, venue=BITFINEX) as mux:
        with pytest.raises(SubscriptionError, match="has no symbol or key"):
            await mux.subscribe("nonsense", timeout=20)
        assert exchange.subscribed() == []


async def test_leaving_takes_the_number() -> None:
    async with meeting("bitfinex") as (exchange, user):
        number = (await user.ask(request("trades", "tBTCUSD")))["chanId"]
        unknown = await user.ask({"event": "unsubscribe", "chanId": number + 1})
        assert (unknown["event"], unknown["code"], unknown["chanId"]) == ("error", 10401, number + 1)
        exchange.refuse("trades:tBTCUSD", action="unsubscribe")
        assert (await user.ask({"event": "unsubscribe", "chanId": number}))["code"] == 10400
        exchange.accept()
        left = await user.ask({"event": "unsubscribe", "chanId": str(number)})
        assert left == {"event": "unsubscribed", "status": "OK", "chanId": number}
        assert exchange.subscribed() == []


async def test_a_revoked_channel_is_said_to_be_left() -> None:
    async with meeting("bitfinex") as (exchange, user):
        number = (await user.ask(request("trades", "tBTCUSD")))["chanId"]
        exchange.revoke("trades:tBTCUSD")
        assert await user.hear() == {"event": "unsubscribed", "status": "OK", "chanId": number}
        assert exchange.subscribed() == []


async def test_each_channel_has_its_heartbeat() -> None:
    async with meeting("bitfinex") as (exchange, user):
        numbers = [(await user.ask(request("trades", symbol)))["chanId"] for symbol in ("tBTCUSD", "tETHUSD")]
        assert exchange.heartbeat("trades:tETHUSD") == 1
        assert await user.hear() == [numbers[1], "hb"]
        assert exchange.heartbeat() == 2
        assert [await user.hear(), await user.hear()] == [[number, "hb"] for number in numbers]


@pytest.mark.parametrize("text", ["{", "[]", '{"event":"dance"}', '{"event":"subscribe"}'])
async def test_what_is_no_request_is_an_error(text: str) -> None:
    async with meeting("bitfinex") as (_, user):
        assert await user.ask(text) == {"event": "error", "msg": "unknown event", "code": 10000}


async def test_a_ping_in_text_is_answered() -> None:
    async with meeting("bitfinex") as (_, user):
        pong = await user.ask({"event": "ping", "cid": 12})
        assert (pong["event"], pong["cid"]) == ("pong", 12)


async def test_notices_have_their_codes() -> None:
    async with meeting("bitfinex") as (exchange, user):
        for kind, code in (("reconnect", 20051), ("maintenance", 20060), ("resumed", 20061)):
            exchange.notice(kind)
            heard = await user.hear()
            assert (heard["event"], heard["code"]) == ("info", code)


@pytest.mark.recorded
async def test_recorded_requests_get_the_recorded_answers() -> None:
    asked = samples("bitfinex_v2", "out", "conf", "subscribe", "unsubscribe")
    told = samples("bitfinex_v2", "in", "ack", "notice")
    welcome, conf = told[0]["message"], told[1]["message"]
    acks = {(ack.get("event"), ack.get("channel")): ack for ack in (sample["message"] for sample in told)}
    async with VenueExchange("bitfinex") as exchange, user_of(exchange, welcomed=False) as user:
        assert shape(await user.hear()) == shape(welcome)
        numbers = {}
        for sample in asked[:4]:
            answer = await user.ask(sample["raw"])
            if answer["event"] == "conf":
                assert answer == conf
                continue
            recorded = acks["subscribed", answer["channel"]]
            assert list(answer) == list(recorded)
            assert shape(answer) == shape(recorded)
            assert (answer["symbol"], answer["pair"]) == ("tBFTUSD", "BFTUSD")
            numbers[answer["channel"]] = answer["chanId"]
        left = await user.ask({**asked[4]["message"], "chanId": numbers["ticker"]})
        assert shape(left) == shape(acks["unsubscribed", None])


@pytest.mark.recorded
async def test_recorded_errors_and_notices_have_the_same_form() -> None:
    bare, dup, limit, invalid = (sample["message"] for sample in samples("bitfinex_v2", "in", "error"))
    own = {"event", "msg", "code", "chanId", "pair"}
    async with meeting("bitfinex", None) as (exchange, user):
        exchange.refuse("ticker:tNOPE", 10001)
        assert await user.ask(request("ticker", "tNOPE")) == bare
        exchange.refuse("book:tNOPEF0:USTF0")
        for recorded in (dup, invalid):
            echoed = {name: value for name, value in recorded.items() if name not in own}
            await user.ask({"event": "subscribe", **echoed})
            answer = await user.ask({"event": "subscribe", **echoed})
            assert {**answer, "chanId": 0} == {**recorded, "chanId": 0}
            assert ("chanId" in answer) == ("chanId" in recorded)
        for number in range(24):
            await user.ask(request("trades", f"t{number}"))
        echoed = {name: value for name, value in limit.items() if name not in own}
        assert await user.ask({"event": "subscribe", **echoed}) == limit
        exchange.notice("reconnect")
        assert await user.hear() == samples("bitfinex_v2", "in", "notice")[1]["message"]


@pytest.mark.recorded
async def test_data_have_the_recorded_form() -> None:
    recorded = samples("bitfinex_v2", "in", "data", "heartbeat")
    numbered = {sample["key"].partition(":")[0]: sample["message"] for sample in recorded[:-4]}
    trade = next(sample["message"] for sample in recorded if sample["message"][1] == "te")
    entry = next(sample["message"] for sample in recorded if sample["key"] == "book:tDOGUSD")
    async with meeting("bitfinex") as (exchange, user):
        await user.ask(request("trades", "tBTCUSD"))
        exchange.publish("trades:tBTCUSD")
        assert shape(await user.hear()) == shape(trade)
        await user.ask(samples("bitfinex_v2", "out", "conf")[0]["raw"])
        await user.ask(request("ticker", "tBTCUSD"))
        await user.ask(request("book", "tBTCUSD"))
        exchange.publish("ticker:tBTCUSD")
        exchange.publish("book:tBTCUSD")
        exchange.heartbeat("book:tBTCUSD")
        heard = [await user.hear() for _ in range(3)]
        assert shape(heard[0]) == shape(numbered["ticker"])
        assert shape(heard[1]) == shape(entry)
        assert shape(heard[2]) == shape(samples("bitfinex_v2", "in", "heartbeat")[0]["message"])
        assert [message[-1] for message in heard] == [1, 2, 3]
