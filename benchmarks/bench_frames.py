"""frames: decoding a block of 1,000 messages as one or many reads, encoding and masking."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Twin
from benchmarks.traffic import block

COUNT = 1000
ENCODED = 16
MASK = b"\x8a\x01\x7f\xfe"


@pytest.mark.parametrize("read_size", [256 * 1024, 1460], ids=lambda size: f"reads-of-{size}")
def test_decode_frames(benchmark: BenchmarkFixture, twin: Twin, read_size: int) -> None:
    data = block(COUNT)[0]
    reads = [data[start : start + read_size] for start in range(0, len(data), read_size)]
    ring = twin.ring.MessageRing(COUNT)
    decoder = twin.frames.FrameDecoder(ring)
    benchmark.group = f"frames: decode {COUNT} messages in reads of {read_size}"

    def decode() -> None:
        for read in reads:
            decoder.feed(read, 1)

    benchmark(decode)
    assert decoder.fault is None
    assert not decoder.in_message
    assert ring.received % COUNT == 0


@pytest.mark.parametrize("size", [64, 1024, 65536])
def test_encode_frame(benchmark: BenchmarkFixture, twin: Twin, size: int) -> None:
    """Several, kept for a moment: copying costs more or less by where in memory a message comes to lie."""
    pattern = bytes(range(256)) * (size // 256 + 2)
    payloads = [pattern[start : start + size] for start in range(ENCODED)]
    encode = twin.frames_out.encode_frame
    benchmark.group = f"frames: encode {ENCODED} messages of {size} bytes"

    def encode_all() -> list[bytes]:
        return [encode(2, payload, MASK) for payload in payloads]

    assert min(map(len, benchmark(encode_all))) > size


def test_apply_mask(benchmark: BenchmarkFixture, twin: Twin) -> None:
    data = bytes(1024 * 1024)
    benchmark.group = "frames: mask 1 MiB"
    assert benchmark(twin.frames_out.apply_mask, data, MASK)[:4] == MASK
