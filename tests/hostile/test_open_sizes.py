"""Messages that are too large, in whatever form: bounded time, bounded memory, 1009."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import jetsocket
from jetsocket import COMPILED, BufferConfig, ProtocolError

from ..conftest import Serve
from ..peers import BINARY, CONT, PING, PONG, TEXT, Conversation, frame, text
from ..saying import check_says, end_of
from .open_faults import DEFLATE, announced, deflated
from .playing import recover

MILLION = 1_000_000
# The pure twin takes a microsecond or two a fragment, and the tests have other things to do.
MANY = MILLION if COMPILED else 100_000


class Peak:
    """Bytes of Python's that were in use at most."""

    size = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
        peak.size = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def resident() -> int:
    """Bytes of memory of this process, those that Python does not know of with them; 0 where nobody tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def sending(data: bytes, *headers: str) -> Any:
    """Sends it once; then waits for the client's end."""

    async def script(peer: Conversation) -> None:
        await peer.accept(*headers)
        peer.writer.write(data)
        await peer.ended()

    return script


def check_too_big(error: Any, uri: str, limit: int) -> None:
    check_says(
        error,
        f"{uri}: closed with 1009 (message too big), the server sent <any>; "
        f"max_message_size sets the limit, now {limit:,} bytes",
    )
    assert (type(error), error.code, error.hint) == (ProtocolError, 1009, "max_message_size sets the limit")


# Fragments.


@pytest.mark.parametrize("size", [1, 0], ids=["tiny", "with empty ones between"])
async def test_a_message_in_a_million_fragments(scripted: Serve, size: int) -> None:
    """Within the limit it is a message."""
    part = frame(CONT, b"x", fin=False) + frame(CONT, b"", fin=False) * (1 - size)
    data = frame(BINARY, fin=False) + part * (MANY // (2 - size)) + frame(CONT)
    server = await scripted(sending(data))
    async with jetsocket.connect(server.uri, deserializer=len, close_timeout=0.05) as ws:
        began = time.monotonic()
        assert await ws.recv(30) == MANY // (2 - size)
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
async def test_a_message_over_the_limit_in_many_fragments(scripted: Serve, opcode: int) -> None:
    """It fails at the fragment that is too much, and has taken no more memory than the limit by then."""
    limit = 50_000
    server = await scripted(sending(frame(opcode, fin=False) + frame(CONT, b"x", fin=False) * 100_000))
    async with jetsocket.connect(server.uri, reconnect=False, max_message_size=limit) as ws:
        error = await end_of(ws)
        check_too_big(error, server.uri, limit)
        assert f"a message of at least {limit + 1} bytes; " in str(error)


async def test_empty_fragments_without_end(scripted: Serve) -> None:
    """They take no memory, the event loop goes on, and the connection can be used and closed."""
    pings: list[bytes] = []

    async def script(peer: Conversation) -> None:
        await peer.accept(then=text("1") + frame(TEXT, b'"x', fin=False))
        flood = frame(CONT, b"", fin=False) * 2_000
        reading = asyncio.create_task(read(peer))
        while not reading.done():
            await peer.send(flood + b"".join(frame(PONG, pings.pop()) for _ in range(len(pings))))
            await asyncio.sleep(0)
        await peer.send(frame(CONT, b'y"') + frame(8, reading.result()))

    async def read(peer: Conversation) -> bytes:
        while (received := await peer.read_frame()).opcode == PING:
            pings.append(received.payload)
        return received.payload

    server = await scripted(script)
    async with jetsocket.connect(server.uri, heartbeat=5, close_timeout=5) as ws:
        assert await ws.recv() == 1
        await ws.ping(timeout=5)
        began, before = ws.stats().bytes_received, resident()
        with peak_memory() as peak:
            while ws.stats().bytes_received < began + (2_000_000 if COMPILED else 40_000):
                # Between two reads everybody has a turn.
                await asyncio.wait_for(ws.ping(), 5)
        assert peak.size < 5_000_000
        assert resident() - before < 20_000_000
        assert ws.is_connected
        closing = time.monotonic()
    assert time.monotonic() - closing < 2
    assert [message async for message in ws] == ["xy"]


# Lengths that are never filled.


@pytest.mark.parametrize("size, limit", [(2**30, 0), (2**63 - 1, 0), (2**30, 2**30), (2**39, 2**40)])
async def test_a_length_takes_no_memory_before_its_bytes_come(scripted: Serve, size: int, limit: int) -> None:
    server = await scripted(sending(text("1") + announced(0x82, size) + bytes(1000)))
    with peak_memory() as peak:
        async with jetsocket.connect(server.uri, max_message_size=limit, close_timeout=0.05) as ws:
            assert await ws.recv(5) == 1
            while ws.stats().bytes_received < 1000:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
    assert peak.size < 2_000_000


# Compression.


@pytest.mark.parametrize("fragments", [1, 10])
async def test_a_kilobyte_that_inflates_to_a_megabyte(scripted: Serve, fragments: int) -> None:
    limit = 200_000
    bomb = deflated(bytes(1_000_000))
    assert len(bomb) < 1100
    size = len(bomb) // fragments + 1
    parts = [bomb[i : i + size] for i in range(0, len(bomb), size)]
    data = frame(BINARY, parts[0], fin=len(parts) == 1, rsv1=True)
    data += b"".join(frame(CONT, part, fin=i == len(parts) - 2) for i, part in enumerate(parts[1:]))
    server = await scripted(sending(data, DEFLATE))
    with peak_memory() as peak:
        async with jetsocket.connect(server.uri, reconnect=False, max_message_size=limit) as ws:
            error = await end_of(ws)
    check_too_big(error, server.uri, limit)
    assert "a compressed message that inflates to more; " in str(error)
    assert peak.size < 4 * limit + 1_000_000


async def test_a_large_bomb_takes_no_more_than_the_limit(scripted: Serve) -> None:
    """A hundred kilobytes that inflate to a hundred megabytes."""
    limit = 2_000_000
    context = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(context.compress(bytes(1_000_000)) for _ in range(100)) + context.flush(zlib.Z_SYNC_FLUSH)
    server = await scripted(sending(frame(BINARY, bomb[:-4], rsv1=True), DEFLATE))
    before = resident()
    with peak_memory() as peak:
        async with jetsocket.connect(server.uri, reconnect=False, max_message_size=limit) as ws:
            check_too_big(await end_of(ws), server.uri, limit)
    assert peak.size < 4 * limit + 1_000_000
    assert resident() - before < 50_000_000


async def test_many_bombs_within_the_limit_stop_the_reading(scripted: Serve) -> None:
    """Each of them is a message; the queue's `max_bytes` bounds what they take together."""
    bomb = frame(BINARY, deflated(bytes(1_000_000)), rsv1=True)
    server = await scripted(sending(bomb * 60, f"{DEFLATE}; server_no_context_takeover"))
    before = resident()
    buffer = BufferConfig(max_bytes=5_000_000)
    async with jetsocket.connect(server.uri, buffer=buffer, deserializer=len, close_timeout=0.05) as ws:
        await ws.recv(5)
        received = -1
        while received != (received := ws.stats().messages_received):
            for _ in range(50):
                await asyncio.sleep(0)
        assert received <= 6
        assert resident() - before < 60_000_000
        assert [await ws.recv(10) for _ in range(59)] == [1_000_000] * 59


async def test_a_multiplex_recovers_from_a_bomb(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept(DEFLATE)
        for _ in range(2):
            await peer.read_frame()
        await peer.send(frame(TEXT, deflated(b'{"stream":"' + b" " * 1_000_000), rsv1=True))
        assert int.from_bytes((await peer.read_frame()).payload[:2], "big") == 1009
        await peer.ended()

    error = await recover(scripted, script, before=False, max_message_size=100_000)
    assert error.uri is not None
    check_too_big(error, error.uri, 100_000)
