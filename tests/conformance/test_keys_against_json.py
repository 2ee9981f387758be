"""On valid JSON a channel key finds what `json.loads` and indexing give, but that the first of equal names wins."""

from __future__ import annotations

import json

from hypothesis import given, settings

from jetsocket.hot.key_grammar import Path, parse

from .conftest import Twin
from .json_texts import messages, specs


class Number(str):
    """A number as it was written."""


def first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        members.setdefault(name, value)
    return members


def follow(value: object, path: Path) -> tuple[bool, object]:
    for step in path:
        if isinstance(step, str) and isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return False, None
    return True, value


def by_json(spec: str, payload: bytes) -> str | None:
    message = json.loads(
        payload.decode("utf-8-sig"),
        object_pairs_hook=first_wins,
        parse_int=Number,
        parse_float=Number,
        parse_constant=lambda _: None,
    )
    channel = ""
    for piece in parse(spec):
        if isinstance(piece, str):
            channel += piece
            continue
        present = [value for is_present, value in (follow(message, path) for path in piece) if is_present]
        if not present or not isinstance(present[0], str):
            return None
        channel += present[0]
    return channel


@given(spec=specs, payload=messages())
@settings(max_examples=1000, deadline=None)
def test_valid_json(twin: Twin, spec: str, payload: bytes) -> None:
    assert twin.keys.ChannelKey(spec).find(payload) == by_json(spec, payload)


@given(spec=specs, payload=messages())
@settings(max_examples=100, deadline=None)
def test_what_is_cut_short_gives_the_same_channel_or_none(twin: Twin, spec: str, payload: bytes) -> None:
    key = twin.keys.ChannelKey(spec)
    allowed = {by_json(spec, payload), None}
    assert {key.find(payload[:end]) for end in range(len(payload))} <= allowed


@given(spec=specs, payload=messages(), behind=messages())
@settings(max_examples=200, deadline=None)
def test_what_stands_behind_changes_nothing(twin: Twin, spec: str, payload: bytes, behind: bytes) -> None:
    assert twin.keys.ChannelKey(spec).find(payload + behind) == by_json(spec, payload)
