"""A TCP connection to a host that has several addresses: to the first one that answers (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

# How long one address of a host may keep the next one waiting (RFC 8305 section 5).
STAGGER = 0.25


async def connect_to_any(infos: Sequence[Any]) -> socket.socket:
    """A socket that is connected to one of `infos`, which are what `getaddrinfo` gave. OSError: the first that failed.

    One attempt begins when the one before failed, or is slow.
    """
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[socket.socket]] = set()
    waiting = _alternating(infos)
    failed: OSError | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(loop.create_task(_connect_to(loop, waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            winner: socket.socket | None = None
            for task in done:
                error = task.exception()
                if error is None and winner is None:
                    winner = task.result()
                elif error is None:
                    task.result().close()
                elif isinstance(error, OSError):
                    failed = failed or error
                else:
                    raise error
            if winner is not None:
                return winner
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_discard)
    raise failed or OSError("no address to connect to")


def _alternating(infos: Sequence[Any]) -> list[Any]:
    """The families in turn, each in the resolver's order (RFC 8305 section 4)."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    mixed = [info for pair in zip(first, others, strict=False) for info in pair]
    return mixed + first[len(others) :] + others[len(first) :]


async def _connect_to(loop: asyncio.AbstractEventLoop, info: Any) -> socket.socket:
    family, kind, number, _, target = info
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _discard(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that came in second."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
