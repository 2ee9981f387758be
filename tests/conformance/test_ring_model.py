"""MessageRing against a plain list: any operations, and long runs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .ring_model import Model, assert_like

BOTH = [Twin("compiled"), Twin("pure")]

operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("accept"), st.sampled_from([0, 1, 2, 7, 8, 9, 50, 100, 101, 900, 1100, 70_000]), st.booleans()
        ),
        st.tuples(st.just("accept"), st.integers(0, 120), st.booleans()),
        st.tuples(st.just("take"), st.integers(1, 10), st.none()),
        st.tuples(st.just("clear"), st.none(), st.none()),
    ),
    max_size=60,
)


@given(
    capacity=st.sampled_from([0, 0, 1, 2, 3, 8]),
    max_bytes=st.sampled_from([0, 0, 1, 100, 500]),
    overflow=st.sampled_from(["drop_oldest", "drop_newest", "block"]),
    steps=operations,
)
@settings(max_examples=400, deadline=None)
def test_against_a_list(capacity: int, max_bytes: int, overflow: str, steps: list[tuple[str, Any, Any]]) -> None:
    for twin in BOTH:
        ring = twin.ring.MessageRing(capacity, max_bytes=max_bytes, overflow=overflow)
        model = Model(capacity, max_bytes, overflow)
        for number, (step, size, binary) in enumerate(steps):
            if step == "accept":
                item = (bytes([number]) * size, binary, number * 10**17)
                assert ring.accept(*item) is model.accept(item)
            elif step == "clear":
                assert ring.clear() == model.clear()
            else:
                for _ in range(min(size, len(model.items))):
                    assert ring.take() == model.take()
            assert_like(ring, model)
        while model.items:
            assert ring.take() == model.take()
        assert_like(ring, model)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block"])
@pytest.mark.parametrize("seed", range(3))
def test_long_runs_against_a_list(twin: Twin, overflow: str, seed: int) -> None:
    rng = random.Random(seed)
    capacity, max_bytes = rng.choice([(0, 30_000), (50, 0), (100, 20_000)])
    ring, model = (
        twin.ring.MessageRing(capacity, max_bytes=max_bytes, overflow=overflow),
        Model(capacity, max_bytes, overflow),
    )
    for number in range(6000):
        if rng.random() < 0.5 + 0.2 * (number // 1000 % 2):
            item = (rng.randbytes(int(rng.expovariate(1 / 300))), rng.random() < 0.5, rng.randrange(-(2**63), 2**63))
            assert ring.accept(*item) is model.accept(item)
        elif model.items:
            assert ring.take() == model.take()
        if number % 100 == 0:
            assert_like(ring, model)
    assert_like(ring, model)
