"""What becomes of subscriptions and their queues when the connection is lost and made again."""

from __future__ import annotations

from typing import Any

import pytest

import jetsocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, close_frame, multiplex, subscribe_msg, text, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


async def test_every_subscription_is_there_again(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        subscriptions = [await mux.subscribe(f"c{number}") for number in range(20)]
        reconnected = told(mux, "reconnected")
        for turn in range(2, 5):
            exchange.drop_all()
            await reconnected.get()
            await exchange.wait_subscribed(*mux.list_subscriptions())
            assert exchange.account().subscribed == {turn: mux.list_subscriptions()}
            for subscription in subscriptions:
                exchange.publish(subscription.channel, turn)
                assert (await subscription.recv())["data"] == turn
        assert mux.stats().active_subscriptions == mux.stats().total_subscriptions == 20


async def test_queues_outlive_the_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        await mux.ping()
        reconnected = told(mux, "reconnected")
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 2)
        assert [(await btc.recv())["data"] for _ in range(2)] == [1, 2]


async def test_a_subscribe_message_that_fails_at_a_reconnect_ends_its_subscription(exchange: Exchange) -> None:
    broken = False

    def message(channel: str) -> Any:
        if broken and channel == BTC:
            raise LookupError("no such symbol")
        return subscribe_msg(channel)

    async with multiplex(exchange.uri, subscribe_msg=message) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        broken = True
        exchange.drop_all()
        sentence = "'btcusdt@trade': subscribe_msg failed: no such symbol"
        with pytest.raises(jetsocket.SubscriptionError, match=sentence) as caught:
            await btc.recv()
        assert caught.value.channel == BTC
        await exchange.wait_subscribed(ETH)
        exchange.publish(ETH, 1)
        assert (await eth.recv())["data"] == 1
        assert mux.list_subscriptions() == [ETH]


async def test_connecting_again_after_the_end_revives_the_subscriptions(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, reconnect=False) as mux:
        btc = await mux.subscribe(BTC)
        exchange.drop_all()
        with pytest.raises(jetsocket.ConnectionError):
            await btc.recv()
        assert not btc.stats().is_active
        await mux.connect()
        assert btc.is_active
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1


async def test_a_subscription_that_was_sent_into_a_dying_connection_is_asked_for_again(scripted: Serve) -> None:
    async def dying(peer: Conversation) -> None:
        await peer.accept()
        peer.reset()

    async def living(peer: Conversation) -> None:
        await peer.accept()
        while True:
            asked = await peer.read_frame()
            if asked.opcode != 1:
                return
            await peer.send(text('{"stream":"a"}'))

    server = await scripted(dying, living)
    async with multiplex(server.uri) as mux:
        a = await mux.subscribe("a")
        assert await a.recv(timeout=10) == {"stream": "a"}
        assert server.accepted == 2


async def test_a_connection_that_is_closed_as_it_opens_costs_no_subscription(scripted: Serve) -> None:
    """A server that is being restarted may put its close frame right behind the answer to the upgrade."""

    async def serving(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"stream":"a"}') + close_frame(1012))
        await peer.ended()

    async def restarting(peer: Conversation) -> None:
        await peer.accept(then=close_frame(1012))
        await peer.ended()

    server = await scripted(serving, restarting, serving)
    async with multiplex(server.uri) as mux:
        a = await mux.subscribe("a")
        for _ in range(2):
            assert await a.recv(timeout=10) == {"stream": "a"}
        assert server.accepted == 3
