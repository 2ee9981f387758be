from __future__ import annotations

from typing import Any

import pytest

from jetsocket.testing import BinanceDialect, VenueExchange

from .conftest import meeting, samples, shape, user_of

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


def request(method: str, *params: Any, number: int = 1) -> dict[str, Any]:
    return {"method": method, "params": list(params), "id": number}


async def test_a_request_has_one_answer_for_all_its_streams() -> None:
    async with meeting("binance") as (exchange, user):
        assert await user.ask(request("SUBSCRIBE", BTC, ETH, number=7)) == {"result": None, "id": 7}
        assert exchange.subscribed() == [BTC, ETH]
        assert await user.ask(request("UNSUBSCRIBE", BTC, number=8)) == {"result": None, "id": 8}
        assert await user.ask({"method": "LIST_SUBSCRIPTIONS", "id": 9}) == {"result": [ETH], "id": 9}


async def test_the_address_may_ask_for_streams() -> None:
    async with VenueExchange("binance") as exchange, user_of(exchange, f"?streams={BTC}/{ETH}") as user:
        await exchange.wait_subscribed(BTC, ETH)
        exchange.publish(ETH)
        assert (await user.hear())["stream"] == ETH


async def test_one_refused_stream_refuses_the_request() -> None:
    async with meeting("binance") as (exchange, user):
        exchange.refuse(ETH)
        error = {"code": 2, "msg": "Invalid request: invalid stream"}
        assert await user.ask(request("SUBSCRIBE", BTC, ETH, number=4)) == {"error": error, "id": 4}
        assert exchange.subscribed() == []


async def test_errors_come_in_a_form_without_id_too() -> None:
    async with meeting(BinanceDialect(errors_with_id=False)) as (exchange, user):
        exchange.refuse(ETH, 1, "No")
        assert await user.ask(request("SUBSCRIBE", BTC, ETH, number=4)) == {"code": 1, "msg": "No"}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"id":1}', '{"method":"PLAY","id":1}', '{"method":"SUBSCRIBE","params":[1],"id":1}']
)
async def test_what_is_no_request_is_an_error(text: str) -> None:
    async with meeting("binance") as (exchange, user):
        answer = await user.ask(text)
        assert answer.get("error", answer)["code"] in (2, 3)
        assert exchange.violations == []


async def test_a_stream_that_ends_by_itself_ends_without_a_word() -> None:
    async with meeting("binance") as (exchange, user):
        await user.ask(request("SUBSCRIBE", BTC))
        assert exchange.revoke(BTC) == 1
        assert exchange.publish(BTC) == 0
        assert await user.hears_nothing()


async def test_updates_of_depth_follow_each_other_by_two() -> None:
    async with meeting("binance") as (exchange, user):
        await user.ask(request("SUBSCRIBE", "btcusdt@depth"))
        exchange.publish("btcusdt@depth", 2)
        exchange.skip("btcusdt@depth")
        exchange.publish("btcusdt@depth")
        updates = [(await user.hear())["data"] for _ in range(3)]
        assert [(update["U"], update["u"]) for update in updates] == [(1, 2), (3, 4), (7, 8)]


@pytest.mark.recorded
async def test_recorded_requests_get_the_recorded_answers() -> None:
    asked = samples("binance_spot_combined", "out", "subscribe", "unsubscribe", "list", "set_property")
    told = samples("binance_spot_combined", "in", "ack")
    async with meeting("binance") as (_, user):
        answers = [await user.ask(sample["raw"]) for sample in asked]
        assert answers[:3] == [sample["message"] for sample in told]
        assert answers[3] == {"result": None, "id": 5}


@pytest.mark.recorded
async def test_recorded_errors_and_notices_have_the_same_form() -> None:
    errors = samples("binance_spot_combined", "in", "error")
    for with_id, sample in zip((False, True), errors, strict=True):
        async with meeting(BinanceDialect(errors_with_id=with_id)) as (_, user):
            assert shape(await user.ask(request("SET_PROPERTY", 1, True))) == shape(sample["message"])
    async with meeting("binance") as (exchange, user):
        for kind in ("maintenance", "reconnect"):
            assert exchange.notice(kind) == 1
            notice = samples("binance_spot_combined", "in", "notice")[0]["message"]
            heard = await user.hear()
            assert shape(heard) == shape(notice)
            assert heard["data"]["e"] == notice["data"]["e"]


@pytest.mark.recorded
async def test_data_have_the_recorded_form() -> None:
    recorded: dict[str, list[Any]] = {}
    for sample in samples("binance_spot_combined", "in", "data"):
        recorded.setdefault(sample["key"].partition("@")[2], []).append(sample["message"])
    # Of futures alone.
    del recorded["depth@0ms"]
    async with meeting("binance") as (exchange, user):
        for kind, messages in recorded.items():
            channel = f"btcusdt@{kind}"
            await user.ask(request("SUBSCRIBE", channel))
            exchange.publish(channel)
            heard = await user.hear()
            assert heard["stream"] == channel
            # Each list may be empty in one of them.
            assert any(heard["data"].keys() == message["data"].keys() for message in messages)
            if "depth" not in kind:
                assert any(shape(heard) == shape(message) for message in messages)
