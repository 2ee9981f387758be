"""`demo --faults`: what an exchange does to its clients, one thing after another."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from jetsocket.testing import ExchangeProcess

T = TypeVar("T")

_PAUSE = 0.6
"""Seconds between two faults, with all channels live."""
_ANSWER = 5.0
"""Seconds in which the exchange's process answers, however busy it is."""
_RECOVERY = 20.0
"""Seconds after which a fault, the longest of which lasts one or two, is not going to be survived."""


async def answered(answer: Awaitable[T], limit: float = _ANSWER) -> T:
    """What the exchange's process answers. ConnectionError where it does not in `limit` seconds: it hangs."""
    try:
        async with asyncio.timeout(limit):
            return await answer
    except TimeoutError:
        raise ConnectionError(f"the exchange's process hangs: no answer in {limit:g} s") from None


async def _drop(exchange: ExchangeProcess) -> None:
    await exchange.drop_all()


async def _end(exchange: ExchangeProcess) -> None:
    await exchange.drop_all(reset=False)


async def _close(exchange: ExchangeProcess) -> None:
    await exchange.close_all(1001, "maintenance")


async def _break(exchange: ExchangeProcess) -> None:
    await exchange.send_garbage("opcode")


async def _mislead(exchange: ExchangeProcess) -> None:
    await exchange.send_garbage("text")
    await exchange.send_garbage("json")
    await exchange.send_garbage("binary")


async def _refuse(exchange: ExchangeProcess) -> None:
    await exchange.refuse_handshakes(503, times=2)
    await exchange.drop_all()


async def _stall(exchange: ExchangeProcess) -> None:
    await exchange.stall()
    # Longer than the demo's heartbeat takes to notice.
    await asyncio.sleep(1.2)
    await exchange.resume()
    await exchange.drop_all()


# What it is, whether it ends the connection, how it is done.
_FAULTS = (
    ("every connection is reset", True, _drop),
    ("odd messages are sent: no JSON, half of one, a binary one", False, _mislead),
    ("a close frame is sent: 1001 maintenance", True, _close),
    ("a frame with a reserved opcode is sent", True, _break),
    ("connections are reset, and the next two handshakes answered with 503", True, _refuse),
    ("the stream ends without a close frame", True, _end),
    ("the exchange hangs for 1.2 s: no data, no pong", True, _stall),
)


async def commit(
    exchange: ExchangeProcess,
    channels: list[str],
    until: float,
    tell: Callable[[str], None],
    recovery: float = _RECOVERY,
) -> None:
    """Commits faults until `time.monotonic()` is `until`, waiting after each for every channel to be live again.

    ConnectionError where they are not within `recovery` seconds, or the exchange's process hangs.
    """
    for text, ends, act in itertools.cycle(_FAULTS):
        await asyncio.sleep(_PAUSE)
        if time.monotonic() >= until:
            return
        accepted = (await answered(exchange.account())).accepted
        tell(text)
        try:
            async with asyncio.timeout(recovery):
                await act(exchange)
                if ends:
                    await exchange.wait_accepted(accepted + 1)
                await exchange.wait_subscribed(*channels)
        except TimeoutError:
            raise ConnectionError(f"{text}: not every channel is live again after {recovery:g} s") from None
