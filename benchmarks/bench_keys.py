"""keys: finding the channel of 1,000 messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Twin
from benchmarks.traffic import trades

COUNT = 1000


def combined(payload: bytes) -> bytes:
    return payload


def key_last(payload: bytes) -> bytes:
    """As some exchanges send it: the data before the name of its stream."""
    return b'{"data":' + payload + b',"topic":"/market/' + payload[11:19] + b'"}'


def nested(payload: bytes) -> bytes:
    return b'{"arg":{"channel":"trades","instId":"' + payload[11:19] + b'"},"data":[' + payload + b"]}"


def book(payload: bytes) -> bytes:
    """A depth snapshot of 20 kB before the key."""
    levels = b",".join([b'["67123.45000000","0.00123000"]'] * 640)
    return b'{"bids":[' + levels + b'],"stream":"' + payload[11:19] + b'"}'


SHAPES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "key-first": ("stream", combined),
    "key-last": ("topic", key_last),
    "nested-template": ("{arg.channel}:{arg.instId|arg.instFamily}", nested),
    "after-20-kB": ("stream", book),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_find_channel(benchmark: BenchmarkFixture, twin: Twin, shape: str) -> None:
    spec, wrap = SHAPES[shape]
    payloads = [wrap(payload) for payload in trades(COUNT)[0]]
    find = twin.keys.ChannelKey(spec).find
    benchmark.group = f"keys: {shape}, {COUNT} messages"

    def find_all() -> list[Any]:
        return [find(payload) for payload in payloads]

    assert None not in benchmark(find_all)
