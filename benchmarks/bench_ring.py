"""ring: queueing and taking 1,000 messages."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Twin
from benchmarks.traffic import block

COUNT = 1000
CAPACITY = 100


def test_queue_and_take(benchmark: BenchmarkFixture, twin: Twin) -> None:
    """In by the decoder, as in use, and out one by one."""
    data = block(COUNT)[0]
    ring = twin.ring.MessageRing(COUNT)
    decoder = twin.frames.FrameDecoder(ring)
    benchmark.group = f"ring: queue and take {COUNT} messages"

    def pass_through() -> int:
        decoder.feed(data, 1)
        taken = 0
        while len(ring):
            ring.take()
            taken += 1
        return taken

    assert benchmark(pass_through) == COUNT


def test_overflow(benchmark: BenchmarkFixture, twin: Twin) -> None:
    """A full ring drops its oldest for each message that comes."""
    data = block(COUNT)[0]
    ring = twin.ring.MessageRing(CAPACITY)
    decoder = twin.frames.FrameDecoder(ring)
    benchmark.group = f"ring: {COUNT} messages into a full ring"
    benchmark(decoder.feed, data, 1)
    assert len(ring) == CAPACITY
    assert ring.received == ring.dropped + CAPACITY
