"""What a link does about a consumer that is busy elsewhere, and about what comes beneath TLS."""

from __future__ import annotations

import asyncio
import os

import pytest

from jetsocket import ConnectionError, WebSocket
from jetsocket.link import LINGER

from .certificates import server_context, trusting
from .conftest import Serve
from .peers import AT_ONCE, Conversation, close_frame, text, told

TEN = b"".join(text(str(number)) for number in range(10))


async def test_what_stands_before_the_close_frame_is_kept_for_as_long_as_it_takes(scripted: Serve) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept(then=TEN + close_frame(1000))
        await conversation.ended()

    server = await scripted(script)
    ws = WebSocket(server.uri, reconnect=False, buffer=2, deserializer=int)
    failed = told(ws, "failed")
    await ws.connect()
    # Longer than a connection is kept that has nothing more to say.
    await asyncio.sleep(1.5 * LINGER)
    assert failed.empty()
    assert [number async for number in ws] == list(range(10))
    await failed.get()
    await ws.close()


async def test_a_connection_that_is_replaced_waits_for_its_consumer(scripted: Serve) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept(then=TEN)
        await conversation.answer_close()

    server = await scripted(script)
    async with WebSocket(server.uri, max_connection_age=0.1, buffer=2, deserializer=int, backoff=AT_ONCE) as ws:
        reconnected = told(ws, "reconnected")
        await asyncio.sleep(0.1 + 1.5 * LINGER)
        assert reconnected.empty()
        assert [await ws.recv(5) for _ in range(10)] == list(range(10))
        await asyncio.wait_for(reconnected.get(), 10)


async def test_garbage_beneath_tls_is_told_as_such(scripted: Serve) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept()
        await conversation.read_frame()
        sock = conversation.writer.get_extra_info("socket")
        os.write(sock.fileno(), b"no TLS record" * 10)
        await conversation.ended()

    server = await scripted(script, ssl=server_context("127.0.0.1"))
    async with WebSocket(server.uri, ssl_context=trusting(), reconnect=False) as ws:
        await ws.send("go on")
        with pytest.raises(ConnectionError, match=r"TLS: .*SSL"):
            await ws.recv(10)
