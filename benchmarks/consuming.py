"""The two ways to read a subscription to its end, counting."""

from __future__ import annotations

from typing import Any

from jetsocket import Subscription


async def iterate(subscription: Subscription[Any]) -> int:
    count = 0
    async for _ in subscription:
        count += 1
    return count


async def batches(subscription: Subscription[Any]) -> int:
    count = 0
    async for batch in subscription.batches():
        count += len(batch)
    return count
