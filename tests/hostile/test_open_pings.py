"""Pings: no answer to ours, and more of theirs than anyone needs."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionError, HeartbeatConfig

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import CONT, PING, PONG, TEXT, Conversation, frame, text
from .playing import BTC, data, recover

HEARTBEAT = HeartbeatConfig(interval=0.1, timeout=0.2)
secured = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


def contexts(secure: bool) -> tuple[Any, dict[str, Any]]:
    """The server's context, and the client's options."""
    return (server_context("127.0.0.1"), {"ssl_context": trusting()}) if secure else (None, {})


# No answer to ours.


def silent(subscriptions: int) -> Any:
    """Reads everything and answers nothing."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        for _ in range(subscriptions):
            await peer.read_frame()
        await peer.send(data(BTC, "before"))
        await peer.ended()

    return script


@secured
async def test_no_answer_to_ping(scripted: Serve, secure: bool) -> None:
    context, options = contexts(secure)
    server = await scripted(silent(0), ssl=context)
    async with jetsocket.connect(server.uri, reconnect=False, heartbeat=HEARTBEAT, **options) as ws:
        began = time.monotonic()
        assert (await ws.recv())["data"] == "before"
        with pytest.raises(ConnectionError, match=r": no pong in 0\.\d\d s, last data 0\.\d\d s ago$") as caught:
            await ws.recv()
        assert 0.25 < time.monotonic() - began < 2
        assert (type(caught.value), caught.value.phase, caught.value.retryable) == (ConnectionError, "open", True)


@secured
async def test_a_multiplex_recovers_from_no_answer_to_ping(scripted: Serve, secure: bool) -> None:
    context, options = contexts(secure)
    error = await recover(scripted, silent(2), ssl=context, heartbeat=HEARTBEAT, **options)
    assert "no pong in 0." in str(error)


@pytest.mark.parametrize(
    "answer",
    [frame(PONG, b"another's"), frame(PONG), frame(PING, b"?"), frame(TEXT, b"", fin=False), b"\x81\x7e\xff\xff"],
    ids=["a pong of another ping", "an empty pong", "a ping", "a fragment", "part of a frame"],
)
async def test_what_is_no_answer_is_a_sign_of_life_once(scripted: Serve, answer: bytes) -> None:
    """Any byte is; but only of the moment at which it came."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        assert (await peer.read_frame()).opcode == PING
        await peer.send(answer)
        await peer.ended()

    server = await scripted(script)
    began = time.monotonic()
    async with jetsocket.connect(server.uri, reconnect=False, heartbeat=HEARTBEAT) as ws:
        with pytest.raises(ConnectionError, match="no pong in"):
            await ws.recv()
        assert 0.3 < time.monotonic() - began < 2
        assert ws.latency_ms is None


# Too many of theirs.


async def test_pings_amid_everything(scripted: Serve) -> None:
    """Between the fragments of a message, of every size, ten thousand of them: each is answered, in order."""
    payloads = [number.to_bytes(2, "big") * (number % 63) for number in range(10_000)]

    async def script(peer: Conversation) -> None:
        await peer.accept()
        pings = [frame(PING, payload) for payload in payloads]
        await peer.send(frame(TEXT, b'"a', fin=False) + b"".join(pings) + frame(CONT, b'b"'))
        for payload in payloads:
            assert (await peer.read_frame())[:2] == (PONG, payload)
        await peer.send(text('"answered"'))
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri) as ws:
        assert await ws.recv() == "ab"
        assert await ws.recv(10) == "answered"


@pytest.mark.parametrize(
    "opcode, payload, secure",
    [(PING, b"", False), (PONG, b"", False), (PING, b"x" * 125, False), (PONG, b"x" * 125, False), (PING, b"x", True)],
    ids=["empty pings", "empty pongs", "full pings", "full pongs", "pings over tls"],
)
async def test_a_flood_takes_no_memory(scripted: Serve, opcode: int, payload: bytes, secure: bool) -> None:
    """Messages between them arrive, the event loop is not held up, and `close()` works."""
    context, options = contexts(secure)
    flood = frame(opcode, payload) * (20_000 // (2 + len(payload)))

    async def script(peer: Conversation) -> None:
        await peer.accept()
        gone = asyncio.create_task(peer.ended())
        while not gone.done():
            await peer.send(flood + text("1"))
            await asyncio.sleep(0)

    server = await scripted(script, ssl=context)
    async with jetsocket.connect(server.uri, close_timeout=0.05, compress=False, **options) as ws:
        assert await ws.recv(20) == 1
        tracemalloc.start()
        for _ in range(3):
            assert await ws.recv(20) == 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # The server's own buffers are of this process, too.
        assert peak < 30_000_000


@secured
async def test_pongs_that_nobody_reads_do_not_pile_up(scripted: Serve, secure: bool) -> None:
    """A server that sends pings and reads no pongs is not read from any more; the heartbeat then ends it."""
    context, options = contexts(secure)
    sent = 0

    async def script(peer: Conversation) -> None:
        nonlocal sent
        await peer.accept()
        peer.writer.transport.pause_reading()
        peer.writer.transport.set_write_buffer_limits(0)
        try:
            while True:
                sent += 125_000
                await peer.send(frame(PING, b"x" * 125) * 1000)
        finally:
            peer.writer.transport.abort()

    server = await scripted(script, ssl=context)
    options |= {"reconnect": False, "compress": False, "heartbeat": HeartbeatConfig(interval=0.2, timeout=0.2)}
    async with jetsocket.connect(server.uri, **options) as ws:
        began = time.monotonic()
        tracemalloc.start()
        with pytest.raises(ConnectionError, match="no pong in"):
            await ws.recv()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert time.monotonic() - began < 10
        # What the kernel's buffers hold at both ends, and no more.
        assert ws.stats().bytes_sent < 30_000_000
        assert peak < 10_000_000


async def test_a_multiplex_recovers_from_a_server_that_only_pings(scripted: Serve) -> None:
    """It is alive as far as a heartbeat can tell; its end is what ends it."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        for _ in range(2):
            await peer.read_frame()
        await peer.send(data(BTC, "before") + frame(PING, b"x" * 125) * 5000)
        for _ in range(5000):
            assert (await peer.read_frame())[:2] == (PONG, b"x" * 125)

    error = await recover(scripted, script)
    assert "the server ended the stream without a close frame" in str(error)
