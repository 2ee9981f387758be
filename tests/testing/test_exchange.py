from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import trustme

from jetsocket.testing import Exchange

from .conftest import client

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


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


async def test_what_is_not_open_is_closed() -> None:
    exchange = Exchange()
    await exchange.close()
    async with exchange:
        pass
    await exchange.close()


async def test_a_publisher_waits_for_slow_readers() -> None:
    async with Exchange(paused=True) as exchange, client(f"{exchange.uri}?streams={BTC}", max_queue=1) as user:
        draining = asyncio.create_task(exchange.drain())
        await draining
        for _ in range(200):
            exchange.publish(BTC, "x" * 100_000)
        draining = asyncio.create_task(exchange.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        for _ in range(200):
            await user.recv()
        await draining
