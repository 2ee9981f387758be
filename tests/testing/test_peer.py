from __future__ import annotations

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from jetsocket.testing import Exchange

from .conftest import client

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


async def test_each_request_is_answered_by_its_id() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        assert await user.ask("SUBSCRIBE", BTC, ETH, id=7) == {"result": None, "id": 7}
        assert await user.ask("LIST_SUBSCRIPTIONS", id=8) == {"result": [BTC, ETH], "id": 8}
        assert await user.ask("UNSUBSCRIBE", BTC, id=9) == {"result": None, "id": 9}
        assert await user.ask("LIST_SUBSCRIPTIONS", id=10) == {"result": [ETH], "id": 10}


@pytest.mark.parametrize(
    "request_, answer",
    [
        ("no JSON", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        ([1], {"code": 2, "msg": "Invalid request: expected an object"}),
        ({"id": 4}, {"error": {"code": 2, "msg": "Invalid request: missing field `method`"}, "id": 4}),
        (
            {"method": "BUY", "id": 5},
            {
                "error": {
                    "code": 2,
                    "msg": "Invalid request: unknown variant 'BUY', "
                    "expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS",
                },
                "id": 5,
            },
        ),
        (
            {"method": "SUBSCRIBE", "params": BTC, "id": 6},
            {"error": {"code": 2, "msg": "Invalid request: params must be a list of stream names"}, "id": 6},
        ),
        (
            {"method": "SUBSCRIBE", "params": [1]},
            {"code": 2, "msg": "Invalid request: params must be a list of stream names"},
        ),
        (
            {"method": "SUBSCRIBE", "params": [BTC], "id": 1.5},
            {"error": {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}, "id": 1.5},
        ),
    ],
)
async def test_a_wrong_request_is_answered_by_an_error(request_: Any, answer: Any) -> None:
    async with Exchange() as exchange, client(exchange.uri) as user:
        await user.send(request_)
        assert await user.recv() == answer
        assert exchange.account().subscribed == {1: []}


async def test_every_message_of_a_client_is_recorded() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        await user.ask("SUBSCRIBE", BTC, id=3)
        await user.send("{")
        await user.send(b"\xff")
        await exchange.wait_requests(3)
        assert exchange.requests == [
            (1, {"method": "SUBSCRIBE", "params": [BTC], "id": 3}, exchange.requests[0].text),
            (1, None, "{"),
            (1, None, "\ufffd"),
        ]


async def test_a_fragmented_request_is_put_together() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        await user.connection.send(['{"method":"LIST_', 'SUBSCRIPTIONS"', ',"id":1}'])
        assert await user.recv() == {"result": [], "id": 1}


async def test_a_client_that_closes_is_answered_with_its_own_code() -> None:
    async with Exchange() as exchange, client(exchange.uri) as user:
        await user.connection.close(4000, "done")
        assert user.connection.close_code == 4000
        assert user.connection.protocol.close_rcvd is not None
        await exchange.wait_disconnected()


async def test_an_unsolicited_pong_is_no_request() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        await user.connection.pong(b"here")
        assert await user.ask("LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}
        assert (exchange.account().requests, exchange.account().pings) == (1, 0)


async def test_a_ping_is_answered_with_its_payload() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        assert await (await user.connection.ping(b"there")) >= 0
        assert exchange.account().pings == 1


@pytest.mark.parametrize("reset", [True, False])
async def test_a_peer_is_cut_off(reset: bool) -> None:
    async with Exchange(paused=True) as exchange, client(f"{exchange.uri}?streams={BTC}") as user:
        assert exchange.drop_all(reset=reset) == 1
        with pytest.raises(ConnectionClosedError) as caught:
            await user.recv()
        assert isinstance(caught.value.__cause__, ConnectionResetError) == reset


async def test_a_peer_that_is_not_read_from_gets_its_answers_later() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        exchange.stall()
        await user.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        await user.send("[")
        exchange.resume()
        assert await user.recv() == {"result": [], "id": 1}
        assert (await user.recv())["code"] == 3


async def test_a_peer_that_is_told_to_close_answers_and_is_gone() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        exchange.close_all(4001, "go")
        with pytest.raises(ConnectionClosedError):
            await user.recv()
        assert user.connection.close_code == 4001
        assert exchange.close_all(None) == 0
