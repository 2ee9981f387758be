"""Who one is, and where one may connect to, on each new connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from jetsocket import ConnectionError, Greeting, Multiplex
from jetsocket.exchanges import OKX
from jetsocket.testing import VenueExchange

from ..peers import AT_ONCE
from .complaints import TRADES, binance, comes, complain_unless, complained

ORDERS = "orders:BTC-USDT"
LOGIN = {"op": "login", "args": [{"apiKey": "key", "sign": "signature"}]}


async def log_in(connection: Greeting) -> None:
    """As OKX documents it."""
    await connection.send(LOGIN)
    answer = await connection.reply(lambda message: message.get("event") in ("login", "error"), timeout=5)
    if answer["event"] == "error":
        raise PermissionError(answer["msg"])


def logging_in(uri: str) -> Multiplex[Any]:
    """Logs in on each connection."""
    return Multiplex(uri, venue=OKX, backoff=AT_ONCE, on_connect=log_in)


@asynccontextmanager
async def logged_in_once(uri: str) -> AsyncIterator[Multiplex[Any]]:
    """Logs in as people do: after connecting, with a message."""
    async with Multiplex(uri, venue=OKX, backoff=AT_ONCE) as feed:
        await feed.send(LOGIN)
        yield feed


async def test_a_reconnect_logs_in_again() -> None:
    """After a disconnect the client connects again, but it does not log in again, and so my orders are never subscribed
    to again.

    Reported: bitfinexcom/bitfinex-api-py, "Failed to reauth and resub after reconnection"; wanth1997/python-ftx,
    "websocket close after x-times".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("okx") as exchange:
            exchange.require_login()
            async with client(exchange.uri) as feed:
                orders = await feed.subscribe(ORDERS)
                exchange.drop_all()
                await comes(exchange.wait_accepted(2), "it does not connect again")
                await comes(exchange.wait_subscribed(ORDERS), "connected again, and not logged in")
                exchange.publish(ORDERS)
                await comes(orders.recv(), "nothing comes")

    await program(logging_in)
    with complained("not logged in"):
        await program(logged_in_once)


async def test_a_refused_login_says_so() -> None:
    """My key had expired. The client says that it is connected, and is silent.

    Reported: beyondcode/laravel-websockets, "Auth failure doesn't close websocket?"; laravel/echo, "For private
    channels, how to reconnect when authentication fails?".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("okx") as exchange:
            exchange.require_login(accepts=lambda credentials: credentials["apiKey"] == "another")
            try:
                async with client(exchange.uri):
                    complain_unless(False, "the login was refused, and nobody says so")
            except ConnectionError as error:
                complain_unless("PermissionError" in str(error), "nobody says why it does not connect")

    await program(logging_in)
    with complained("nobody says so"):
        await program(logged_in_once)


async def test_the_address_is_asked_for_anew() -> None:
    """The address has a token in it that is good for 24 hours. When the connection is lost after that, it tries the
    same address for ever, and is told that the token is expired.

    Reported: bmoscon/cryptofeed, "Kucoin - Unauthenticated subscription disconnects after 24 hours, fails to refresh
    token, and then cannot reconnect"; ccxt/ccxt, "kucoin and kucoinfutures token expired"; knowm/XChange, "KuCoin
    `token is expired` error when reconnecting after running for 24 hours".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange:
            tokens = map(str, count(1))

            async def ask_for_address() -> str:
                token = next(tokens)
                exchange.require_query("token", token)
                return f"{exchange.uri}?token={token}"

            async with client(ask_for_address) as feed:
                trades = await feed.subscribe(TRADES)
                exchange.require_query("token", "none is good any more")
                exchange.drop_all()
                await comes(exchange.wait_accepted(2), "the token has expired, and it knows no other")
                await exchange.wait_subscribed(TRADES)
                exchange.publish(TRADES)
                await comes(trades.recv(), "nothing comes")

    @asynccontextmanager
    async def asked_once(ask_for_address: Any) -> AsyncIterator[Multiplex[Any]]:
        async with binance(await ask_for_address()) as feed:
            yield feed

    await program(binance)
    with complained("it knows no other"):
        await program(asked_once)


async def test_headers_are_signed_anew() -> None:
    """The signature is over the time, so the headers of the first connection are refused when it reconnects.

    Reported: wanth1997/python-ftx, "websocket close after x-times".
    """

    async def program(sign_headers: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri, extra_headers=sign_headers) as feed:
            await feed.subscribe(TRADES)
            exchange.drop_all()
            await comes(exchange.wait_accepted(2), "it does not connect again")
            first, second = (upgrade.headers["X-Time"] for upgrade in exchange.upgrades)
            complain_unless(first != second, "a signature is used for the second time")

    times = count(1)

    def sign_headers() -> dict[str, str]:
        return {"X-Time": str(next(times)), "X-Signature": "signature"}

    await program(sign_headers)
    with complained("for the second time"):
        await program(sign_headers())
