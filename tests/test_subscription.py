from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jetsocket import ConnectionError, DecodeError, InvalidStateError, SubscriptionStats, TimeoutError
from jetsocket.testing import Exchange

from .peers import multiplex

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


def message(channel: str, data: Any) -> dict[str, Any]:
    return {"stream": channel, "data": data}


async def test_messages_come_in_order_as_they_were_sent(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(3):
            exchange.publish(BTC, number)
        assert [await btc.recv() for _ in range(3)] == [message(BTC, number) for number in range(3)]


async def test_facts_about_a_subscription(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        assert (btc.channel, btc.is_active) == (BTC, True)
        assert repr(btc) == "Subscription('btcusdt@trade', active, 0 queued)"
        assert btc.stats() == SubscriptionStats(BTC)
        await btc.close()
        assert not btc.is_active
        assert repr(btc) == "Subscription('btcusdt@trade', closed, 0 queued)"


async def test_recv_times_out_and_goes_on(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        began = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            await btc.recv(timeout=0.05)
        assert 0.04 < time.monotonic() - began < 2
        assert (caught.value.timeout, caught.value.operation) == (0.05, "recv")
        with pytest.raises(TimeoutError):
            await btc.recv(timeout=0)
        exchange.publish(BTC, 1)
        assert await btc.recv(timeout=10) == message(BTC, 1)


@pytest.mark.parametrize("timeout", [True, "1", float("nan"), float("inf")])
async def test_a_timeout_that_is_no_time(exchange: Exchange, timeout: Any) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        with pytest.raises((TypeError, ValueError), match="timeout must be seconds or None"):
            await btc.recv(timeout)
        with pytest.raises((TypeError, ValueError), match="timeout must be seconds or None"):
            await btc.recv_batch(timeout=timeout)


async def test_a_deadline_that_is_past(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        with pytest.raises(TimeoutError):
            await btc.recv(timeout=-0.1)
        exchange.publish(BTC, 1)
        await mux.ping()
        assert await btc.recv(timeout=-0.1) == message(BTC, 1)


async def test_batches(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, queue_size=0) as mux:
        btc = await mux.subscribe(BTC, deserializer=bytes)
        await exchange.wait_subscribed(BTC)
        for number in range(10):
            exchange.publish(BTC, number)
        await mux.ping()
        assert len(await btc.recv_batch(3)) == 3
        assert len(await btc.recv_batch()) == 7
        exchange.publish(BTC, 11)
        async for batch in btc.batches():
            assert batch == [b'{"stream":"btcusdt@trade","data":11}']
            break
        for wrong in (0, -1):
            with pytest.raises(ValueError, match=f"max_messages must be at least 1, got {wrong}"):
                await btc.recv_batch(wrong)
            with pytest.raises(ValueError, match=f"max_messages must be at least 1, got {wrong}"):
                btc.batches(wrong)


async def test_messages_with_their_payload_and_time(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        before = time.time_ns()
        exchange.publish(BTC, 1)
        got = await anext(btc.messages())
        assert got.data == b'{"stream":"btcusdt@trade","data":1}'
        assert not got.binary
        assert before <= got.received_ns <= time.time_ns()
        assert got.decode() == message(BTC, 1)


async def test_several_consumers_share_the_messages(exchange: Exchange) -> None:
    count = 1000
    async with multiplex(exchange.uri, queue_size=0) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)

        async def consume() -> list[int]:
            return [got["data"] async for got in btc]

        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        for number in range(count):
            exchange.publish(BTC, number)
            if number % 100 == 0:
                await mux.ping()
        await mux.ping()
        await btc.close()
        shares = await asyncio.gather(*consumers)
        assert sorted(number for share in shares for number in share) == list(range(count))
        assert all(share == sorted(share) for share in shares)


async def test_closing_unsubscribes_and_leaves_what_was_queued(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(3):
            exchange.publish(BTC, number)
        await mux.ping()
        await btc.close()
        await btc.close()
        assert mux.list_subscriptions() == []
        await exchange.wait_requests(2)
        assert exchange.requests[-1].message == {"method": "UNSUBSCRIBE", "params": [BTC], "id": 2}
        assert [got["data"] async for got in btc] == [0, 1, 2]
        with pytest.raises(InvalidStateError):
            await btc.recv()
        with pytest.raises(InvalidStateError):
            await btc.recv_batch()
        assert [got async for got in btc] == []
        assert [batch async for batch in btc.batches()] == []
        assert [got async for got in btc.messages()] == []


async def test_closing_an_old_subscription_leaves_its_successor_alone(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        old = await mux.subscribe(BTC)
        await old.close()
        new = await mux.subscribe(BTC)
        assert new is not old
        await old.close()
        assert mux.get_subscription(BTC) is new
        await exchange.wait_requests(3)
        exchange.publish(BTC, 1)
        assert (await new.recv())["data"] == 1
        assert old.stats().messages_received == 0


@pytest.mark.parametrize("way", ["subscription", "unsubscribe", "multiplex"])
async def test_whoever_waits_is_woken_by_the_end(exchange: Exchange, way: str) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)

        async def iterate(messages: Any) -> list[Any]:
            return [got async for got in messages]

        iterating = [asyncio.create_task(iterate(source)) for source in (btc, btc.batches(), btc.messages())]
        receiving = [asyncio.create_task(btc.recv()), asyncio.create_task(btc.recv_batch())]
        await mux.ping()
        await {"subscription": btc.close, "unsubscribe": lambda: mux.unsubscribe(BTC), "multiplex": mux.close}[way]()
        assert await asyncio.gather(*iterating) == [[], [], []]
        for task in receiving:
            with pytest.raises(InvalidStateError):
                await task


async def test_whoever_waits_gets_the_error_of_a_connection_lost_for_good(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        await mux.ping()
        exchange.close_all(1008, "bad token")
        assert (await btc.recv())["data"] == 1
        with pytest.raises(ConnectionError, match="bad token"):
            await btc.recv()
        for step in (btc.recv_batch, btc.__anext__, btc.batches().__anext__, btc.messages().__anext__):
            with pytest.raises(ConnectionError, match="bad token"):
                await step()


async def test_a_message_that_cannot_be_decoded_costs_one_step(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        numbers = await mux.subscribe(BTC, deserializer=lambda raw: int(raw.split(b":")[-1].rstrip(b"}")))
        await exchange.wait_subscribed(BTC)
        for data in (1, "x", 2, "y", 3):
            exchange.publish(BTC, data)
        await mux.ping()
        got: list[Any] = []
        while len(got) < 5:
            try:
                async for number in numbers:
                    got.append(number)
                    if len(got) == 5:
                        break
            except DecodeError as error:
                got.append((error.channel, error.raw))
        assert got == [
            1,
            (BTC, b'{"stream":"btcusdt@trade","data":"x"}'),
            2,
            (BTC, b'{"stream":"btcusdt@trade","data":"y"}'),
            3,
        ]


async def test_a_message_that_cannot_be_decoded_ends_its_batch(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, deserializer=lambda raw: int(raw.split(b":")[-1].rstrip(b"}"))) as mux:
        numbers = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for data in (1, 2, "x", 3):
            exchange.publish(BTC, data)
        await mux.ping()
        assert await numbers.recv_batch() == [1, 2]
        with pytest.raises(DecodeError):
            await numbers.recv_batch()
        assert await numbers.recv_batch() == [3]


async def test_a_full_queue_drops_the_oldest_and_counts(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, queue_size=3) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(10):
            exchange.publish(BTC, number)
        await mux.ping()
        assert btc.stats() == SubscriptionStats(BTC, 10, 3, True, 7, 0)
        assert [(await btc.recv())["data"] for _ in range(3)] == [7, 8, 9]
        assert btc.stats() == SubscriptionStats(BTC, 10, 0, True, 7, 3)


async def test_one_may_iterate_while_the_channel_is_busy(exchange: Exchange) -> None:
    """A consumer that is always behind leaves the others their turns."""
    async with Exchange(rate=0) as busy, multiplex(busy.uri) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)

        async def consume() -> None:
            async for _ in btc:
                pass

        consuming = asyncio.create_task(consume())
        for _ in range(100):
            await eth.recv(timeout=10)
        await mux.close()
        await consuming
