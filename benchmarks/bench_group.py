"""group: from a read of 100 channels to one queue, and from there to one task; conflation of the same read."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.bench_stream import MANNERS, drive
from benchmarks.conftest import Twin
from benchmarks.traffic import CHANNELS, block

COUNT = 1000


def grouped(twin: Twin) -> tuple[Any, Any]:
    """A group that all channels are routed to, and the decoder before it."""
    router = twin.router.Router(twin.keys.ChannelKey("stream"))
    group = twin.group.GroupRing(COUNT)
    for channel in CHANNELS:
        router.add(channel, group.member(channel))
    return group, twin.frames.FrameDecoder(router)


def test_group_one_read(benchmark: BenchmarkFixture, twin: Twin) -> None:
    """Into a full group, which drops its oldest for each message that comes."""
    data = block(COUNT)[0]
    group, decoder = grouped(twin)
    benchmark.group = f"group: {COUNT} messages of {len(CHANNELS)} channels into a full queue"
    benchmark(decoder.feed, data, 1)
    assert group.received == group.dropped + COUNT


@pytest.mark.parametrize("manner", ["async-for", "one-batch"])
def test_deliver_group(benchmark: BenchmarkFixture, twin: Twin, manner: str) -> None:
    data = block(COUNT)[0]
    group, decoder = grouped(twin)
    stream = twin.group_stream.GroupStream(group, bytes)
    benchmark.group = f"group: {COUNT} messages of {len(CHANNELS)} channels delivered raw, {manner}"

    def deliver() -> int:
        decoder.feed(data, 1)
        return drive(MANNERS[manner](stream))

    assert benchmark(deliver) == COUNT


def test_conflate(benchmark: BenchmarkFixture, twin: Twin) -> None:
    """The newest of each channel is kept, and then taken."""
    data = block(COUNT)[0]
    ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("stream"))
    decoder = twin.frames.FrameDecoder(ring)
    benchmark.group = f"group: the newest of {len(CHANNELS)} channels kept of {COUNT} messages, and taken"

    def pass_through() -> int:
        decoder.feed(data, 1)
        taken = 0
        while len(ring):
            ring.take()
            taken += 1
        return taken

    assert 0 < benchmark(pass_through) <= len(CHANNELS)
