from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from jetsocket import WebSocket
from jetsocket.testing import KrakenDialect, Limits, VenueExchange

from .conftest import CHANNELS, DIALECTS, meeting, subscribe, user_of


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_is_published_reaches_who_subscribed(dialect: str) -> None:
    channel, other = CHANNELS[dialect]
    async with meeting(dialect) as (exchange, user):
        assert exchange.publish(channel) == 0
        await user.ask(subscribe(dialect, channel))
        await exchange.wait_subscribed(channel)
        assert (exchange.publish(channel, 3), exchange.publish(other, 2)) == (3, 0)
        heard = [await user.hear() for _ in range(3)]
        assert len({str(message) for message in heard}) == 3
        assert await user.hears_nothing()
        assert (exchange.sent(channel), exchange.sent(other), exchange.sent()) == (3, 0, 3)
        # A channel goes on while nobody follows it.
        assert (exchange.sequence(channel), exchange.sequence(other)) == (4, 2)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_our_own_client_understands_it(dialect: str) -> None:
    channel = CHANNELS[dialect][0]
    async with VenueExchange(dialect) as exchange, WebSocket(exchange.uri) as socket:
        await socket.send(subscribe(dialect, channel))
        await exchange.wait_subscribed(channel)
        exchange.publish(channel, 2)
        welcome = dialect in ("kraken", "bitfinex")
        for _ in range(3 + welcome):
            await asyncio.wait_for(socket.recv(), 5)


def test_a_dialect_goes_by_its_name_or_as_an_object() -> None:
    assert VenueExchange(KrakenDialect()).dialect.name == VenueExchange("kraken").dialect.name == "kraken"
    with pytest.raises(ValueError, match="'nasdaq'; there are binance, okx, kraken, bitfinex, coinbase"):
        VenueExchange("nasdaq")


async def test_the_account_tells_connections_apart() -> None:
    channel, other = CHANNELS["kraken"]
    async with meeting("kraken") as (exchange, user):
        await user.ask(subscribe("kraken", channel, 1))
        async with user_of(exchange) as second:
            await exchange.wait_connected(2)
            await exchange.wait_accepted(2)
            await second.ask(subscribe("kraken", channel, 2))
            await second.ask(subscribe("kraken", other, 3))
            assert exchange.publish(channel) == 2
            assert exchange.publish(other) == 1
            assert exchange.present is exchange.connections[1]
            assert exchange.subscribed() == [channel, other]
            await exchange.wait_requests(3)
            assert [(one.connection, one.message["req_id"]) for one in exchange.requests] == [(1, 1), (2, 2), (2, 3)]
            assert exchange.connections[1].requests == exchange.requests[1:]
            assert exchange.connections[1].sent == {channel: 1, other: 1}
            times = [one.time for one in exchange.requests]
            assert times == sorted(times)
        await exchange.until(lambda: exchange.present is exchange.connections[0])
        # What it held can still be seen.
        assert exchange.connections[1].channels == [channel, other]
    assert exchange.present is None
    assert exchange.subscribed() == []


async def test_upgrades_are_kept_with_query_and_headers() -> None:
    async with VenueExchange("binance") as exchange:
        async with user_of(exchange, "?token=a%2Fb&empty=", additional_headers={"X-Signature": "s"}):
            pass
        with pytest.raises(InvalidStatus) as caught:
            async with user_of(exchange, "/nowhere"):
                pytest.fail("the handshake was accepted")
        assert caught.value.response.status_code == 404
        first, second = exchange.upgrades
        assert (first.path, first.query, first.status) == ("/stream", {"token": "a/b", "empty": ""}, 101)
        assert first.headers["x-signature"] == "s"
        assert exchange.connections[0].upgrade is first
        assert (second.path, second.status) == ("/stream/nowhere", 404)


async def test_it_closes_with_clients_that_do_not_answer() -> None:
    async with VenueExchange("okx") as exchange:
        reader, writer = await asyncio.open_connection(exchange.host, exchange.port)
        writer.write(
            b"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await exchange.wait_accepted(1)
        assert exchange.close_all() == 1
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await exchange.close()


async def test_a_port_may_be_chosen_again() -> None:
    async with VenueExchange("okx") as first:
        port = first.port
    async with VenueExchange("okx", port=port, limits=Limits()) as second:
        assert second.uri == f"ws://127.0.0.1:{port}/ws/v5/public"
        async with user_of(second):
            await second.wait_connected()
        await second.wait_disconnected()
