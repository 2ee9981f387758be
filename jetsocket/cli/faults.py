"""`demo --faults`: what an exchange does to its clients, one thing after another."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetsocket.testing import ExchangeProcess

_PAUSE = 0.6
"""Seconds between two faults, with all channels live."""


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


async def commit(exchange: ExchangeProcess, channels: list[str], until: float, tell: Callable[[str], None]) -> None:
    """Commits faults until `time.monotonic()` is `until`, waiting after each for every channel to be live again."""
    for text, ends, act in itertools.cycle(_FAULTS):
        await asyncio.sleep(_PAUSE)
        if time.monotonic() >= until:
            return
        accepted = (await exchange.account()).accepted
        tell(text)
        await act(exchange)
        if ends:
            await exchange.wait_accepted(accepted + 1)
        await exchange.wait_subscribed(*channels)
