"""What comes of a group, and the ways in which a Multiplex finds the channels of one."""

from __future__ import annotations

from typing import Any

import pytest

from jetsocket import Gap, SubscriptionGroup

from .dialects import number

WAYS: list[Any] = [
    pytest.param({}, id="channel_key"),
    pytest.param({"channel_extractor": lambda message: message.get("stream")}, id="channel_extractor"),
]


async def pairs(group: SubscriptionGroup[Any], count: int, dialect: str = "binance") -> list[Any]:
    """So many steps: each message as its channel and number, each gap as its channel and reason."""
    found: list[Any] = []
    for _ in range(count):
        item = await group.recv(timeout=5)
        found.append((item.channel, item.reason) if isinstance(item, Gap) else (item[0], number(dialect, item[1])))
    return found


async def drained(group: SubscriptionGroup[Any]) -> list[Any]:
    return [item async for item in group]
