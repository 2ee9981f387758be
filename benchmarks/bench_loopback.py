"""The whole library over loopback: 20,000 messages through a Multiplex, with the twin that this process runs.

Wall time, sender and handshake included. Run it once more with JETSOCKET_EXTENSIONS=off for the other twin;
`python -m benchmarks` compares CPU time, and with other libraries.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.consuming import batches, iterate
from benchmarks.contest import ROOT
from benchmarks.traffic import CHANNELS, END
from jetsocket import COMPILED, Multiplex, Subscription

COUNT = 20_000
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture
def sender() -> Iterator[Callable[[], str]]:
    """Call it for the address of the next flood."""
    command = [sys.executable, "-m", "benchmarks.sender"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        requests = process.stdin

        def next_flood() -> str:
            requests.write("next\n")
            requests.flush()
            return f"ws://127.0.0.1:{port}/{COUNT}"

        yield next_flood
        process.kill()


async def receive(uri: str, consume: Callable[[Subscription[Any]], Coroutine[Any, Any, int]] | None) -> int:
    async with Multiplex[Any](
        uri,
        channel_key="stream",
        subscribe_msg=lambda channel: {"method": "SUBSCRIBE", "params": [channel], "id": 1},
        queue_size=0,
        deserializer=bytes,
        reconnect=False,
    ) as mux:
        subscriptions = [await mux.subscribe(channel) for channel in CHANNELS]
        readers = [asyncio.create_task(consume(subscription)) for subscription in subscriptions] if consume else []
        last = await mux.subscribe(END)
        await last.recv()
        for subscription in subscriptions:
            await subscription.close()
        return sum(await asyncio.gather(*readers)) if readers else mux.stats().total_messages_routed - 1


MANNERS = {"kept": None, "iterated": iterate, "batches": batches}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("manner", MANNERS)
def test_loopback(benchmark: BenchmarkFixture, sender: Callable[[], str], loop: str, manner: str) -> None:
    benchmark.group = f"loopback: {COUNT} messages, {'compiled' if COMPILED else 'pure'} twin"
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:

        def flood() -> int:
            return runner.run(receive(sender(), MANNERS[manner]))

        count = benchmark.pedantic(flood, rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert count == COUNT
