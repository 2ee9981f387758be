"""tools/json_drawing.py: whatever the bytes are, they become valid texts and keys."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from jetsocket.hot.key_grammar import plan_of
from tools.fuzzing.drawing import Draw
from tools.fuzzing.json_drawing import SPECS, drawn_spec, drawn_text


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_texts_are_valid(data: bytes) -> None:
    json.loads(drawn_text(Draw(data)))


@given(st.binary(max_size=40))
@settings(deadline=None)
def test_keys_are_valid(data: bytes) -> None:
    assert plan_of(drawn_spec(Draw(data))).paths


def test_the_listed_keys_are_valid_and_different() -> None:
    assert len({plan_of(spec).paths for spec in SPECS}) > len(SPECS) // 2
    assert len(set(SPECS)) == len(SPECS)
