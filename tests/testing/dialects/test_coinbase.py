from __future__ import annotations

from typing import Any

import pytest

from .conftest import meeting, samples, shape


def request(kind: str, channel: str, *products: str) -> dict[str, Any]:
    return {"type": kind, "product_ids": list(products), "channel": channel}


def state(message: dict[str, Any]) -> Any:
    assert message["channel"] == "subscriptions"
    return message["events"][0]["subscriptions"]


async def test_each_answer_is_the_whole_state() -> None:
    async with meeting("coinbase") as (exchange, user):
        assert state(await user.ask(request("subscribe", "level2", "BTC-USD"))) == {"level2": ["BTC-USD"]}
        both = await user.ask(request("subscribe", "market_trades", "BTC-USD", "ETH-USD"))
        assert state(both) == {"level2": ["BTC-USD"], "market_trades": ["BTC-USD", "ETH-USD"]}
        less = await user.ask(request("unsubscribe", "market_trades", "BTC-USD", "ETH-USD"))
        assert state(less) == {"level2": ["BTC-USD"]}
        assert exchange.subscribed() == ["level2:BTC-USD"]


async def test_messages_are_numbered_whatever_they_are() -> None:
    async with meeting("coinbase") as (exchange, user):
        numbers = [(await user.ask(request("subscribe", "ticker", "BTC-USD")))["sequence_num"]]
        exchange.publish("ticker:BTC-USD", 2)
        exchange.heartbeat()
        exchange.skip("ticker:BTC-USD", 3)
        exchange.publish("ticker:BTC-USD")
        numbers += [(await user.hear())["sequence_num"] for _ in range(4)]
        assert numbers == [0, 1, 2, 3, 7]


async def test_an_answer_held_back_is_numbered_when_it_goes_out() -> None:
    async with meeting("coinbase") as (exchange, user):
        exchange.delay_acks()
        await user.say(request("subscribe", "ticker", "BTC-USD"))
        await exchange.wait_subscribed("ticker:BTC-USD")
        exchange.publish("ticker:BTC-USD")
        assert exchange.release_acks() == 1
        heard = [await user.hear(), await user.hear()]
        assert [(message["channel"], message["sequence_num"]) for message in heard] == [
            ("ticker", 0),
            ("subscriptions", 1),
        ]


async def test_what_is_asked_for_as_level2_comes_as_l2_data() -> None:
    async with meeting("coinbase") as (exchange, user):
        await user.ask(request("subscribe", "level2", "BTC-USD"))
        await exchange.wait_subscribed("l2_data:BTC-USD")
        assert exchange.publish("l2_data:BTC-USD") == 1
        assert (await user.hear())["channel"] == "l2_data"
        assert exchange.sent("level2:BTC-USD") == exchange.sent("l2_data:BTC-USD") == 1
        assert (await user.ask(request("subscribe", "l2_data", "BTC-USD")))["type"] == "error"


async def test_heartbeats_have_no_product() -> None:
    async with meeting("coinbase") as (exchange, user):
        answer = await user.ask({"type": "subscribe", "channel": "heartbeats"})
        assert state(answer) == {"heartbeats": ["heartbeats"]}
        await user.ask(request("subscribe", "ticker", "BTC-USD"))
        assert exchange.subscribed() == ["heartbeats", "ticker:BTC-USD"]
        for number in (1, 2):
            assert exchange.publish("heartbeats") == 1
            assert (await user.hear())["events"][0]["heartbeat_counter"] == number
        # A stream is of data.
        await exchange.stream(20_000, 10)
        assert (exchange.sent("heartbeats"), exchange.sent("ticker:BTC-USD")) == (2, 10)


async def test_an_error_says_neither_what_nor_whose() -> None:
    async with meeting("coinbase") as (exchange, user):
        exchange.refuse("ticker:NOPE")
        refused = await user.ask(request("subscribe", "ticker", "BTC-USD", "NOPE"))
        assert refused == {"type": "error", "message": "failure to subscribe"}
        assert exchange.subscribed() == []
        exchange.refuse("ticker:NOPE", msg="no such product")
        assert (await user.ask(request("subscribe", "ticker", "NOPE")))["message"] == "no such product"


@pytest.mark.parametrize("text", ["{", "[]", '{"type":"subscribe"}', '{"type":"subscribe","channel":"ticker"}'])
async def test_what_is_no_request_is_an_error(text: str) -> None:
    async with meeting("coinbase") as (_, user):
        assert (await user.ask(text))["type"] == "error"


async def test_a_revoked_channel_is_gone_from_the_state() -> None:
    async with meeting("coinbase") as (exchange, user):
        await user.ask(request("subscribe", "ticker", "BTC-USD", "ETH-USD"))
        exchange.revoke("ticker:BTC-USD")
        assert state(await user.hear()) == {"ticker": ["ETH-USD"]}


@pytest.mark.recorded
async def test_recorded_requests_get_the_recorded_answers() -> None:
    asked = samples("coinbase_advanced", "out", "subscribe", "unsubscribe")
    recorded = samples("coinbase_advanced", "in", "ack")[0]["message"]
    async with meeting("coinbase") as (_, user):
        await user.ask(request("subscribe", "level2", "BTC-USD"))
        answer = await user.ask(asked[0]["raw"])
        assert shape(answer) == shape(recorded)
        assert state(answer) == state(recorded)
        assert state(await user.ask(asked[1]["raw"]))["market_trades"] == ["BTC-USD"]


@pytest.mark.recorded
async def test_recorded_errors_and_heartbeats_have_the_same_form() -> None:
    async with meeting("coinbase") as (exchange, user):
        exchange.refuse()
        error = samples("coinbase_advanced", "in", "error")[0]["message"]
        assert await user.ask(request("subscribe", "ticker", "BTC-USD")) == error
        exchange.heartbeat()
        heard, beat = await user.hear(), samples("coinbase_advanced", "in", "heartbeat")[0]["message"]
        assert shape(heard) == shape(beat)
        times = [message["events"][0]["current_time"] for message in (heard, beat)]
        assert len(times[0]) == len(times[1])


@pytest.mark.recorded
async def test_data_have_the_recorded_form() -> None:
    async with meeting("coinbase") as (exchange, user):
        for sample in samples("coinbase_advanced", "in", "data"):
            channel, product = sample["key"].split(":")
            await user.ask(request("subscribe", channel.replace("l2_data", "level2"), product))
            exchange.publish(sample["key"])
            heard = await user.hear()
            assert heard["channel"] == channel
            assert shape(heard) == shape(sample["message"])
