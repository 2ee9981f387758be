"""How a connection ends where the peer does not keep to RFC 6455 section 7: data after close, no answer, cut amid a
frame, reset."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import jetsocket
from jetsocket import CloseError, ConnectionError, WebSocket

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import BINARY, CLOSE, CONT, PING, PONG, TEXT, Conversation, close_frame, frame, multiplex, text
from ..saying import check_says, end_of
from .playing import BTC, Misbehaving, data, read_close, recover

# Data after close.

AFTER_CLOSE = {
    "nothing": b"",
    "a message": data(BTC, "too late"),
    "many messages": data(BTC, "too late") * 10_000,
    "a ping": frame(PING, b"p"),
    "another close frame": close_frame(1002, "again"),
    "a broken frame": b"\xff\xff",
    "half a message": frame(TEXT, b"x", fin=False),
    "a huge length": b"\x82\x7f\x7f" + b"\xff" * 7,
}
after_close = pytest.mark.parametrize("more", AFTER_CLOSE.values(), ids=AFTER_CLOSE.keys())


@after_close
async def test_what_follows_the_servers_close_frame_is_ignored(scripted: Serve, more: bytes) -> None:
    peer = Misbehaving(close_frame(3000, "enough") + more, hangs_up=True)
    server = await scripted(peer)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        assert (await ws.recv(5))["data"] == "before"
        error = await end_of(ws)
        check_says(error, f"{server.uri}: closed by the server with 3000 (registered code): enough, after <any>")
        assert isinstance(error, CloseError)
        assert (error.code, error.reason, error.by, error.phase) == (3000, "enough", "server", "open")
        assert ws.stats().messages_received == 1
    # The code is echoed.
    assert await peer.close_code() == (3000, "")


async def test_a_server_that_does_not_end_the_stream(scripted: Serve) -> None:
    """Nor stops sending: it is hung up on after a second."""

    async def script(peer: Conversation) -> None:
        await peer.accept(then=text("1") + close_frame(3000))
        while True:
            await peer.send(data(BTC, "too late") * 100)
            await asyncio.sleep(0)

    server = await scripted(script)
    began = time.monotonic()
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        assert await ws.recv() == 1
        assert isinstance(await end_of(ws), CloseError)
        assert ws.stats().messages_received == 1
    assert 0.9 < time.monotonic() - began < 3


async def test_a_multiplex_recovers_from_data_after_close(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        for _ in range(2):
            await peer.read_frame()
        await peer.send(data(BTC, "before") + close_frame(1001) + AFTER_CLOSE["many messages"])

    error = await recover(scripted, script)
    assert isinstance(error, CloseError)
    assert error.code == 1001


async def test_what_follows_our_close_frame_is_delivered_until_the_servers(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        received = await read_close(peer)
        await peer.send(text("1") + frame(PING) + text("2") + frame(CLOSE, received.payload) + text("3"))

    server = await scripted(script)
    ws = WebSocket(server.uri)
    await ws.connect()
    await ws.close(4000, "done")
    assert [message async for message in ws] == [1, 2]


async def test_a_broken_frame_in_place_of_an_answer_to_close(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        assert (await read_close(peer)).payload == b"\x03\xe8"
        await peer.send(text("1") + b"\xff\xff")
        # No second close frame: one has gone out.
        assert await peer.reader.read() == b""

    server = await scripted(script)
    began = time.monotonic()
    async with WebSocket(server.uri, close_timeout=20) as ws:
        pass
    assert time.monotonic() - began < 3
    assert [message async for message in ws] == [1]


# No answer to close.


async def mute(peer: Conversation) -> None:
    """Never answers."""
    await peer.accept()
    await peer.ended()


async def deaf(peer: Conversation) -> None:
    """Does not even read."""
    await peer.accept()
    peer.writer.transport.pause_reading()
    try:
        await asyncio.Event().wait()
    finally:
        peer.writer.transport.abort()


async def flood(peer: Conversation) -> None:
    """Sends for ever instead."""
    await peer.accept()
    messages = frame(BINARY, b"x" * 10_000) * 50
    while True:
        await peer.send(messages)
        await asyncio.sleep(0)


async def unfinished(peer: Conversation) -> None:
    """A message that is not finished stands before its answer."""
    await peer.accept(then=frame(BINARY, b"x", fin=False))
    while True:
        await peer.send(frame(CONT, b"", fin=False) * 1000)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "make, script, secure",
    [(WebSocket, script, False) for script in (mute, deaf, flood, unfinished)]
    + [(multiplex, script, False) for script in (mute, flood)]
    + [(WebSocket, script, True) for script in (mute, deaf)],
)
async def test_no_answer_to_close(scripted: Serve, make: Callable[..., Any], script: Any, secure: bool) -> None:
    server = await scripted(script, ssl=server_context("127.0.0.1") if secure else None)
    option: dict[str, Any] = {"ssl_context": trusting()} if secure else {}
    client = make(server.uri, close_timeout=0.1, **option)
    await client.connect()
    tracemalloc.start()
    began = time.monotonic()
    await client.close()
    took = time.monotonic() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.09 < took < 2
    # A full queue drops the newest from then on.
    assert peak < 100_000_000
    assert client.state is jetsocket.ConnectionState.CLOSED


# The stream ends, or breaks.

WHOLE = frame(TEXT, b'"' + b"x" * 200 + b'"')
PARTS = frame(TEXT, b'"one', fin=False) + frame(PING, b"p") + frame(CONT, b"two", fin=False) + frame(CONT, b'three"')
CUTS: dict[str, tuple[bytes, bool]] = {
    "between messages": (b"", False),
    "behind a ping": (frame(PING), False),
    **{f"a frame after {cut} bytes": (WHOLE[:cut], True) for cut in (1, 2, 3, 4, 5, 100, len(WHOLE) - 1)},
    **{
        f"a frame of 64 bits after {cut} bytes": (frame(BINARY, bytes(70_000))[:cut], True)
        for cut in (2, 9, 10, 69_999)
    },
    **{f"a fragmented message after {cut} bytes": (PARTS[:cut], True) for cut in range(1, len(PARTS))},
    "a ping amid its payload": (frame(PING, b"abc")[:3], True),
    "a close frame amid its payload": (close_frame(1000)[:3], True),
}
each_cut = pytest.mark.parametrize("cut, amid", CUTS.values(), ids=CUTS.keys())
how = pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
WHAT = {False: "the server ended the stream without a close frame", True: "the connection was reset"}


def cutting(cut: bytes, reset: bool, subscriptions: int = 0) -> Any:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        for _ in range(subscriptions):
            await peer.read_frame()
        # The pong tells that all of it was read: a reset would take the rest along.
        await peer.send(data(BTC, "before") + frame(PING, b"read") + cut)
        while (await peer.read_frame()).payload != b"read":
            pass
        if reset:
            peer.reset()

    return script


@each_cut
async def test_the_stream_ends(scripted: Serve, cut: bytes, amid: bool) -> None:
    server = await scripted(cutting(cut, reset=False))
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        assert (await ws.recv(5))["data"] == "before"
        error = await end_of(ws)
    amid_text = ", amid a message" if amid else ""
    check_says(error, f"{server.uri}: {WHAT[False]}{amid_text}, after <time>, last message <time> ago")
    assert type(error) is ConnectionError
    assert (error.phase, error.uri, error.retryable) == ("open", server.uri, True)


@how
@pytest.mark.parametrize("name", ["between messages", "a frame after 100 bytes", "a fragmented message after 9 bytes"])
async def test_a_multiplex_recovers_from_a_cut(scripted: Serve, name: str, reset: bool) -> None:
    error = await recover(scripted, cutting(CUTS[name][0], reset, subscriptions=2))
    assert type(error) is ConnectionError
    assert f"{WHAT[reset]}{', amid a message' if CUTS[name][1] else ''}, after " in str(error)


@how
async def test_a_multiplex_recovers_from_a_cut_over_tls(scripted: Serve, reset: bool) -> None:
    context = server_context("127.0.0.1")
    script = cutting(CUTS["a frame after 100 bytes"][0], reset, subscriptions=2)
    error = await recover(scripted, script, ssl=context, ssl_context=trusting())
    assert type(error) is ConnectionError
    assert f"{WHAT[reset]}, amid a message, after " in str(error)


async def test_a_reset_between_pings(scripted: Serve) -> None:
    """Whoever waits for a pong is told of the reset, and so is who waits for a message."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        assert (await peer.read_frame()).opcode == PING
        await peer.send(frame(PONG, b"another's"))
        assert (await peer.read_frame()).opcode == PING
        peer.reset()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        told = await asyncio.gather(ws.ping(), ws.ping(), ws.recv(), return_exceptions=True)
        for error in told:
            assert isinstance(error, ConnectionError)
            assert "the connection was reset" in str(error)
