from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from jetsocket.testing import Exchange, Garbage

from .conftest import Client, client

BTC = "btcusdt@trade"


async def ended(user: Client) -> ConnectionClosed:
    """Reads until the connection is gone; how it ended."""
    while True:
        try:
            await user.connection.recv()
        except ConnectionClosed as error:
            return error


@pytest.mark.parametrize("reset", [True, False])
async def test_every_connection_is_dropped(reset: bool) -> None:
    async with (
        Exchange(rate=0) as exchange,
        client(f"{exchange.uri}?streams={BTC}") as one,
        client(f"{exchange.uri}?streams={BTC}") as two,
    ):
        await exchange.wait_sent(10_000)
        assert exchange.drop_all(reset=reset) == 2
        assert exchange.account().subscribed == {}
        for user in (one, two):
            error = await ended(user)
            assert error.rcvd is None
            assert isinstance(error.__cause__, ConnectionResetError) == reset


async def test_a_dropped_client_may_come_back_at_once() -> None:
    async with Exchange(paused=True) as exchange:
        for _ in range(20):
            async with client(exchange.uri) as user:
                await user.ask("SUBSCRIBE", BTC)
                exchange.drop_all()
                await ended(user)
        assert exchange.account().accepted == 20


async def test_every_connection_is_closed_with_a_code() -> None:
    async with Exchange() as exchange, client(f"{exchange.uri}?streams={BTC}") as user:
        assert exchange.close_all(4401, "token expired") == 1
        error = await ended(user)
        assert error.rcvd is not None
        assert (error.rcvd.code, error.rcvd.reason) == (4401, "token expired")
        assert exchange.close_all() == 0


async def test_a_silent_exchange_still_answers() -> None:
    async with Exchange(rate=20_000) as exchange, client(f"{exchange.uri}?streams={BTC}") as user:
        await exchange.wait_sent(1000)
        exchange.go_silent()
        sent = exchange.sent()
        await asyncio.wait_for(await user.connection.ping(), 5)
        assert (await user.ask("LIST_SUBSCRIPTIONS"))["result"] == [BTC]
        assert exchange.sent() == sent
        exchange.resume()
        await exchange.wait_sent(sent + 1000)


async def test_a_stalled_exchange_answers_nothing() -> None:
    async with Exchange(rate=20_000) as exchange, client(f"{exchange.uri}?streams={BTC}") as user:
        await exchange.wait_sent(1000)
        exchange.stall()
        sent = exchange.sent()
        pong = await user.connection.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.2)
        assert exchange.sent() == sent
        exchange.resume()
        await asyncio.wait_for(pong, 5)
        await exchange.wait_sent(sent + 1000)


async def test_a_stalled_exchange_accepts_and_then_hangs() -> None:
    async with Exchange() as exchange:
        exchange.stall()
        async with client(exchange.uri) as user:
            await user.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(user.recv(), 0.2)
            exchange.resume()
            assert await user.recv() == {"result": [], "id": 1}


@pytest.mark.parametrize("kind", get_args(Garbage))
async def test_garbage_reaches_every_client(kind: Garbage) -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        assert exchange.send_garbage(kind) == 1
        assert exchange.account().injected == 1
        if kind in ("text", "json", "binary", "empty"):
            await user.connection.recv()
        else:
            with pytest.raises(ConnectionClosedError):
                await user.connection.recv()


async def test_any_text_and_any_bytes() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        exchange.send_text("null ✓")
        exchange.send_raw(b"\x01\x02ab\x80\x02cd")
        assert await user.connection.recv() == "null ✓"
        assert await user.connection.recv() == "abcd"


async def test_handshakes_are_refused_until_accepted_again() -> None:
    async with Exchange() as exchange:
        exchange.refuse_handshakes(401, {"X-Why": "key"}, '{"code":-2015}')
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                async with client(exchange.uri):
                    pytest.fail("the handshake was accepted")
            response = caught.value.response
            assert (response.status_code, response.headers["X-Why"]) == (401, "key")
            assert response.body == b'{"code":-2015}'
        await exchange.wait_refused(2)
        exchange.accept_handshakes()
        async with client(exchange.uri) as user:
            await user.ask("LIST_SUBSCRIPTIONS")
        assert exchange.account().refused == 2


@pytest.mark.parametrize("status", [200, 429, 503])
async def test_a_number_of_handshakes_is_refused(status: int) -> None:
    async with Exchange() as exchange:
        exchange.refuse_handshakes(status, {"Retry-After": "7"}, times=1)
        with pytest.raises(InvalidStatus) as caught:
            async with client(exchange.uri):
                pytest.fail("the handshake was accepted")
        assert caught.value.response.status_code == status
        assert caught.value.response.headers["Retry-After"] == "7"
        async with client(exchange.uri) as user:
            await user.ask("LIST_SUBSCRIPTIONS")


@pytest.mark.parametrize("status", [101, 999])
async def test_a_status_that_refuses_nothing_is_no_status(status: int) -> None:
    async with Exchange() as exchange:
        with pytest.raises(ValueError, match=str(status)):
            exchange.refuse_handshakes(status)


async def test_a_subscription_is_refused() -> None:
    async with Exchange(paused=True) as exchange, client(exchange.uri) as user:
        exchange.refuse_subscriptions("ethusdt@trade", 2, "Invalid request: no such symbol")
        error = {"code": 2, "msg": "Invalid request: no such symbol"}
        assert await user.ask("SUBSCRIBE", BTC, "ethusdt@trade", id=4) == {"error": error, "id": 4}
        assert exchange.account().subscribed == {1: []}
        assert await user.ask("SUBSCRIBE", BTC) == {"result": None, "id": 1}
        exchange.refuse_subscriptions(code=1, msg="closed")
        assert (await user.ask("SUBSCRIBE", "c"))["error"] == {"code": 1, "msg": "closed"}
        exchange.accept_subscriptions()
        assert await user.ask("SUBSCRIBE", "ethusdt@trade") == {"result": None, "id": 1}
