"""What may happen to a socket between its opening and the answer to the upgrade."""

from __future__ import annotations

import asyncio

import pytest

import jetsocket
from jetsocket import WebSocket

from .conftest import Serve
from .peers import Conversation, text
from .refusals import answering, mute
from .saying import check_says, failure_of


async def test_a_server_that_speaks_first(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        await peer.ended()

    server = await scripted(script)
    error = await failure_of(server.uri)
    assert isinstance(error, jetsocket.HandshakeError)
    check_says(error, f"{server.uri} did not answer with HTTP; it began with b'SSH-2.0-OpenSSH_9.6\\r\\n'")


async def test_reset_during_the_upgrade(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.read_request()
        peer.reset()

    server = await scripted(script)
    error = await failure_of(server.uri)
    assert isinstance(error, jetsocket.HandshakeError)
    assert str(error).startswith(f"{server.uri} closed before the upgrade (")


async def test_an_answer_without_an_end(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"X-More: " + b"x" * 8000 + b"\r\n")

    server = await scripted(script)
    error = await failure_of(server.uri)
    check_says(error, f"{server.uri} answered with more than 65,536 bytes of headers")


async def test_a_wrong_accept(scripted: Serve):
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: aaaaaaaaaaaaaaaaaaaaaaaaaaa=\r\n\r\n"
    )
    server = await scripted(answering(answer))
    error = await failure_of(server.uri)
    check_says(error, f"{server.uri} answered 101, but its Sec-WebSocket-Accept does not match<any>")
    assert error.elapsed is not None


async def test_an_answer_in_pieces_with_messages_behind_it(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.read_request()
        for byte in peer.acceptance() + text("1") + text("2"):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.answer_close()

    server = await scripted(script)
    async with WebSocket(server.uri) as ws:
        assert [await ws.recv(5), await ws.recv(5)] == [1, 2]


async def test_cancelled_while_upgrading(scripted: Serve):
    server = await scripted(mute)
    ws = WebSocket(server.uri)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ws.connect()
    assert ws.state is jetsocket.ConnectionState.DISCONNECTED
