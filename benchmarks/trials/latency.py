"""How long a tick takes from the server's `send` to the consumer's next line.

The server, another process, sends 1,000 ticks a second on 100 channels and writes the time into each, right before it
sends it; CLOCK_MONOTONIC is one for all processes. The client, on uvloop, takes the time in its very next line:

- picows: a bare listener, which gets each frame in its callback, whatever its channel;
- async for: a Multiplex, a task with `async for` for each channel;
- listen: a Multiplex, a callback for each channel, called inside the read.

Each run is a process of its own and gives its own p50 and p99; the runs take turns, and it is the medians of these that
are compared. The first ticks of a run do not count: they are slow for everybody.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median, quantiles
from typing import Any

from benchmarks.findings import Finding
from benchmarks.trials.clients import multiplex, run, start
from benchmarks.trials.feed import TICKING, names, request, sent_at
from benchmarks.trials.processes import TrialError, apart, venue
from benchmarks.trials.rounds import in_turns
from jetsocket import Subscription

TICKS = 1_200
RATE = 1_000
UNCOUNTED = 100
ROUNDS = 7
PICOWS, ASYNC_FOR, LISTEN = "picows", "async for", "listen"
MOST_OF_PICOWS = {ASYNC_FOR: 1.1, LISTEN: 1.0}
Ticks = list[tuple[int, bytes]]


def can_listen() -> bool:
    """Whether subscriptions call callbacks."""
    return hasattr(Subscription, "listen")


async def picows(uri: str, seen: Ticks, count: int) -> None:
    """A listener that does no more than keep what came and when."""
    from msgspec.json import encode
    from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            now = time.monotonic_ns()
            if frame.msg_type == WSMsgType.TEXT:
                seen.append((now, frame.get_payload_as_bytes()))
                if len(seen) > count:
                    transport.send_close(WSCloseCode.OK)
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()

    transport, _ = await ws_connect(Listener, uri)
    for channel in [*names(TICKING), "end"]:
        transport.send(WSMsgType.TEXT, encode(request(channel)))
    await transport.wait_disconnected()


async def async_for(uri: str, seen: Ticks, _count: int, see: Callable[[Any], object] | None = None) -> None:
    """A task for each channel. `see(message)` is called before the time is taken."""

    async def read(subscription: Subscription[Any]) -> None:
        async for message in subscription:
            if see is not None:
                see(message)
            seen.append((time.monotonic_ns(), message))

    async with multiplex(uri, 1000) as mux:
        subscriptions = [await mux.subscribe(channel) for channel in names(TICKING)]
        readers = [asyncio.create_task(read(subscription)) for subscription in subscriptions]
        await asyncio.sleep(0)
        await (await start(mux)).recv()
        for subscription in subscriptions:
            await subscription.close()
        await asyncio.gather(*readers)


async def listen(uri: str, seen: Ticks, _count: int) -> None:
    """A callback for each channel."""

    def see(message: bytes) -> None:
        seen.append((time.monotonic_ns(), message))

    async with multiplex(uri, 1000) as mux:
        subscriptions: list[Any] = [await mux.subscribe(channel) for channel in names(TICKING)]
        handles = [subscription.listen(see) for subscription in subscriptions]
        await (await start(mux)).recv()
        del handles


CLIENTS: dict[str, Callable[..., Any]] = {PICOWS: picows, ASYNC_FOR: async_for, LISTEN: listen}


def percentiles(client: str, uri: str, count: int = TICKS, rate: int = RATE, **options: Any) -> dict[str, float]:
    """`p50` and `p99` of the delays of one run, in microseconds. Raises TrialError unless every tick came."""
    seen: Ticks = []
    run("uvloop", CLIENTS[client](f"{uri}/ticks/{count}/{rate}", seen, count, **options))
    delays = [now - sent_at(message) for now, message in seen if b'"sent"' in message]
    if len(delays) != count:
        raise TrialError(f"{client}: {len(delays)} ticks of {count} came")
    cut = quantiles(delays[min(UNCOUNTED, count // 10) :], n=100)
    return {"p50": cut[49] / 1000, "p99": cut[98] / 1000}


def compare(runs: dict[str, list[dict[str, float]]]) -> list[Finding]:
    """Each client's percentiles, of picows'."""
    found = []
    for which in ("p50", "p99"):
        delay = {client: median(one[which] for one in ones) for client, ones in runs.items()}
        found.append(Finding(f"latency, {which} of a picows listener", delay[PICOWS], "µs"))
        for client, most in MOST_OF_PICOWS.items():
            if client in delay:
                found.append(Finding(f"latency, {which} of {client}", delay[client], "µs"))
                ratio = delay[client] / delay[PICOWS]
                found.append(Finding(f"latency, {which} of {client}, of a picows listener", ratio, "times", most))
    return found


def measure(rounds: int = ROUNDS, count: int = TICKS) -> list[Finding]:
    """`async for` and `listen()` against picows."""
    clients = [PICOWS, ASYNC_FOR, LISTEN]
    if not can_listen():
        print("latency: subscriptions have no listen() here, left out", file=sys.stderr)
        clients.remove(LISTEN)
    gc.collect()
    with venue() as uri:
        return compare(
            in_turns(rounds, {client: partial(apart, percentiles, client, uri, count) for client in clients})
        )
