"""Reading stops where there is no room, and does not run ahead of consumers that wait for their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import jetsocket
from jetsocket import BufferConfig, CloseError, WebSocket
from jetsocket.reading import MOST_A_TURN
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, BINARY, PING, PONG, Conversation, close_frame, frame, multiplex, text, told, turns

SIZE = 1000
COUNT = 20_000


# Consumers that wait for their turn.


def lasting(seconds: float) -> Callable[[bytes], bytes]:
    """A decoder that takes so long."""

    def decode(payload: bytes) -> bytes:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        return payload

    return decode


async def flooded(scripted: Serve, count: int, decode: Callable[[bytes], bytes]) -> WebSocket[bytes]:
    """A connection on which so many messages come as fast as they can."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(frame(BINARY, bytes(SIZE)) * count)
        await peer.answer_close()

    return WebSocket((await scripted(script)).uri, buffer=BufferConfig(0), deserializer=decode, compress=False)


async def test_reading_does_not_run_ahead_of_those_that_wait_for_their_turn(scripted: Serve) -> None:
    count, taken, longest = 6000, 0, 0
    # What is read at a time is consumed in some five turns of the loop.
    ws = await flooded(scripted, count, lasting(0.00002))
    async with ws:
        async for _ in ws:
            taken += 1
            if taken % 64 == 0:
                longest = max(longest, ws.stats().messages_received - taken)
            if taken == count:
                break
    assert longest < 3 * MOST_A_TURN / SIZE


async def test_reading_goes_on_though_somebody_always_has_more(scripted: Serve) -> None:
    count, taken = 3000, 0
    ws = await flooded(scripted, count, lasting(0.003))

    async def consume() -> None:
        nonlocal taken
        async for _ in ws:
            taken += 1

    async with ws:
        task: asyncio.Task[Any] = asyncio.create_task(consume())
        while ws.stats().messages_received < count:  # noqa: ASYNC110  # no one tells
            await asyncio.sleep(0)
        assert taken < count / 2
        task.cancel()
        await asyncio.wait([task])


# A queue that is full.


def numbered(count: int = COUNT) -> bytes:
    """So many messages, each its number in a hundred bytes."""
    return b"".join(text(f"[{number},{'x' * 90!r}]".replace("'", '"')) for number in range(count))


async def settled(ws: WebSocket[Any]) -> int:
    """The number of messages received, once the loop has nothing more to read."""
    before = -1
    while (now := ws.stats().bytes_received) != before:
        before = now
        await turns(200)
    return ws.stats().messages_received


@pytest.mark.parametrize("buffer", [100, BufferConfig(0, "block", 10_000), BufferConfig(50, "block", 1_000_000)])
async def test_a_full_queue_stops_the_reading(scripted: Serve, buffer: Any) -> None:
    written = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.set_write_buffer_limits(0)
        for _ in range(20):
            await peer.send(frame(BINARY, b"x" * 1_000_000))
        written.set()
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, buffer=buffer, deserializer=len) as ws:
        # A queue takes any message while it is empty; here they are larger than the rest of its room.
        received = await settled(ws)
        small = not isinstance(buffer, BufferConfig) or not buffer.max_bytes
        assert received == (20 if small else 1)
        assert written.is_set() == small
        assert [await ws.recv() for _ in range(20)] == [1_000_000] * 20
        await written.wait()


async def test_the_server_waits_for_a_slow_consumer() -> None:
    async with Exchange(rate=0) as exchange, multiplex(exchange.uri) as feeder:
        # A plain connection beside it, to the same feed, that nobody reads from.
        channel = "btcusdt@trade"
        await feeder.subscribe(channel)
        async with jetsocket.connect(f"{exchange.uri}?streams={channel}", buffer=100, compress=False) as ws:
            await exchange.wait_connected(2)
            assert await settled(ws) == 100
            sent = exchange.sent(channel)
            await turns(500)
            assert exchange.sent(channel) == sent
            trades = [(await ws.recv())["data"]["t"] for _ in range(5000)]
            assert trades == list(range(trades[0], trades[0] + 5000))


@pytest.mark.parametrize("batch", [1, 7, 1000])
async def test_nothing_is_lost_and_nothing_out_of_order(scripted: Serve, batch: int) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept(then=numbered())
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, buffer=10) as ws:
        got: list[int] = []
        while len(got) < COUNT:
            got += [message[0] for message in await ws.recv_batch(batch)]
            if len(got) % 50 == 0:
                await asyncio.sleep(0)
        assert got == list(range(COUNT))


async def test_what_stands_before_the_end_of_the_stream_is_not_lost(scripted: Serve) -> None:
    """The server sends more than the queue holds, and closes: all of it can be read, then the close."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(numbered(5000) + close_frame(1001, "bye"))
        await peer.ended()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, buffer=10, reconnect=False) as ws:
        await settled(ws)
        assert [message[0] async for message in ws] == list(range(5000))
        with pytest.raises(CloseError, match=r"1001 \(going away\): bye, after .* and 5,000 messages"):
            await ws.recv()


async def test_what_was_read_before_a_reset_is_delivered_though_the_queue_was_full(scripted: Serve) -> None:
    frames = [text(f'[{number},"{"x" * 90}"]') for number in range(2000)]

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(b"".join(frames))
        assert (await peer.read_frame())[0] == PING
        peer.writer.transport.abort()

    # The socket is not read from, so it is a ping's write that finds it gone.
    server = await scripted(script)
    async with WebSocket(server.uri, buffer=10, heartbeat=0.02, reconnect=False, compress=False) as ws:
        while ws.is_connected:
            await turns(1)
        unread, whole = ws.stats().bytes_received, 0
        while whole < len(frames) and unread >= len(frames[whole]):
            unread -= len(frames[whole])
            whole += 1
        assert 10 < whole < len(frames)
        numbers = []
        with pytest.raises(jetsocket.ConnectionError):
            async for number, _ in ws:
                numbers.append(number)  # the error must not take them along
        assert numbers == list(range(whole))


async def test_pings_are_answered_between_the_messages(scripted: Serve) -> None:
    """A control frame that stands behind more messages than the queue holds is answered when its turn comes."""
    pongs: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(numbered(50) + frame(PING, b"1") + numbered(50) + frame(PING, b"2"))
        for _ in range(2):
            received = await peer.read_frame()
            assert received.opcode == PONG
            pongs.put_nowait(received.payload)
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, buffer=10) as ws:
        await settled(ws)
        assert pongs.empty()
        for _ in range(60):
            await ws.recv()
        assert await pongs.get() == b"1"
        for _ in range(40):
            await ws.recv()
        assert await pongs.get() == b"2"


async def test_closing_a_connection_that_is_not_read_from(scripted: Serve) -> None:
    """The server's answer to the close frame stands behind messages that nobody wants any more."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.write(numbered())
        await peer.answer_close()
        await peer.ended()

    server = await scripted(script)
    began = time.monotonic()
    async with jetsocket.connect(server.uri, buffer=10, close_timeout=30) as ws:
        await settled(ws)
    assert time.monotonic() - began < 10
    assert [message[0] async for message in ws][:10] == list(range(10))


async def test_dropping_the_queue_makes_room(exchange: Exchange) -> None:
    """A connection that was lost while the queue was full is made again, and what was queued is still there."""
    async with jetsocket.connect(exchange.uri, buffer=10, backoff=AT_ONCE) as ws:
        reconnected = told(ws, "reconnected")
        for number in range(10):
            exchange.send_text(str(number))
        await ws.ping()
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_connected()
        exchange.send_text("10")
        assert [await ws.recv() for _ in range(11)] == list(range(11))
