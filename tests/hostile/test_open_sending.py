"""A peer that stops reading while we send: `send` waits, memory stays bounded, and everything can still be ended."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
import tracemalloc
from typing import Any

import pytest

import jetsocket
from jetsocket import HeartbeatConfig, InvalidStateError, JetSocketError, WebSocket
from jetsocket.testing import Exchange

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import CLOSE, Conversation, frame, multiplex, text, told
from .playing import BTC, ETH, recover

BIG = b"x" * 1_000_000
secured = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


class Deaf:
    """Accepts, and then reads nothing before `hear` is set; `say()` sends something meanwhile."""

    def __init__(self, subscriptions: int = 0) -> None:
        self.subscriptions = subscriptions
        self.hear = asyncio.Event()
        self.peer: asyncio.Future[Conversation] = asyncio.get_running_loop().create_future()
        self.heard: list[int] = []

    async def __call__(self, peer: Conversation) -> None:
        await peer.accept()
        for _ in range(self.subscriptions):
            await peer.read_frame()
        peer.writer.transport.pause_reading()
        self.peer.set_result(peer)
        await self.hear.wait()
        if not peer.writer.is_closing():
            peer.writer.transport.resume_reading()
        while (received := await peer.read_frame()).opcode != CLOSE:
            self.heard.append(len(received.payload))
        await peer.send(frame(CLOSE, received.payload))

    async def say(self, data: bytes) -> None:
        (await self.peer).writer.write(data)


def contexts(secure: bool) -> tuple[ssl.SSLContext | None, dict[str, Any]]:
    """The server's context, and the client's option."""
    return (server_context("127.0.0.1"), {"ssl_context": trusting()}) if secure else (None, {})


async def fill(source: Any, patience: float = 0.15) -> int:
    """Send until a message has to wait `patience` seconds; how many there were, that one with them."""
    count = 0
    try:
        while True:
            count += 1
            async with asyncio.timeout(patience):
                await source.send(BIG)
    except TimeoutError:
        return count


@secured
async def test_send_waits_and_memory_stays_bounded(scripted: Serve, secure: bool) -> None:
    """Whoever gives up waiting and tries again, time after time, does not pile its messages up."""
    context, option = contexts(secure)
    deaf = Deaf()
    server = await scripted(deaf, ssl=context)
    async with jetsocket.connect(server.uri, compress=False, **option) as ws:
        # Long enough for a busy machine: buffers that still took something after it would not be full.
        sent = await fill(ws, 0.5)
        tracemalloc.start()
        for _ in range(30):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await ws.send(BIG)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert grown < 2 * len(BIG)
        with pytest.raises(jetsocket.TimeoutError):
            await ws.ping(timeout=0.001)
        deaf.hear.set()
        await ws.send("last")
    # Of those that were given up while they waited nothing was sent.
    assert deaf.heard == [len(BIG)] * sent + [len(b"last")]


async def test_many_that_send_at_once_wait_with_their_messages(scripted: Serve) -> None:
    deaf = Deaf()
    server = await scripted(deaf)
    async with jetsocket.connect(server.uri, compress=False) as ws:
        sent = await fill(ws)
        tracemalloc.start()
        senders = [asyncio.create_task(ws.send(BIG)) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert grown < 2 * len(BIG)
        deaf.hear.set()
        await asyncio.gather(*senders)
    assert deaf.heard == [len(BIG)] * (sent + 20)


@secured
async def test_close_is_bounded(scripted: Serve, secure: bool) -> None:
    context, option = contexts(secure)
    deaf = Deaf()
    server = await scripted(deaf, ssl=context)
    ws = WebSocket(server.uri, compress=False, close_timeout=0.2, **option)
    await ws.connect()
    await fill(ws)
    sending = asyncio.create_task(ws.send(BIG))
    await asyncio.sleep(0)
    began = time.monotonic()
    await ws.close()
    assert 0.15 < time.monotonic() - began < 1.5
    with pytest.raises(JetSocketError, match="closed"):
        await sending
    with pytest.raises(InvalidStateError, match="closed"):
        await ws.send("more")
    deaf.hear.set()


async def test_a_send_that_waits_is_released_by_the_loss_of_a_connection_that_nobody_reads_from(
    scripted: Serve,
) -> None:
    """Its messages wait for room as well; the loss is told when they are taken, but the sender is told at once."""
    deaf = Deaf()
    server = await scripted(deaf)
    async with jetsocket.connect(server.uri, compress=False, buffer=2, reconnect=False) as ws:
        await fill(ws)
        await deaf.say(b"".join(text(str(number)) for number in range(10)))
        while ws.stats().messages_received < 2:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
        sending = asyncio.create_task(ws.send(BIG))
        await asyncio.sleep(0)
        (await deaf.peer).reset()
        async with asyncio.timeout(5):
            with pytest.raises(jetsocket.ConnectionError):
                await sending
        got = []
        with pytest.raises(jetsocket.ConnectionError):
            async for number in ws:
                got.append(number)  # noqa: PERF401  # the error must not take them along
        assert got == list(range(10))
    deaf.hear.set()


@secured
async def test_a_heartbeat_finds_a_peer_that_does_nothing(scripted: Serve, secure: bool) -> None:
    context, option = contexts(secure)
    deaf = Deaf()
    server = await scripted(deaf, ssl=context)
    heartbeat = HeartbeatConfig(interval=0.1, timeout=0.2)
    options = {"compress": False, "reconnect": False, "heartbeat": heartbeat, **option}
    async with jetsocket.connect(server.uri, **options) as ws:
        # TLS takes more than one message before it lets anyone wait.
        sending = asyncio.gather(*(ws.send(BIG * 5) for _ in range(4)))
        began = time.monotonic()
        with pytest.raises(jetsocket.ConnectionError, match=r"no pong in 0\.\d\d s, last data"):
            await ws.recv()
        assert time.monotonic() - began < 2
        with pytest.raises(jetsocket.ConnectionError, match="no pong"):
            await sending
    deaf.hear.set()


def half_close(peer: Conversation) -> None:
    """End the stream below TLS, without a word of TLS's own."""
    sock = socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno()))
    sock.shutdown(socket.SHUT_WR)
    sock.close()


async def test_a_peer_that_ends_its_stream_below_tls_and_does_not_read(scripted: Serve) -> None:
    """uvloop does not tell of such an end while something is unsent: there a heartbeat finds it."""
    told_of_ends = not type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    context, option = contexts(True)
    deaf = Deaf()
    server = await scripted(deaf, ssl=context)
    heartbeat = None if told_of_ends else HeartbeatConfig(interval=0.3, timeout=0.3)
    options = {"compress": False, "reconnect": False, "heartbeat": heartbeat, "close_timeout": 0.2, **option}
    async with jetsocket.connect(server.uri, **options) as ws:
        await fill(ws)
        sending = asyncio.gather(ws.send(BIG), return_exceptions=True)
        await asyncio.sleep(0)
        half_close(await deaf.peer)
        with pytest.raises(jetsocket.ConnectionError, match="ended the stream" if told_of_ends else "no pong"):
            await ws.recv(5)
    assert isinstance((await sending)[0], JetSocketError)
    deaf.hear.set()


async def test_a_heartbeat_does_not_pile_up_pings(scripted: Serve) -> None:
    """A peer that sends and does not read is alive; what cannot go out is not made, either."""

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.pause_reading()
        for _ in range(15):
            await asyncio.sleep(0.01)  # the pace of its own messages
            await peer.send(text("1"))
        peer.writer.transport.resume_reading()
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, compress=False, heartbeat=HeartbeatConfig(0.005, timeout=10)) as ws:
        sending = asyncio.create_task(ws.send(BIG * 20))
        for _ in range(15):
            assert await ws.recv(5) == 1
        sent = ws.stats().bytes_sent
        await sending
    assert sent < len(BIG) * 20 + 200
    assert server.accepted == 1


async def test_a_multiplex_recovers_from_a_reset_while_it_waits_to_send(scripted: Serve) -> None:
    deaf = Deaf(subscriptions=2)
    senders: list[asyncio.Task[None]] = []

    def then(mux: Any) -> None:
        async def run() -> None:
            await fill(mux)
            (await deaf.peer).reset()

        senders.append(asyncio.create_task(run()))
        senders.append(asyncio.create_task(mux.send(BIG * 20)))

    error = await recover(scripted, deaf, before=False, then=then, compress=False)
    assert "the connection was reset" in str(error)
    await senders[0]
    with pytest.raises(jetsocket.ConnectionError, match="reset"):
        await senders[1]
    deaf.hear.set()


async def test_subscribing_does_not_pile_up_requests(exchange: Exchange) -> None:
    """Who gives up subscribing while the server does not read, and tries again, asks once in the end."""
    async with multiplex(exchange.uri, compress=False) as mux:
        await mux.subscribe(ETH)
        exchange.stall()
        await fill(mux)
        before = mux.stats().connection_stats.messages_sent
        for _ in range(20):
            with pytest.raises(jetsocket.TimeoutError):
                await mux.subscribe(BTC, timeout=0.001)
        assert mux.stats().connection_stats.messages_sent == before
        exchange.resume()
        btc = await mux.subscribe(BTC)
        await mux.ping()
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1
        assert mux.stats().connection_stats.messages_sent == before + 1


async def test_a_peer_that_reads_again_gets_everything(scripted: Serve) -> None:
    deaf = Deaf()
    server = await scripted(deaf)
    async with jetsocket.connect(server.uri, compress=False) as ws:
        disconnected = told(ws, "disconnected")
        sending = asyncio.create_task(fill(ws))
        sent = await sending
        deaf.hear.set()
        for number in range(10):
            await ws.send(str(number))
        assert disconnected.empty()
    assert deaf.heard == [len(BIG)] * sent + [1] * 10
    assert server.accepted == 1
