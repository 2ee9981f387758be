"""Subscription.listen(): a callback inside the read, over loopback, on both event loops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
import uvloop

from jetsocket import ConnectionError, DecodeError, InvalidStateError
from jetsocket.testing import Exchange

from .peers import multiplex

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def message(channel: str, data: Any) -> dict[str, Any]:
    return {"stream": channel, "data": data}


class Trade(msgspec.Struct):
    stream: str
    data: int


async def test_each_message_is_given_to_the_callback_in_order(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        eth = await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        heard: list[Any] = []
        for number in range(3):
            exchange.publish(BTC, number)
        await mux.ping()
        listening = btc.listen(heard.append)
        # What was queued came inside the call.
        assert heard == [message(BTC, number) for number in range(3)]
        for number in range(3, 100):
            exchange.publish(BTC, number)
        exchange.publish(ETH, 1)
        # Its answer comes behind the messages, whose callbacks ran in the read.
        await mux.ping()
        assert heard == [message(BTC, number) for number in range(100)]
        assert listening.is_active
        assert repr(listening) == "Listening('btcusdt@trade', active)"
        assert await eth.recv() == message(ETH, 1)
        stats = btc.stats()
        assert (stats.messages_received, stats.messages_delivered, stats.queue_size) == (100, 100, 0)


@pytest.mark.parametrize(
    "decoding", [{"deserializer": bytes}, {"message_type": Trade}, {"deserializer": msgspec.json.decode}]
)
async def test_messages_are_decoded_as_iteration_would(exchange: Exchange, decoding: dict[str, Any]) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC, **decoding)
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 7)
        expected = await btc.recv()
        heard: list[Any] = []
        btc.listen(heard.append)
        exchange.publish(BTC, 7)
        await mux.ping()
        assert heard == [expected]


async def test_by_an_extractor_it_is_the_same(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, channel_extractor=lambda message: message.get("stream")) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        heard: list[Any] = []
        listening = btc.listen(heard.append)
        exchange.publish(BTC, 1)
        await mux.ping()
        assert heard == [message(BTC, 1)]
    await listening.wait()


async def test_stopping_and_reading_on(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        heard: list[Any] = []
        with btc.listen(heard.append) as listening:
            exchange.publish(BTC, 1)
            await mux.ping()
        assert not listening.is_active
        assert repr(listening) == "Listening('btcusdt@trade', ended)"
        await listening.wait()
        listening.stop()
        exchange.publish(BTC, 2)
        assert await btc.recv() == message(BTC, 2)
        assert heard == [message(BTC, 1)]
        again = btc.listen(heard.append)
        # One that has ended does not stop its successor.
        listening.stop()
        exchange.publish(BTC, 3)
        await mux.ping()
        assert heard == [message(BTC, 1), message(BTC, 3)]
        again.stop()


async def test_a_callback_may_stop_itself(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        heard: list[Any] = []

        def callback(got: Any) -> None:
            heard.append(got["data"])
            if len(heard) == 2:
                listening.stop()

        listening = btc.listen(callback)
        for number in range(4):
            exchange.publish(BTC, number)
        await mux.ping()
        await listening.wait()
        assert heard == [0, 1]
        assert [(await btc.recv())["data"] for _ in range(2)] == [2, 3]


async def test_a_callback_may_close_its_subscription(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        tasks: list[asyncio.Task[None]] = []

        def callback(got: Any) -> None:
            if not tasks:
                tasks.append(asyncio.create_task(btc.close()))

        listening = btc.listen(callback)
        exchange.publish(BTC, 1)
        await listening.wait()
        await tasks[0]
        assert not btc.is_active


async def test_a_callback_that_raises_is_reported_and_hurts_nobody(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        eth = await mux.subscribe(ETH, message_type=Trade)
        await exchange.wait_subscribed(BTC, ETH)
        heard: list[Any] = []

        def price(got: Any) -> None:
            heard.append(got["data"])
            if got["data"] == "s3cret":
                raise KeyError(got["data"])

        btc.listen(price)
        eth.listen(heard.append)
        exchange.publish(BTC, "s3cret")
        exchange.publish(ETH, "s3cret")
        exchange.publish(BTC, 2)
        exchange.publish(ETH, 3)
        await mux.ping()
        assert heard == ["s3cret", 2, Trade(ETH, 3)]
        first, second = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
        assert first.startswith(
            "the listener of 'btcusdt@trade' failed: KeyError in price (test_subscription_listening.py:"
        )
        assert second.startswith("the listener of 'ethusdt@trade' failed: DecodeError in ")
        assert "s3cret" not in caplog.text
        assert btc.stats().messages_delivered == 2


async def test_an_exception_handler_is_given_the_error(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        eth = await mux.subscribe(ETH, message_type=Trade)
        await exchange.wait_subscribed(BTC, ETH)
        contexts: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
        error = ValueError("no")

        def callback(got: Any) -> None:
            raise error

        btc.listen(callback)
        eth.listen(callback)
        exchange.publish(BTC, 1)
        exchange.publish(ETH, "x")
        await mux.ping()
        assert contexts[0]["exception"] is error
        assert isinstance(contexts[1]["exception"], DecodeError)


async def test_the_end_of_the_subscription_and_of_the_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        first, second = btc.listen(print), eth.listen(print)
        waiting = asyncio.create_task(first.wait())
        await btc.close()
        await waiting
        assert second.is_active
    await second.wait()


async def test_the_loss_of_the_connection_says_why(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, reconnect=False) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        listening = btc.listen(print)
        exchange.drop_all()
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await listening.wait()


async def test_giving_up_waiting_does_not_stop(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        heard: list[Any] = []
        listening = btc.listen(heard.append)
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0.01):
                await listening.wait()
        exchange.publish(BTC, 1)
        await mux.ping()
        assert heard == [message(BTC, 1)]


async def test_a_listened_subscription_is_for_nobody_else(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        waiting = asyncio.create_task(btc.recv())
        await asyncio.sleep(0)
        with pytest.raises(InvalidStateError, match="cannot listen: a task waits for its messages"):
            btc.listen(print)
        waiting.cancel()
        await asyncio.wait([waiting])
        with btc.listen(print):
            for call in (btc.recv, btc.recv_batch, btc.__anext__, btc.batches().__anext__, btc.messages().__anext__):
                with pytest.raises(InvalidStateError, match="its messages go to a callback; stop that first"):
                    await call()
            with pytest.raises(InvalidStateError, match="cannot listen: its messages go to a callback"):
                btc.listen(print)


async def test_what_is_no_callback(exchange: Exchange) -> None:
    async def callback(got: Any) -> None: ...

    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        for wrong in (None, 1, callback):
            with pytest.raises(TypeError, match="callback must be a plain function, got "):
                btc.listen(wrong)  # type: ignore[arg-type]


async def test_a_burst_lets_other_tasks_run(exchange: Exchange) -> None:
    count = 20_000
    async with multiplex(exchange.uri, queue_size=0) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        heard: list[Any] = []
        listening = btc.listen(lambda got: heard.append(got["data"]))
        longest = last = turns = 0

        async def watch() -> None:
            nonlocal longest, last, turns
            while len(heard) < count:
                turns += 1
                longest, last = max(longest, len(heard) - last), len(heard)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        for number in range(count):
            exchange.publish(BTC, number)
        await watching
        assert heard == list(range(count))
        assert turns > 2
        listening.stop()
