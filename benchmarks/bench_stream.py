"""stream: delivering 1,000 queued messages in each way that there is, and waking a task that waits.

In by the decoder, as in use. The consumers are driven by hand, without an event loop: none of them waits. Only
`test_wake` has one: a message comes, the task that waits for it runs and waits again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Twin
from benchmarks.traffic import block

COUNT = 1000
WAKES = 100


class Trade(msgspec.Struct):
    """What a consumer wants of a trade."""

    s: str
    p: str
    q: str


class Combined(msgspec.Struct):
    """A message of the combined stream."""

    stream: str
    data: Trade


def drive(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run it to its end; the pauses that it makes for other tasks are over at once."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def recv(stream: Any) -> int:
    for _ in range(COUNT):
        await stream.recv()
    return COUNT


async def iterate(stream: Any) -> int:
    count = 0
    async for _ in stream:
        count += 1
        if count == COUNT:
            break
    return count


async def messages(stream: Any) -> int:
    return await iterate(stream.messages())


async def batches(stream: Any) -> int:
    count = 0
    async for batch in stream.batches(100):
        count += len(batch)
        if count == COUNT:
            break
    return count


async def one_batch(stream: Any) -> int:
    return len(await stream.recv_batch())


MANNERS: dict[str, Callable[[Any], Coroutine[Any, Any, int]]] = {
    "recv": recv,
    "async-for": iterate,
    "messages": messages,
    "batches-of-100": batches,
    "one-batch": one_batch,
}
DECODERS: dict[str, Any] = {
    "text": str,
    "dicts": msgspec.json.Decoder().decode,
    "structs": msgspec.json.Decoder(Combined).decode,
}


def delivery(twin: Twin, manner: Callable[[Any], Coroutine[Any, Any, int]], decode: Any) -> Callable[[], int]:
    data = block(COUNT)[0]
    ring = twin.ring.MessageRing(COUNT)
    decoder = twin.frames.FrameDecoder(ring)
    stream = twin.stream.MessageStream(ring, decode)

    def deliver() -> int:
        decoder.feed(data, 1)
        return drive(manner(stream))

    return deliver


@pytest.mark.parametrize("manner", MANNERS)
def test_deliver(benchmark: BenchmarkFixture, twin: Twin, manner: str) -> None:
    benchmark.group = f"stream: {COUNT} messages delivered raw, {manner}"
    assert benchmark(delivery(twin, MANNERS[manner], bytes)) == COUNT


@pytest.mark.parametrize("decoder", DECODERS)
def test_deliver_decoded(benchmark: BenchmarkFixture, twin: Twin, decoder: str) -> None:
    benchmark.group = f"stream: {COUNT} messages delivered by async for as {decoder}"
    assert benchmark(delivery(twin, iterate, DECODERS[decoder])) == COUNT


def test_wake(benchmark: BenchmarkFixture, twin: Twin) -> None:
    data = block(1)[0]
    ring = twin.ring.MessageRing(COUNT)
    decoder = twin.frames.FrameDecoder(ring)
    stream = twin.stream.MessageStream(ring, bytes)
    benchmark.group = f"stream: a waiting task woken {WAKES} times"

    async def feed_and_read() -> int:
        reader = asyncio.create_task(take(stream))
        while not reader.done():
            if ring.waiting:
                decoder.feed(data, 1)
                ring.wake()
            await asyncio.sleep(0)
        return reader.result()

    with asyncio.Runner() as runner:
        assert benchmark(lambda: runner.run(feed_and_read())) == WAKES


async def take(stream: Any) -> int:
    for _ in range(WAKES):
        await stream.recv()
    return WAKES
