from __future__ import annotations

from jetsocket.testing import Exchange

from .conftest import client

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


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


async def test_messages_are_counted_for_each_client_that_gets_them() -> None:
    uri = "?streams=" + BTC
    async with (
        Exchange(rate=0, limit=100, paused=True) as exchange,
        client(exchange.uri + uri) as one,
        client(exchange.uri + uri) as two,
    ):
        exchange.start()
        await exchange.wait_sent(200)
        exchange.send_text('"injected"')
        account = exchange.account()
        assert (account.channels, account.messages, account.injected) == ({BTC: 200}, 200, 2)
        assert account.total == 202
        for user in (one, two):
            assert [(await user.recv())["stream"] for _ in range(100)] == [BTC] * 100
            assert await user.recv() == "injected"
