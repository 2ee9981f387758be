from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from jetsocket.testing import Exchange

from .conftest import client

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


async def test_streams_in_the_address_are_subscribed() -> None:
    async with Exchange(paused=True) as exchange, client(f"{exchange.uri}?streams={BTC}/{ETH}") as user:
        assert await user.ask("LIST_SUBSCRIPTIONS") == {"result": [BTC, ETH], "id": 1}


async def test_another_path_is_not_found() -> None:
    async with Exchange() as exchange:
        with pytest.raises(InvalidStatus) as caught:
            async with client(exchange.uri.replace("/stream", "/elsewhere")):
                pytest.fail("the path was served")
        assert caught.value.response.status_code == 404


async def test_waiting_for_connections_and_subscriptions() -> None:
    async with Exchange(paused=True) as exchange:
        for count in range(1, 4):
            async with client(exchange.uri) as user:
                await exchange.wait_connected()
                await exchange.wait_accepted(count)
                await user.send({"method": "SUBSCRIBE", "params": [BTC, ETH], "id": 1})
                await exchange.wait_subscribed(BTC, ETH)
            await exchange.wait_disconnected()


async def test_a_channel_that_was_not_subscribed_is_unsubscribed_all_the_same() -> None:
    async with Exchange(paused=True) as exchange, client(f"{exchange.uri}?streams={BTC}") as user:
        assert (await user.ask("UNSUBSCRIBE", ETH))["result"] is None
        account = exchange.account()
        assert (account.unsubscribes, account.subscribed) == (1, {1: [BTC]})


async def test_a_channel_that_is_refused_takes_the_whole_request_with_it() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        exchange.refuse_subscriptions(ETH, 7, "closed")
        assert await user.ask("SUBSCRIBE", BTC, ETH) == {"error": {"code": 7, "msg": "closed"}, "id": 1}
        assert exchange.account().subscribed == {1: []}
        assert await user.ask("SUBSCRIBE", BTC, id=2) == {"result": None, "id": 2}
        exchange.refuse_subscriptions()
        assert "error" in await user.ask("SUBSCRIBE", BTC)
        exchange.accept_subscriptions()
        assert "error" not in await user.ask("SUBSCRIBE", ETH)


async def test_a_number_of_handshakes_is_refused() -> None:
    async with Exchange(paused=True) as exchange:
        exchange.refuse_handshakes(429, {"Retry-After": "3"}, "slow down", times=2)
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                async with client(exchange.uri):
                    pytest.fail("it was accepted")
            response = caught.value.response
            assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
            assert response.body == b"slow down"
        async with client(exchange.uri):
            assert exchange.account().refused == 2


async def test_a_client_of_a_stalled_exchange_is_accepted_and_not_read_from() -> None:
    async with Exchange(paused=True) as exchange:
        exchange.stall()
        async with client(exchange.uri) as user:
            await user.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await exchange.wait_connected()
            assert exchange.requests == []
            exchange.resume()
            await exchange.wait_requests(1)
