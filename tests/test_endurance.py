"""Two hundred forced disconnects in a row, under load."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jetsocket
from jetsocket import Multiplex, Subscription
from jetsocket.testing import Exchange

from .conftest import open_sockets
from .peers import multiplex, told

CHANNELS = [f"c{number}usdt@trade" for number in range(20)]
TURNS = 200
# The memory that a process may grow by from the first fifty disconnects to the last: what the allocators scatter.
SLACK = 8 * 2**20

FAULTS: list[Callable[[Exchange], object]] = [
    lambda exchange: exchange.drop_all(reset=True),
    lambda exchange: exchange.drop_all(reset=False),
    lambda exchange: exchange.close_all(1001, "restart"),
    lambda exchange: exchange.close_all(None),
    lambda exchange: exchange.send_garbage("opcode"),
    lambda exchange: exchange.send_garbage("utf8"),
]


def resident() -> int:
    """Bytes of memory in use by the process; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


async def live(subscription: Subscription[Any]) -> None:
    """Waits for a message that came after those that are queued now."""
    while subscription.stats().queue_size:
        await subscription.recv_batch()
    await subscription.recv(timeout=10)


def balanced(mux: Multiplex[Any]) -> None:
    stats = mux.stats()
    assert stats.connection_stats.messages_received == stats.total_messages_routed + stats.unroutable_messages
    assert stats.total_messages_routed == (
        stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="channel_key", marks=pytest.mark.slow),
        pytest.param({"compress": False, "heartbeat": 1.0}, id="heartbeat"),
        pytest.param(
            {"channel_extractor": lambda message: message.get("stream")},
            id="channel_extractor",
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_two_hundred_disconnects(options: dict[str, Any]) -> None:
    async with Exchange(rate=20_000) as exchange, multiplex(exchange.uri, queue_size=100, **options) as mux:
        disconnected, reconnected = told(mux, "disconnected"), told(mux, "reconnected")
        subscriptions = [await mux.subscribe(channel) for channel in CHANNELS]
        await exchange.wait_subscribed(*CHANNELS)
        followed = asyncio.Event()

        async def follow() -> None:
            async for _ in subscriptions[0]:
                followed.set()

        following = asyncio.create_task(follow())
        await followed.wait()
        tasks, sockets = len(asyncio.all_tasks()), len(open_sockets())
        memory = objects = 0
        for turn in range(TURNS):
            FAULTS[turn % len(FAULTS)](exchange)
            await disconnected.get()
            await reconnected.get()
            followed.clear()
            await asyncio.gather(*map(live, subscriptions[1:]), followed.wait())
            balanced(mux)
            # What the exchange keeps for its account.
            exchange.requests.clear()
            if turn == TURNS // 4 or turn == TURNS - 1:
                # The old connection's last callbacks.
                await mux.ping()
                assert (len(asyncio.all_tasks()), len(open_sockets())) == (tasks, sockets)
                gc.collect()
                if memory:
                    assert resident() - memory < SLACK
                    assert len(gc.get_objects()) - objects < 1000
                memory, objects = resident(), len(gc.get_objects())
        stats = mux.stats()
        assert stats.connection_stats.reconnect_count == TURNS
        assert stats.active_subscriptions == stats.total_subscriptions == len(CHANNELS)
        assert exchange.account().accepted == TURNS + 1
        assert exchange.account().subscribes == (TURNS + 1) * len(CHANNELS)
        await mux.close()
        await following


async def test_two_hundred_connections_one_after_the_other() -> None:
    async with Exchange(rate=20_000) as exchange:
        memory = objects = 0
        for turn in range(TURNS):
            async with jetsocket.connect(f"{exchange.uri}?streams={CHANNELS[0]}") as ws:
                assert (await ws.recv())["stream"] == CHANNELS[0]
            await exchange.wait_disconnected()
            if turn == TURNS // 4 or turn == TURNS - 1:
                gc.collect()
                if memory:
                    assert resident() - memory < SLACK
                    assert len(gc.get_objects()) - objects < 1000
                memory, objects = resident(), len(gc.get_objects())


async def test_subscribing_and_unsubscribing_again_and_again(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        memory = objects = 0
        for turn in range(2000):
            channel = f"c{turn}"
            async with asyncio.timeout(10):
                subscription = await mux.subscribe(channel)
                await exchange.wait_subscribed(channel)
                exchange.publish(channel, turn)
                assert (await subscription.recv())["data"] == turn
                await subscription.close()
            exchange.requests.clear()
            if turn == 500 or turn == 1999:
                await mux.ping()
                del subscription
                gc.collect()
                if memory:
                    assert resident() - memory < SLACK
                    # The exchange counts the messages of every channel that there ever was.
                    assert len(gc.get_objects()) - objects < 1000
                memory, objects = resident(), len(gc.get_objects())
        stats = mux.stats()
        assert (stats.total_subscriptions, stats.active_subscriptions) == (2000, 0)
        assert stats.total_messages_delivered == 2000


async def test_one_burst_after_another_takes_no_more_memory_than_the_first(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, queue_size=0, deserializer=bytes) as mux:
        subscription = await mux.subscribe("a")
        await exchange.wait_subscribed("a")
        memory = 0
        for _ in range(4):
            for _ in range(20):
                for _ in range(1000):
                    exchange.publish("a", "x" * 1000)
                await mux.ping()
            assert subscription.stats().queue_size == 20_000
            while subscription.stats().queue_size:
                await subscription.recv_batch(1000)
            gc.collect()
            # Freed memory stays with the allocator of C, for the next burst.
            assert not memory or resident() - memory < 2 * SLACK
            memory = memory or resident()
