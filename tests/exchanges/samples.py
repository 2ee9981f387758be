"""Frames of real exchanges, and what is to be true of each venue's.

They are recorded (tests/recordings.py). What stands in the tests themselves is written by hand, in the same forms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jetsocket.venue import Reply, Venue

from .. import recordings

Find = Callable[[str, bytes], str | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """`key`: the channel of a data frame."""

    direction: str
    kind: str
    key: str | None
    raw: bytes


def samples(exchange: str) -> list[Sample]:
    read = recordings.samples(exchange)
    return [Sample(each["dir"], each["kind"], each["key"], each["raw"].encode()) for each in read]


def data(exchange: str) -> list[Sample]:
    return [sample for sample in samples(exchange) if sample.direction == "in" and sample.kind == "data"]


def control(exchange: str) -> list[bytes]:
    """What comes from the exchange and is no data."""
    return [sample.raw for sample in samples(exchange) if sample.direction == "in" and sample.kind != "data"]


def requests(exchange: str) -> list[Any]:
    """What the client sends to subscribe and to unsubscribe."""
    kinds = ("subscribe", "unsubscribe")
    return [json.loads(each.raw) for each in samples(exchange) if each.direction == "out" and each.kind in kinds]


def messages(request: Any) -> list[Any]:
    """What a venue's `subscribe` or `unsubscribe` returned, as the server reads it."""
    return [json.loads(json.dumps(message)) for message in (request if isinstance(request, tuple) else (request,))]


def check_replies(venue: Venue, frames: Iterable[bytes], replies: Sequence[Reply | None]) -> None:
    """Each frame is taken for what stands at its place in `replies`."""
    for raw, reply in zip(frames, replies, strict=True):
        assert venue.classify(raw) == reply, raw


def check_no_data(venue: Venue, find: Find, frames: Iterable[bytes], subscribed: Iterable[str]) -> None:
    """None of the frames would be delivered to any of the channels."""
    routes = {channel if venue.route is None else venue.route(channel) for channel in subscribed}
    assert routes
    for raw in frames:
        assert find(venue.channel_key, raw) not in routes, raw
