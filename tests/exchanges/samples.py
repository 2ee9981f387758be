"""Frames of real exchanges, and what is to be true of each venue's.

The recordings lie beside the repository (or where JETSOCKET_RECORDINGS says) and are no part of it. What stands in the
tests themselves is written by hand, in the same forms.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jetsocket.venue import Reply, Venue

RECORDINGS = Path(
    os.environ.get("JETSOCKET_RECORDINGS") or Path(__file__).resolve().parents[3] / "shared" / "exchanges"
)

recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"there are no recordings in {RECORDINGS}")

Find = Callable[[str, bytes], str | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """`key`: the channel of a data frame."""

    direction: str
    kind: str
    key: str | None
    raw: bytes


def samples(exchange: str) -> list[Sample]:
    with open(RECORDINGS / "samples" / f"{exchange}.jsonl", encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines]
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


def captured(run: str) -> list[bytes]:
    """The frames from the exchange in a longer run."""
    with gzip.open(RECORDINGS / "captures" / f"{run}.txt.gz") as lines:
        frames = (line.rstrip(b"\r\n").split(b" ", 2) for line in lines)
        return [text for _, direction, text in frames if direction == b"<"]


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
