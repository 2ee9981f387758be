"""On valid JSON a channel key finds what `json.loads` and indexing give, but that the first of equal names wins."""

from __future__ import annotations

from hypothesis import given, settings

from .conftest import Twin
from .json_oracle import by_json
from .json_texts import messages, specs


@given(spec=specs, payload=messages())
@settings(max_examples=250, deadline=None)
def test_valid_json(twin: Twin, spec: str, payload: bytes) -> None:
    assert twin.keys.ChannelKey(spec).find(payload) == by_json(spec, payload)


@given(spec=specs, payload=messages())
@settings(max_examples=100, deadline=None)
def test_what_is_cut_short_gives_the_same_channel_or_none(twin: Twin, spec: str, payload: bytes) -> None:
    key = twin.keys.ChannelKey(spec)
    allowed = {by_json(spec, payload), None}
    assert {key.find(payload[:end]) for end in range(len(payload))} <= allowed


@given(spec=specs, payload=messages(), behind=messages())
@settings(max_examples=100, deadline=None)
def test_what_stands_behind_changes_nothing(twin: Twin, spec: str, payload: bytes, behind: bytes) -> None:
    assert twin.keys.ChannelKey(spec).find(payload + behind) == by_json(spec, payload)
