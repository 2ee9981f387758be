"""What a channel key means, said with `json.loads` and indexing, on valid JSON."""

from __future__ import annotations

import json

from jetsocket.hot.key_grammar import Path, parse


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        members.setdefault(name, value)
    return members


def follow(value: object, path: Path) -> tuple[bool, object]:
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return False, None
            value = value[step]
        else:
            if not isinstance(value, list) or step >= len(value):
                return False, None
            value = value[step]
    return True, value


def by_json(spec: str, payload: bytes) -> str | None:
    """The channel of a message. ValueError if it is no valid JSON."""
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
