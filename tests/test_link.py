"""An open connection: what stops reading and writing, what starts them again, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest

import jetsocket
from jetsocket import BufferConfig, CloseError, InvalidStateError, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, BINARY, CONT, PING, PONG, TEXT, Conversation, close_frame, frame, multiplex, text, told

COUNT = 20_000


def numbered(count: int = COUNT) -> bytes:
    """So many messages, each its number in a hundred bytes."""
    return b"".join(text(f"[{number},{'x' * 90!r}]".replace("'", '"')) for number in range(count))


async def turns(count: int) -> None:
    """Lets the event loop run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(ws: WebSocket[Any]) -> int:
    """The number of messages received, once the loop has nothing more to read."""
    before = -1
    while (now := ws.stats().bytes_received) != before:
        before = now
        await turns(200)
    return ws.stats().messages_received


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


async def test_a_ping_measures_the_latency(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        assert ws.stats().latency_ms is None
        seconds = await ws.ping()
        assert 0 < seconds < 5
        assert ws.latency_ms == seconds * 1000
        trips = await asyncio.gather(*(ws.ping() for _ in range(10)))
        stats = ws.stats()
        assert stats.latency_ms == ws.latency_ms
        assert stats.latency_avg_ms == pytest.approx((seconds + sum(trips)) / 11 * 1000)
        assert exchange.account().pings == 11


async def test_a_ping_without_a_pong_times_out(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, close_timeout=0.1) as ws:
        exchange.stall()
        with pytest.raises(jetsocket.TimeoutError) as caught:
            await ws.ping(timeout=0.05)
        assert (caught.value.operation, caught.value.timeout) == ("ping", 0.05)
        exchange.resume()
        assert await ws.ping(timeout=10) > 0


async def test_a_ping_ends_with_the_connection(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE, close_timeout=0.1) as ws:
        exchange.stall()
        ping = asyncio.create_task(ws.ping())
        await asyncio.sleep(0)
        exchange.drop_all()
        with pytest.raises(jetsocket.ConnectionError):
            await ping
        exchange.resume()


async def test_a_ping_that_was_given_up_is_forgotten(exchange: Exchange) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE, close_timeout=0.1) as ws:
        disconnected = told(ws, "disconnected")
        exchange.stall()
        for _ in range(10):
            ping = asyncio.create_task(ws.ping())
            await turns(1)
            ping.cancel()
        await turns(3)
        exchange.drop_all()
        await disconnected.get()
        exchange.resume()
    del ping
    gc.collect()
    assert complaints == []


# Reading.


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
