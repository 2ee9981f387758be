"""The first data of a channel are noticed, once; at an exchange: tests/test_reconciler.py."""

from __future__ import annotations

import asyncio
from typing import Any

from jetsocket.first_data import FirstData
from jetsocket.hot import ChannelKey, MessageRing, Router
from jetsocket.routes import Routes


class Reader:
    """A consumer, as far as routes look at one."""

    def __init__(self, ring: MessageRing) -> None:
        self.ring = ring
        self.asked_on: object = None


class Place:
    """A router, and who is told of first data."""

    def __init__(self, *channels: str) -> None:
        self.router = Router(ChannelKey("stream"))
        self.routes = Routes(self.router, None)
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.first = FirstData(self.routes, self.told.put_nowait)
        self.readers: dict[str, Any] = {}
        for channel in channels:
            self.join(channel)

    def join(self, channel: str) -> None:
        ring = MessageRing()
        reader: Any = Reader(ring)
        self.readers[channel] = reader
        self.routes.join(channel, reader, ring, shared=True)

    def come(self, channel: str) -> None:
        self.router.accept(b'{"stream":"%s"}' % channel.encode(), False, 1)


async def test_each_channel_is_told_of_once() -> None:
    place = Place("a", "b")
    place.come("a")
    place.first.expect("a")
    place.first.expect("b")
    place.come("b")
    place.come("b")
    assert await asyncio.wait_for(place.told.get(), 2) == "b"
    place.come("a")
    assert await asyncio.wait_for(place.told.get(), 2) == "a"
    assert place.told.empty()
    assert len(place.first) == 0
    assert not place.first.is_looking


async def test_nothing_is_told_after_the_connection_is_gone() -> None:
    place = Place("a", "b")
    place.first.expect("a")
    place.come("a")
    place.first.clear()
    assert len(place.first) == 0
    place.first.expect("b")
    place.come("b")
    assert await asyncio.wait_for(place.told.get(), 2) == "b"
    assert place.told.empty()


async def test_a_channel_that_nobody_reads_any_more_is_forgotten() -> None:
    place = Place("a", "b")
    place.first.expect("a")
    place.routes.leave("a", place.readers["a"])
    place.first.expect("b")
    place.come("b")
    assert await asyncio.wait_for(place.told.get(), 2) == "b"
    assert place.told.empty()
    assert len(place.first) == 0


async def test_a_channel_without_a_reader_is_not_looked_at() -> None:
    place = Place()
    place.first.expect("nobody's")
    assert len(place.first) == 0
    assert not place.first.is_looking
