"""References are counted before and after every operation of the hot rooms, on both twins: none too many, none too few.

Once exactly, then up to a thousand times, with the number of objects and the memory of Python flat.
"""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from .conftest import Twin
from .reference_cases import RINGS, Case
from .reference_cases_routing import DECODERS, ROUTED, ROUTERS, SENT

# LeakSanitizer does then what tracemalloc is for, and takes what that knows for leaks.
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
PAYLOADS = {
    "empty": b"",
    "one byte": b"x",
    "short": bytes(bytearray(b"a payload")),
    "not text": bytes(bytearray(b"\xff\xfe\xfd")),
    "long": bytes(100_000),
}
Make = Callable[[Twin, bytes], Case]


def counts(case: Case) -> dict[str, int]:
    return {name: sys.getrefcount(thing) for name, thing in case.watched.items()}


def immortal(case: Case) -> set[str]:
    """Since Python 3.12 these are not counted."""
    return {name for name, thing in case.watched.items() if sys.getrefcount(thing) > 2**30}


def check(case: Case, times: int) -> None:
    # What is made at a first use and kept is no leak.
    for _ in range(3):
        case.act()
        case.undo()
    gc.collect()
    before = counts(case)
    held = {name: count for name, count in case.held.items() if name not in immortal(case)}
    case.act()
    gc.collect()
    after = counts(case)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == held
    case.undo()
    gc.collect()
    assert counts(case) == before

    singletons = [sys.getrefcount(thing) for thing in (None, True, False)]
    objects = len(gc.get_objects())
    if not SANITIZED:
        tracemalloc.start(1)
    try:
        for _ in range(times):
            case.act()
            case.undo()
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert counts(case) == before
    assert len(gc.get_objects()) - objects < times // 10
    # The smallest object has more than 16 bytes.
    assert memory < 16 * times + 5000
    # Others hold these, now more, now fewer; a leak is one each time.
    for thing, count in zip((None, True, False), singletons, strict=True):
        assert abs(sys.getrefcount(thing) - count) < times // 4 + 50


def times(twin: Twin, payload: bytes) -> int:
    return 1000 if twin.kind == "compiled" and len(payload) < 10_000 else 100


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("make", RINGS, ids=lambda make: make.__name__)
def test_rings(twin: Twin, make: Make, payload: bytes) -> None:
    check(make(twin, payload), times(twin, payload))


@pytest.mark.parametrize("payload", ROUTED, ids=["plain", "escaped", "unknown", "without", "empty"])
@pytest.mark.parametrize("make", ROUTERS, ids=lambda make: make.__name__)
def test_routers_and_keys(twin: Twin, make: Make, payload: bytes) -> None:
    check(make(twin, payload), times(twin, payload))


@pytest.mark.parametrize("payload", SENT.values(), ids=SENT)
@pytest.mark.parametrize("make", DECODERS, ids=lambda make: make.__name__)
def test_decoders(twin: Twin, make: Make, payload: bytes) -> None:
    check(make(twin, payload), times(twin, payload))
