from __future__ import annotations

import asyncio

import pytest

from jetsocket.testing import VenueExchange

from .conftest import CHANNELS, DIALECTS, meeting, subscribe, user_of


@pytest.mark.parametrize("code", [1000, 4000])
async def test_a_client_that_closes_is_answered_and_its_code_is_kept(code: int) -> None:
    async with meeting("okx") as (exchange, user):
        await user.connection.close(code, "enough")
        await exchange.wait_disconnected()
        closing = exchange.connections[0].closing
        assert closing is not None
        assert (closing.by, closing.code, closing.reason) == ("client", code, "enough")
        assert user.connection.close_code == code


async def test_a_connection_that_is_lost_is_told_apart() -> None:
    async with meeting("okx") as (exchange, user):
        user.connection.transport.abort()
        await exchange.wait_disconnected()
        closing = exchange.connections[0].closing
        assert closing is not None
        assert (closing.by, closing.code) == ("lost", None)


async def test_a_message_in_fragments_is_one_request() -> None:
    async with meeting("okx") as (exchange, user):
        await user.connection.send(["pi", "n", "g"])
        assert await user.hear() == "pong"
        assert [request.text for request in exchange.requests] == ["ping"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_bytes_that_are_no_text_are_no_request(dialect: str) -> None:
    async with meeting(dialect) as (exchange, user):
        await user.ask(b"\xff\xfe")
        assert [(request.text, request.message) for request in exchange.requests] == [("\ufffd\ufffd", None)]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_is_said_after_a_close_is_not_obeyed(dialect: str) -> None:
    channel = CHANNELS[dialect][0]
    async with VenueExchange(dialect) as exchange, user_of(exchange) as user:
        exchange.close_all(1012)
        # Sent before the client has read the close frame.
        await user.say(subscribe(dialect, channel))
        await user.ended()
        assert exchange.requests == []
        assert exchange.connections[0].channels == []


async def test_first_is_once_for_each_subscription() -> None:
    request = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}}
    async with meeting("kraken") as (exchange, user):
        types = []
        for _ in range(2):
            await user.ask(request)
            exchange.publish("book:BTC/USD", 2)
            types += [(await user.hear())["type"] for _ in range(2)]
            await user.ask({**request, "method": "unsubscribe"})
        assert types == ["snapshot", "update"] * 2


async def test_pings_are_answered_and_counted() -> None:
    async with meeting("coinbase") as (exchange, user):
        await asyncio.wait_for(await user.connection.ping(), 5)
        assert exchange.connections[0].pings == 1
