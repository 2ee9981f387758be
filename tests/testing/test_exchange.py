from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme
from websockets.exceptions import InvalidStatus

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


async def test_streams_in_the_address_are_subscribed() -> None:
    async with Exchange(paused=True) as exchange, client(f"{exchange.uri}?streams={BTC}/{ETH}") as user:
        assert await user.ask("LIST_SUBSCRIPTIONS") == {"result": [BTC, ETH], "id": 1}


async def test_another_path_is_not_found() -> None:
    async with Exchange() as exchange:
        with pytest.raises(InvalidStatus) as caught:
            async with client(exchange.uri.replace("/stream", "/elsewhere")):
                pytest.fail("the path was served")
        assert caught.value.response.status_code == 404


async def test_what_is_published_goes_to_the_subscribers_of_that_channel() -> None:
    async with (
        Exchange(paused=True) as exchange,
        client(exchange.uri) as one,
        client(exchange.uri) as two,
    ):
        await one.ask("SUBSCRIBE", BTC, "anything")
        await two.ask("SUBSCRIBE", ETH, "anything")
        assert exchange.publish(BTC, {"p": "1.0"}) == 1
        assert exchange.publish("anything", ["ü", None]) == 2
        assert exchange.publish("nobody", 0) == 0
        assert await one.recv() == {"stream": BTC, "data": {"p": "1.0"}}
        assert await one.recv() == {"stream": "anything", "data": ["ü", None]}
        assert await two.recv() == {"stream": "anything", "data": ["ü", None]}
        assert exchange.account().channels == {BTC: 1, "anything": 2}


async def test_an_account_of_everything() -> None:
    async with Exchange(paused=True) as exchange:
        async with client(exchange.uri) as user:
            await user.ask("SUBSCRIBE", BTC, ETH)
            await user.ask("SUBSCRIBE", BTC)
            await user.ask("UNSUBSCRIBE", ETH)
            await user.ask("NONSENSE")
            await (await user.connection.ping())
            exchange.publish(BTC, 1)
            exchange.send_text("hello")
            account = exchange.account()
            assert account.subscribed == {1: [BTC]}
            assert (account.subscribes, account.unsubscribes) == (3, 1)
            assert (account.requests, account.answers, account.pings) == (4, 4, 1)
            assert (account.messages, account.injected, account.total) == (1, 1, 6)
            assert (account.accepted, account.refused) == (1, 0)
            assert exchange.sent() == exchange.sent(BTC) == 1
            assert exchange.sent(ETH) == 0
        await exchange.wait_disconnected()
        assert exchange.account().subscribed == {}


async def test_a_client_that_closes_is_answered_with_its_own_code() -> None:
    async with Exchange() as exchange, client(exchange.uri) as user:
        await user.connection.close(4000, "done")
        assert user.connection.close_code == 4000
        assert user.connection.protocol.close_rcvd is not None
        await exchange.wait_disconnected()


async def test_waiting_for_connections_and_subscriptions() -> None:
    async with Exchange(paused=True) as exchange:
        for count in range(1, 4):
            async with client(exchange.uri) as user:
                await exchange.wait_connected()
                await exchange.wait_accepted(count)
                await user.send({"method": "SUBSCRIBE", "params": [BTC, ETH], "id": 1})
                await exchange.wait_subscribed(BTC, ETH)
            await exchange.wait_disconnected()


async def test_over_tls() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Exchange(ssl=server, rate=0, limit=5000) as exchange, client(exchange.uri, ssl=trusting) as user:
        assert exchange.uri.startswith("wss://127.0.0.1:")
        await user.send({"method": "SUBSCRIBE", "params": [BTC], "id": 1})
        received = [await user.recv() for _ in range(5001)]
        ids = [message["data"]["t"] for message in received if "stream" in message]
        assert ids == list(range(ids[0], ids[0] + 5000))
        exchange.drop_all()


async def test_a_taken_port_is_an_oserror() -> None:
    async with Exchange() as exchange:
        with pytest.raises(OSError, match=str(exchange.port)):
            await Exchange(port=exchange.port).open()


@pytest.mark.parametrize(
    "options, error, says",
    [
        ({"rate": -1}, ValueError, "rate must be finite and not negative, got -1"),
        ({"rate": float("inf")}, ValueError, "rate must be finite and not negative, got inf"),
        ({"rate": "10"}, TypeError, "rate must be a number, got str '10'"),
        ({"zipf": float("nan")}, ValueError, "zipf must be finite and not negative, got nan"),
    ],
)
async def test_options_are_checked(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Exchange(**options)
