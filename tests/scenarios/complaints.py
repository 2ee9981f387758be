"""What users of WebSocket clients complain of, as programs that either do what they are to or come to the complaint.

Each is a function that is given a client, or the terms of a subscription, and is run twice: with what JetSocket has for
the case it has to go through, in the plain way it has to end in the very complaint::

    await program(binance)
    with complained("nothing is subscribed"):
        await program(forgetful)

A complaint about what never comes needs a time after which it is one: generous as a rule, and short in the plain way,
which never gets there however long one waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from jetsocket import Gap, Multiplex
from jetsocket.exchanges import BINANCE

from ..peers import AT_ONCE

T = TypeVar("T")

# Seconds until what has not come does not come: in JetSocket's way, which is to fail only if it never would; and in the
# plain way, where it is what is to be shown.
_GENEROUS = 10.0
_SHORT = 0.4

_patience = ContextVar("_patience", default=_GENEROUS)

TRADES = "btcusdt@trade"
OTHERS = "ethusdt@trade"


class Complaint(Exception):
    """What a user complains of has happened."""


@contextmanager
def complained(of: str) -> Iterator[None]:
    """The block has to end in the complaint that has `of` in it."""
    before = _patience.set(_SHORT)
    try:
        with pytest.raises(Complaint, match=of):
            yield
    finally:
        _patience.reset(before)


def complain_unless(fine: object, complaint: str) -> None:
    """Raises it."""
    if not fine:
        raise Complaint(complaint)


async def comes(what: Awaitable[T], complaint: str) -> T:
    """What `what` gives; the complaint if it does not come."""
    try:
        async with asyncio.timeout(_patience.get()):
            return await what
    except TimeoutError:
        raise Complaint(complaint) from None


async def all_read(feed: Multiplex[Any], count: int) -> None:
    """Until so many messages wait for consumers that are busy."""
    while feed.stats().total_messages_routed < count:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0)


def binance(uri: Any, **options: Any) -> Multiplex[Any]:
    """JetSocket's client of a loopback Binance. A reconnect is at once, so that no test waits for it."""
    return Multiplex(uri, **{"venue": BINANCE, "backoff": AT_ONCE, **options})


def numbers(items: Iterable[Any]) -> list[int]:
    """Those of Binance's trades, the gaps between them left out."""
    return [item["data"]["t"] for item in items if not isinstance(item, Gap)]


def untold(items: Iterable[Any]) -> list[int]:
    """The numbers that are missing between two trades without a Gap that stands there."""
    missing: list[int] = []
    expected: int | None = None
    for item in items:
        if isinstance(item, Gap):
            expected = None
            continue
        number = item["data"]["t"]
        if expected is not None:
            missing += range(expected, number)
        expected = number + 1
    return missing
