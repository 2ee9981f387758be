from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import meeting, samples, shape

BTC = {"channel": "tickers", "instId": "BTC-USDT"}
ETH = {"channel": "tickers", "instId": "ETH-USDT"}


def request(op: str, *args: Any, number: str | None = None) -> dict[str, Any]:
    return {"op": op, "args": list(args)} | ({} if number is None else {"id": number})


def without_connection(message: dict[str, Any]) -> dict[str, Any]:
    """Recordings are from before there was one."""
    return {name: value for name, value in message.items() if name != "connId"}


async def test_each_argument_has_an_answer_of_its_own() -> None:
    async with meeting("okx") as (exchange, user):
        await user.say(request("subscribe", BTC, ETH, number="12"))
        answers = [await user.hear(), await user.hear()]
        assert [answer["arg"] for answer in answers] == [BTC, ETH]
        assert {(answer["event"], answer["id"]) for answer in answers} == {("subscribe", "12")}
        assert exchange.subscribed() == ["tickers:BTC-USDT", "tickers:ETH-USDT"]
        answer = await user.ask(request("unsubscribe", BTC))
        assert without_connection(answer) == {"event": "unsubscribe", "arg": BTC}
        assert exchange.subscribed() == ["tickers:ETH-USDT"]


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ({"channel": "opt-summary", "instFamily": "BTC-USD"}, "opt-summary:BTC-USD"),
        ({"channel": "instruments", "instType": "SPOT"}, "instruments:SPOT"),
        ({"channel": "status"}, "status"),
    ],
)
async def test_other_arguments_have_names_too_and_come_back_with_the_data(argument: Any, name: str) -> None:
    async with meeting("okx") as (exchange, user):
        await user.ask(request("subscribe", argument))
        assert exchange.publish(name) == 1
        assert (await user.hear())["arg"] == argument


async def test_one_refused_argument_leaves_the_others() -> None:
    async with meeting("okx") as (exchange, user):
        exchange.refuse("tickers:ETH-USDT")
        await user.say(request("subscribe", BTC, ETH, number="4"))
        assert (await user.hear())["arg"] == BTC
        error = await user.hear()
        assert (error["event"], error["code"], error["id"]) == ("error", "60018", "4")
        assert error["msg"].startswith("Wrong URL or channel:tickers,instId:ETH-USDT doesn't exist.")
        assert exchange.subscribed() == ["tickers:BTC-USDT"]


async def test_60012_refuses_the_whole_request_and_quotes_it() -> None:
    async with meeting("okx") as (exchange, user):
        exchange.refuse("tickers:ETH-USDT", "60012")
        text = f'{{ "op" : "subscribe", "args":[{json.dumps(BTC)},{json.dumps(ETH)}]}}'
        error = await user.ask(text)
        assert without_connection(error) == {"event": "error", "code": "60012", "msg": f"Invalid request: {text}"}
        assert exchange.subscribed() == []


@pytest.mark.parametrize("text", ["{", "[]", "hello", '{"op":"dance"}', '{"op":"subscribe","args":[1]}'])
async def test_what_is_no_request_is_quoted(text: str) -> None:
    async with meeting("okx") as (_, user):
        error = await user.ask(text)
        assert (error["code"], error["msg"]) == ("60012", f"Invalid request: {text}")


async def test_before_a_login_nothing_is_subscribed_to() -> None:
    async with meeting("okx") as (exchange, user):
        exchange.require_login(accepts=lambda credentials: credentials["apiKey"] == "right")
        refused = await user.ask(request("subscribe", BTC, number="1"))
        assert (refused["event"], refused["code"], refused["id"]) == ("error", "60011", "1")
        failed = await user.ask(request("login", {"apiKey": "wrong"}))
        assert (failed["event"], failed["code"], failed["msg"]) == ("error", "60009", "Login failed.")
        assert (await user.ask(request("subscribe", BTC)))["code"] == "60011"
        done = await user.ask(request("login", {"apiKey": "right"}))
        assert without_connection(done) == {"event": "login", "code": "0", "msg": ""}
        assert (await user.ask(request("subscribe", BTC)))["event"] == "subscribe"
        exchange.require_login(False)


async def test_a_revoked_channel_is_all_of_its_kind() -> None:
    trades = {"channel": "trades", "instId": "BTC-USDT"}
    async with meeting("okx") as (exchange, user):
        await user.say(request("subscribe", BTC, ETH, trades))
        for _ in range(3):
            await user.hear()
        assert exchange.revoke("tickers:BTC-USDT") == 1
        notice = await user.hear()
        assert (notice["event"], notice["channel"]) == ("channel-conn-count-error", "tickers")
        assert exchange.subscribed() == ["trades:BTC-USDT"]


async def test_books_say_what_they_follow() -> None:
    books = {"channel": "books", "instId": "BTC-USDT"}
    async with meeting("okx") as (exchange, user):
        exchange.publish("books:BTC-USDT", 4)
        await user.ask(request("subscribe", books))
        exchange.publish("books:BTC-USDT", 2)
        exchange.skip("books:BTC-USDT", 3)
        exchange.publish("books:BTC-USDT")
        heard = [await user.hear() for _ in range(3)]
        assert [message["action"] for message in heard] == ["snapshot", "update", "update"]
        numbers = [(message["data"][0]["prevSeqId"], message["data"][0]["seqId"]) for message in heard]
        assert numbers == [(-1, 5), (5, 6), (9, 10)]


@pytest.mark.recorded
async def test_recorded_requests_get_the_recorded_answers() -> None:
    first, second, third = samples("okx_v5", "out", "subscribe", "unsubscribe")
    acks = [sample["message"] for sample in samples("okx_v5", "in", "ack")]
    async with meeting("okx") as (_, user):
        answer = await user.ask(first["raw"])
        assert shape(answer) == shape(acks[0])
        assert without_connection(answer) == without_connection(acks[0])
        await user.say(second["raw"])
        assert [without_connection(await user.hear()) for _ in range(3)] == acks[1:4]
        assert without_connection(await user.ask(third["raw"])) == without_connection(acks[4])
        assert await user.ask(samples("okx_v5", "out", "ping")[0]["raw"]) == samples("okx_v5", "in", "pong")[0]["raw"]


@pytest.mark.recorded
async def test_recorded_errors_and_notices_have_the_same_form() -> None:
    invalid, login, count = (sample["message"] for sample in samples("okx_v5", "in", "error"))
    notice = samples("okx_v5", "in", "notice")[0]["message"]
    async with meeting("okx") as (exchange, user):
        exchange.refuse("trades:BTC-USD-191227", "60012")
        quoted = invalid["msg"].removeprefix("Invalid request: ")
        assert without_connection(await user.ask(quoted)) == invalid
        exchange.require_login(accepts=lambda _: False)
        error = await user.ask(request("login", {"apiKey": "k"}))
        assert without_connection(error) == without_connection(login)
        exchange.require_login(False)
        await user.ask(request("subscribe", {"channel": "orders", "instType": "ANY"}))
        exchange.revoke("orders:ANY")
        assert without_connection(await user.hear()) == without_connection(count)
        exchange.notice("maintenance")
        heard = await user.hear()
        assert without_connection(heard) == without_connection(notice)
        assert shape(heard) == shape(notice)


@pytest.mark.recorded
async def test_data_have_the_recorded_form() -> None:
    recorded: dict[str, list[Any]] = {}
    for sample in samples("okx_v5", "in", "data"):
        recorded.setdefault(sample["message"]["arg"]["channel"], []).append(shape(sample["message"]))
    async with meeting("okx") as (exchange, user):
        for kind, shapes in recorded.items():
            argument = {"channel": kind, "instId": "BTC-USDT"}
            await user.ask(request("subscribe", argument))
            exchange.publish(f"{kind}:BTC-USDT")
            heard = shape(await user.hear())
            assert heard in shapes
