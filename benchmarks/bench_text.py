"""text: decoding text messages, which must be UTF-8, of several scripts, sizes and cuts; binary ones for comparison."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Twin

SIZE = 64_000
SCRIPTS = {
    "ascii": '{"stream":"btcusdt@trade","p":"67123.45000000"}',
    "mixed": '{"note":"Börse schließt um fünf","p":"67123.45"}',
    "cyrillic": "Московская биржа ",
    "chinese": "上海证券交易所",
    "emoji": "🚀📈💰",
}


def text_of(script: str) -> bytes:
    """`SIZE` bytes or a few less, of whole characters."""
    unit = SCRIPTS[script].encode()
    return unit * (SIZE // len(unit))


def framed(payload: bytes, opcode: int, pieces: int = 1) -> bytes:
    """`payload` as an unmasked message of `pieces` frames (RFC 6455 section 5.4), of 126 bytes to 64 KiB - 1 each."""
    size = -(-len(payload) // pieces)
    cuts = [payload[at : at + size] for at in range(0, len(payload), size)]
    frames = []
    for number, cut in enumerate(cuts):
        first = (opcode if number == 0 else 0) | (0x80 if number == len(cuts) - 1 else 0)
        frames.append(bytes((first, 126)) + len(cut).to_bytes(2, "big") + cut)
    return b"".join(frames)


@pytest.mark.parametrize("script", SCRIPTS)
def test_decode_text(benchmark: BenchmarkFixture, twin: Twin, script: str) -> None:
    benchmark.group = f"text: one message of {SIZE} bytes, {script}"
    decode(benchmark, twin, framed(text_of(script), 1))


def test_decode_text_in_fragments(benchmark: BenchmarkFixture, twin: Twin) -> None:
    """The cuts fall inside characters."""
    benchmark.group = f"text: one message of {SIZE} bytes, chinese, in 100 frames"
    decode(benchmark, twin, framed(text_of("chinese"), 1, pieces=100))


def test_decode_binary(benchmark: BenchmarkFixture, twin: Twin) -> None:
    benchmark.group = f"text: one binary message of {SIZE} bytes"
    decode(benchmark, twin, framed(text_of("ascii"), 2))


def decode(benchmark: BenchmarkFixture, twin: Twin, data: bytes) -> None:
    ring = twin.ring.MessageRing(1)
    decoder = twin.frames.FrameDecoder(ring)
    benchmark(decoder.feed, data, 1)
    assert decoder.fault is None
    assert len(ring) == 1
