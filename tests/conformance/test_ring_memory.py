"""The memory of the compiled ring follows what is queued, and is given back."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest


def compiled_ring(*args: Any, **options: Any) -> Any:
    return import_module("jetsocket.hot.ring_c").MessageRing(*args, **options)


def drain_by_taking(ring: Any) -> None:
    while len(ring):
        ring.take()


def drain_by_clearing(ring: Any) -> None:
    ring.clear()


@pytest.mark.parametrize("drain", [drain_by_taking, drain_by_clearing])
@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_a_burst_gives_its_memory_back(drain: Callable[[Any], None], size: int) -> None:
    ring = compiled_ring()
    for _ in range(20_000_000 // (size + 100)):
        ring.accept(b"x" * size, False, 1)
    # A time, a length, their rounding up, and a share of the places that are free.
    assert ring.nbytes <= ring.allocated <= 1.3 * (ring.nbytes + 24 * len(ring)) + 100_000
    drain(ring)
    for _ in range(500):
        ring.accept(b"small", False, 1)
        ring.take()
    assert ring.allocated <= 2048


def test_memory_follows_what_is_queued() -> None:
    ring = compiled_ring()
    assert ring.allocated == 0
    ring.accept(b"x", False, 1)
    assert ring.allocated <= 2048
    for _ in range(50_000):
        ring.accept(b"x" * 100, False, 1)
    for _ in range(40_000):
        ring.take()
    # The lengths of 50,000 messages are kept until the ring is empty.
    assert ring.allocated <= 1.3 * (ring.nbytes + 24 * len(ring)) + 65536 * 4 + 150_000
