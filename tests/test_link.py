"""An open connection: what is read and written on it, what makes writing wait, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import jetsocket
from jetsocket import InvalidStateError
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import BINARY, CONT, PING, PONG, TEXT, Conversation, frame, multiplex, text, told, turns

# Fragments and control frames, and what comes with the answer to the upgrade.


async def test_fragments_with_control_frames_between_them(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(frame(TEXT, b'{"a":', fin=False) + frame(PING, b"1") + frame(CONT, b"", fin=False))
        assert (await peer.read_frame())[:2] == (PONG, b"1")
        await peer.send(frame(PING, b"2") + frame(CONT, b"1}") + frame(BINARY, b"2"))
        assert (await peer.read_frame())[:2] == (PONG, b"2")
        await peer.answer_close()

    async with jetsocket.connect((await scripted(script)).uri) as ws:
        assert await ws.recv() == {"a": 1}
        assert await ws.recv() == 2


async def test_messages_that_come_with_the_answer_to_the_upgrade(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept(then=b"".join(text(str(number)) for number in range(1000)))
        await peer.answer_close()

    async with jetsocket.connect((await scripted(script)).uri, buffer=10) as ws:
        assert [await ws.recv() for _ in range(1000)] == list(range(1000))


# Writing.


async def test_send_waits_for_a_server_that_does_not_read(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, compress=False) as ws:
        exchange.stall()
        message = "x" * 1_000_000
        count = 0
        try:
            async with asyncio.timeout(0.1):
                while count < 1000:
                    await ws.send(message)
                    count += 1
        except TimeoutError:
            assert count < 50
        exchange.resume()
        await exchange.wait_requests(count + 1)
        assert {len(request.text) for request in exchange.requests} == {len(message)}
        await ws.send("last")
        await exchange.wait_requests(count + 2)
        assert exchange.requests[-1].text == "last"


async def test_a_send_that_waits_is_told_that_the_connection_is_lost(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, compress=False, reconnect=False) as ws:
        failed = told(ws, "failed")
        exchange.stall()
        sending = asyncio.create_task(ws.send("x" * 20_000_000))
        await turns(20)
        assert not sending.done()
        exchange.drop_all()
        with pytest.raises(jetsocket.ConnectionError):
            await sending
        await failed.get()
        with pytest.raises(InvalidStateError, match="cannot send: the connection was closed"):
            await ws.send("more")


async def test_a_send_that_waits_is_told_of_the_close(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, compress=False, close_timeout=0.1) as ws:
        exchange.stall()
        sending = asyncio.create_task(ws.send("x" * 20_000_000))
        await turns(20)
        await ws.close()
        with pytest.raises(jetsocket.JetSocketError):
            await sending
        exchange.resume()


async def test_several_senders_at_once_do_not_mix_their_frames(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, compress=False) as ws:
        sizes = [1, 100_000, 126, 70_000, 3_000_000, 0, 500]
        await asyncio.gather(*(ws.send(str(number % 10) * size) for number, size in enumerate(sizes * 3)))
        await exchange.wait_requests(len(sizes) * 3)
        texts = [request.text for request in exchange.requests]
        assert sorted(map(len, texts)) == sorted(sizes * 3)
        assert all(len(set(text)) <= 1 for text in texts)


async def test_a_ping_does_not_stop_the_reading_while_much_is_unsent(scripted: Serve) -> None:
    """The server may be waiting for its own messages to be taken before it reads again."""
    answered, done = asyncio.Event(), asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.pause_reading()
        await peer.send(frame(PING, b"1"))
        await answered.wait()
        await peer.send(text("2"))
        await done.wait()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, compress=False, reconnect=False, close_timeout=0.1) as ws:
        sending = asyncio.create_task(ws.send_raw(b"x" * 20_000_000))
        while ws.stats().bytes_received == 0:
            await turns(1)
        assert not sending.done()
        answered.set()
        assert await ws.recv(timeout=10) == 2
        sending.cancel()
        done.set()


async def test_a_server_that_ends_its_stream_and_does_not_read(scripted: Serve) -> None:
    """What is still unsent does not keep the connection."""
    sent, done = asyncio.Event(), asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.pause_reading()
        await sent.wait()
        peer.writer.write_eof()
        await done.wait()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, compress=False, reconnect=False) as ws:
        sending = asyncio.create_task(ws.send_raw(b"x" * 20_000_000))
        await turns(20)
        sent.set()
        with pytest.raises(jetsocket.ConnectionError, match="ended the stream"):
            await ws.recv(timeout=10)
        with pytest.raises(jetsocket.ConnectionError):
            await sending
        done.set()


async def test_a_server_that_sends_pings_and_reads_no_pongs(scripted: Serve) -> None:
    """Its pongs must not pile up: what it does not read it gets no more of."""
    held = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.set_write_buffer_limits(0)
        pings = frame(PING, b"x" * 125) * 1000
        try:
            async with asyncio.timeout(1):
                while True:
                    await peer.send(pings)
        except TimeoutError:
            held.set()
        peer.reset()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False, close_timeout=0.5) as ws:
        await held.wait()
        with pytest.raises(jetsocket.ConnectionError):
            await ws.recv()


# The end.


@pytest.mark.parametrize("kind", ["websocket", "multiplex"])
async def test_nothing_keeps_what_was_closed(exchange: Exchange, kind: str) -> None:
    async def use() -> weakref.ref[Any]:
        if kind == "websocket":
            async with jetsocket.connect(exchange.uri, heartbeat=5, max_connection_age=60) as ws:
                exchange.send_text("1")
                await ws.recv()
                return weakref.ref(ws)
        async with multiplex(exchange.uri, heartbeat=5, max_connection_age=60) as mux:
            subscription = await mux.subscribe("a")
            await exchange.wait_subscribed("a")
            exchange.publish("a", 1)
            await subscription.recv()
            return weakref.ref(mux)

    reference = await use()
    await turns(10)
    gc.collect()
    assert reference() is None
