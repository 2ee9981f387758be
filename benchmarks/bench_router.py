"""router: from a read of 256 KiB to the rings of 100 channels; what a socket read costs a Multiplex."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Twin
from benchmarks.traffic import CHANNELS, block

COUNT = 1400


@pytest.mark.parametrize("subscribed", [100, 10, 0], ids=lambda count: f"{count}-channels")
def test_route_one_read(benchmark: BenchmarkFixture, twin: Twin, subscribed: int) -> None:
    data = block(COUNT)[0]
    router = twin.router.Router(twin.keys.ChannelKey("stream"))
    rings = [twin.ring.MessageRing(1000) for _ in CHANNELS[:subscribed]]
    for channel, ring in zip(CHANNELS, rings, strict=False):
        router.add(channel, ring)
    decoder = twin.frames.FrameDecoder(router)
    benchmark.group = f"router: {COUNT} messages of {len(CHANNELS)} channels, {subscribed} of them subscribed"
    benchmark(decoder.feed, data, 1)
    assert router.routed == sum(ring.received for ring in rings)
    assert (router.routed + router.unroutable) % COUNT == 0
