"""The answer to the upgrade cut, stalled and dribbled at every byte of it, plain and through TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import jetsocket
from jetsocket import WebSocket

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import Conversation, Script, multiplex, text
from .attempts import SOON, meet_each, rest_of

ANSWER = 129  # bytes of the answer that opens the connection
EVERY_BYTE = range(ANSWER)
# Of TLS a sample: an own handshake for each byte would take long. The first and last bytes, and around each line's end.
SAMPLE = (0, 1, 16, 31, 32, 33, 34, 52, 73, 74, 95, 123, 124, 125, 126, 127, 128)


@pytest.fixture(params=["plain", "TLS"])
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where to cut, and how to get there."""
    if request.param == "plain":
        return {"positions": EVERY_BYTE}
    return {"positions": SAMPLE, "server_ssl": server_context("127.0.0.1"), "ssl_context": trusting()}


def part(size: int, end: Callable[[Conversation], object]) -> Script:
    """So many bytes of the answer, and then `end`."""

    async def script(peer: Conversation) -> None:
        await peer.read_request()
        answer = peer.acceptance()
        assert len(answer) == ANSWER
        await peer.send(answer[:size])
        end(peer)
        await peer.ended()

    return script


def hang_up(peer: Conversation) -> None:
    """End the stream, as a server does that goes down."""
    peer.writer.close()


async def test_cut_by_the_end_of_the_stream_at_every_byte(scripted: Serve, way: dict[str, Any]) -> None:
    errors = await meet_each(scripted, lambda size: part(size, hang_up), **way)
    for error in errors.values():
        assert type(error) is jetsocket.HandshakeError
        assert (error.phase, error.status_code, error.retryable) == ("upgrade", None, True)
        if error.uri.startswith("wss:"):
            assert str(error) == f"{error.uri} closed before the upgrade"
        else:
            assert str(error) == f"{error.uri} closed before the upgrade; try wss{error.uri[2:]}"


async def test_cut_by_a_reset_at_every_byte(scripted: Serve, way: dict[str, Any]) -> None:
    errors = await meet_each(scripted, lambda size: part(size, Conversation.reset), **way)
    for error in errors.values():
        assert type(error) is jetsocket.HandshakeError
        assert (error.phase, error.status_code, error.retryable) == ("upgrade", None, True)
        assert str(error).startswith(f"{error.uri} closed before the upgrade (")
        assert isinstance(error.__cause__, ConnectionResetError)


@pytest.mark.slow
async def test_stalled_at_every_byte(scripted: Serve, way: dict[str, Any]) -> None:
    errors = await meet_each(scripted, lambda size: part(size, lambda _: None), connect_timeout=1.0, **way)
    for error in errors.values():
        assert type(error) is jetsocket.TimeoutError
        assert (error.phase, error.timeout, error.retryable) == ("upgrade", 1.0, True)
        assert str(error).startswith(f"{error.uri}: no answer to the upgrade in ")
        assert str(error).endswith("; connect_timeout sets the limit")
        assert error.elapsed < 5.0


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_dribbled_byte_by_byte(scripted: Serve, secure: bool) -> None:
    async def dribble(peer: Conversation) -> None:
        await peer.read_request()
        for byte in peer.acceptance():
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.read_frame()
        for byte in text('{"stream":"a"}'):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.answer_close()

    server = await scripted(dribble, ssl=server_context("127.0.0.1") if secure else None)
    async with multiplex(server.uri, ssl_context=trusting() if secure else None) as mux:
        subscription = await mux.subscribe("a")
        assert await subscription.recv(SOON) == {"stream": "a"}


async def test_in_two_reads_at_every_byte(scripted: Serve) -> None:
    """The second part comes when the first one was read, with the first message behind it, or a part of that."""
    message = text('{"stream":"a"}')

    def halves(size: int) -> Script:
        async def script(peer: Conversation) -> None:
            await peer.read_request()
            answer = peer.acceptance() + message
            await peer.send(answer[:size])
            await asyncio.sleep(0.01)
            await peer.send(answer[size:])
            await peer.answer_close()

        return script

    async def one(size: int) -> None:
        server = await scripted(halves(size))
        async with WebSocket(server.uri) as ws:
            assert await ws.recv(SOON) == {"stream": "a"}

    async with asyncio.TaskGroup() as group:
        for size in range(1, ANSWER + len(message)):
            group.create_task(one(size))


async def test_dribbled_for_longer_than_the_limit(scripted: Serve) -> None:
    """A byte now and then is no progress: the limit is one on the whole attempt."""

    async def drip(peer: Conversation) -> None:
        for byte in peer.acceptance():
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.02)

    errors = await meet_each(scripted, lambda _: rest_of(drip), [0], connect_timeout=1.0)
    error = errors[0]
    assert type(error) is jetsocket.TimeoutError
    assert error.elapsed < 2.4
