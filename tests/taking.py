"""The ways of taking so many items of a subscription, and what they are in short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from jetsocket import Gap, Message, Subscription

from .dialects import number

BTC = "btcusdt@trade"
Take = Callable[[Subscription[Any], int], Coroutine[Any, Any, list[Any]]]


def decoded(item: Any) -> Any:
    return item.decode() if isinstance(item, Message) else item


async def by_iterating(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for item in subscription:
        found.append(item)
        if len(found) == count:
            break
    return found


async def by_recv(subscription: Subscription[Any], count: int) -> list[Any]:
    return [await subscription.recv(timeout=5) for _ in range(count)]


async def by_recv_batch(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += await subscription.recv_batch(timeout=5)
    return found


async def by_batches(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for batch in subscription.batches(2):
        assert 0 < len(batch) <= 2
        found += batch
        if len(found) >= count:
            break
    return found


async def by_messages(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for item in subscription.messages():
        found.append(decoded(item))
        if len(found) == count:
            break
    return found


async def by_listening(subscription: Subscription[Any], count: int) -> list[Any]:
    found: list[Any] = []
    enough = asyncio.Event()

    def take(item: Any) -> None:
        found.append(item)
        if len(found) == count:
            enough.set()

    with subscription.listen(take):
        await asyncio.wait_for(enough.wait(), 5)
    return found


TAKING: list[Take] = [by_iterating, by_recv, by_recv_batch, by_batches, by_messages, by_listening]
WAITING = TAKING[:-1]


def briefly(items: list[Any], read: Callable[[Any], Any]) -> list[Any]:
    """Each message as its number, each gap as its reason."""
    return [item.reason if isinstance(item, Gap) else read(item) for item in items]


def trade(item: Any) -> int:
    return number("binance", item)


def datum(item: Any) -> Any:
    return item["data"]
