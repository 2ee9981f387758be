"""Ten million messages leave memory where it was after the first million: from bytes to consumers, and over loopback
with drops, reconnects and compression."""

from __future__ import annotations

import asyncio
import gc
import os
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import jetsocket
from jetsocket.hot import COMPILED, ChannelKey, FrameDecoder, MessageRing, MessageStream, Router
from jetsocket.protocol.deflate import Inflater
from jetsocket.testing import Exchange

from .peers import Conversation, frame, multiplex, text, told

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the resident size is read from /proc"),
]
# The pure twin is many times slower.
MILLION = 1_000_000 if COMPILED else 20_000
# What the process may grow by after the first million. Of all messages one byte each would be more.
SLACK = 4 * 2**20
CHANNELS = [f"c{number}usdt@trade" for number in range(20)]


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def block(compress: Callable[[bytes], bytes] | None = None) -> bytes:
    """A thousand messages of 50 to 350 bytes, some for channels that nobody has asked for, some in two fragments."""
    frames = []
    for number in range(1000):
        payload = b'{"stream":"c%dusdt@trade","data":"%s"}' % (number % 25, b"x" * (number * 7 % 300))
        if compress is not None:
            frames.append(frame(2, compress(payload), rsv1=True))
        elif number % 50:
            frames.append(text(payload))
        else:
            frames.append(frame(1, payload[:20], fin=False) + frame(0, payload[20:]))
    return b"".join(frames)


def deflated(payload: bytes) -> bytes:
    """A message compressed by itself, as with server_no_context_takeover."""
    context = zlib.compressobj(1, wbits=-15)
    return (context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_ten_million_messages_from_bytes_to_consumers() -> None:
    """Half of the rings are emptied, the others are full and drop; another decoder every million."""
    rings = [MessageRing(100 if number % 2 else 5000) for number in range(20)]
    streams = [MessageStream(ring, bytes) for ring in rings[::2]]
    router = Router(ChannelKey("stream"), MessageRing(10))
    for channel, ring in zip(CHANNELS, rings, strict=True):
        router.add(channel, ring)
    data = block()

    async def million() -> None:
        decoder = FrameDecoder(router)
        for _ in range(MILLION // 1000):
            decoder.feed(data, 1)
            for stream in streams:
                if len(stream.ring):
                    await stream.recv_batch()

    asyncio.run(million())
    before = resident()
    for _ in range(9):
        asyncio.run(million())
    grown = resident() - before
    assert router.routed + router.unroutable == 10 * MILLION
    assert router.unroutable == 2 * MILLION
    assert sum(ring.delivered + ring.dropped + len(ring) for ring in rings) == router.routed
    assert all(ring.dropped for ring in rings[1::2])
    assert grown < SLACK


def test_a_million_compressed_messages() -> None:
    ring = MessageRing(100)
    data = block(deflated)

    def messages(count: int) -> None:
        for _ in range(4):
            inflater = Inflater(no_context_takeover=True)
            decoder = FrameDecoder(ring, inflate=inflater.inflate)
            for _ in range(count // 4000):
                decoder.feed(data, 1)

    messages(MILLION // 5)
    before = resident()
    messages(MILLION)
    assert ring.received == MILLION // 5 + MILLION
    assert resident() - before < SLACK


async def until(received: Callable[[], int], count: int) -> None:
    async with asyncio.timeout(120):
        while received() < count:  # noqa: ASYNC110  # nobody tells how many came
            await asyncio.sleep(0.01)


async def test_over_loopback_with_drops_and_reconnects() -> None:
    """Half of the channels are read, the others drop; the exchange, a process of its own, cuts the connection."""
    many = MILLION * 3 // 2
    async with Exchange.spawn(rate=0) as exchange, multiplex(exchange.uri, queue_size=1000, deserializer=bytes) as mux:
        reconnected = told(mux, "reconnected")
        subscriptions = [await mux.subscribe(channel) for channel in CHANNELS]

        async def read(subscription: Any) -> None:
            async for _ in subscription.batches():
                pass

        reading = [asyncio.create_task(read(subscription)) for subscription in subscriptions[::2]]

        def routed() -> int:
            return mux.stats().total_messages_routed

        before = 0
        for turn in range(1, 16):
            await until(routed, turn * many // 15)
            await exchange.drop_all(reset=turn % 2 == 0)
            await reconnected.get()
            if turn == 3:
                before = resident()
        stats = mux.stats()
        assert stats.connection_stats.reconnect_count == 15
        assert stats.total_messages_dropped > 0
        assert stats.total_messages_delivered > many // 10
        assert resident() - before < 2 * SLACK
        await mux.close()
        await asyncio.gather(*reading)


async def test_over_loopback_compressed(scripted: Callable[..., Awaitable[Any]]) -> None:
    data = block(deflated)

    async def play(conversation: Conversation) -> None:
        await conversation.accept("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover", then=data)
        while True:
            await conversation.send(data)

    server = await scripted(play)
    async with jetsocket.connect(server.uri, deserializer=bytes, buffer=1000, close_timeout=0.1) as ws:
        seen = before = 0
        async for batch in ws.batches():
            seen += len(batch)
            if not before and seen > MILLION // 20:
                before = resident()
            if seen > MILLION // 4:
                break
        assert resident() - before < SLACK
