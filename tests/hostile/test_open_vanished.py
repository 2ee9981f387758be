"""A connection whose packets vanish: a cable is pulled, a firewall forgets it. Neither side is told.

On Linux a socket's filter may drop what comes to it before TCP sees it: nothing is acknowledged any more, and the
sender's kernel repeats it for minutes. The server's socket gets such a filter, of one instruction.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
import time
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionError, HeartbeatConfig, InvalidStateError, WebSocket

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import Conversation, multiplex, told
from .playing import BTC, data, recover, serve

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux filters a socket's packets")

SO_ATTACH_FILTER = 26
# BPF_RET | BPF_K: keep 0 bytes of the packet.
DROP = struct.pack("HBBI", 0x06, 0, 0, 0)
HEARTBEAT = HeartbeatConfig(interval=0.1, timeout=0.2)
BIG = b"x" * 1_000_000

secured = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


def drop_everything(peer: Conversation) -> None:
    """From now on whatever the client sends is lost on its way."""
    program = ctypes.create_string_buffer(DROP)
    descriptor = struct.pack("HP", 1, ctypes.addressof(program))
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, descriptor)


class Vanishing:
    """Takes `subscriptions` requests, sends one message, and is then cut off. `gone` tells when."""

    def __init__(self, subscriptions: int = 0) -> None:
        self.subscriptions = subscriptions
        self.gone = asyncio.Event()

    async def __call__(self, peer: Conversation) -> None:
        await peer.accept()
        for _ in range(self.subscriptions):
            await peer.read_frame()
        await peer.send(data(BTC, "before"))
        drop_everything(peer)
        self.gone.set()
        try:
            # Nothing comes any more, not even the end of the stream.
            assert await peer.reader.read() == b""
        finally:
            peer.writer.transport.abort()


def contexts(secure: bool) -> tuple[Any, dict[str, Any]]:
    """The server's context, and the client's options."""
    return (server_context("127.0.0.1"), {"ssl_context": trusting()}) if secure else (None, {})


@secured
async def test_the_heartbeat_finds_it_in_time(scripted: Serve, secure: bool) -> None:
    context, options = contexts(secure)
    vanishing = Vanishing()
    server = await scripted(vanishing, ssl=context)
    async with jetsocket.connect(server.uri, reconnect=False, heartbeat=HEARTBEAT, **options) as ws:
        assert (await ws.recv())["data"] == "before"
        await vanishing.gone.wait()
        pinging = asyncio.create_task(ws.ping())
        began = time.monotonic()
        with pytest.raises(ConnectionError, match=r": no pong in 0\.\d\d s, last data 0\.\d\d s ago$") as caught:
            await ws.recv()
        assert 0.1 < time.monotonic() - began < 2
        error = caught.value
        assert (type(error), error.phase, error.uri, error.retryable) == (ConnectionError, "open", server.uri, True)
        with pytest.raises(ConnectionError, match="no pong"):
            await pinging
        with pytest.raises(InvalidStateError, match="no pong"):
            await ws.send("more")


@secured
async def test_a_send_waits_and_is_released(scripted: Serve, secure: bool) -> None:
    context, options = contexts(secure)
    vanishing = Vanishing()
    server = await scripted(vanishing, ssl=context)
    heartbeat = HeartbeatConfig(interval=0.15, timeout=0.2)
    options |= {"reconnect": False, "heartbeat": heartbeat, "compress": False}
    async with jetsocket.connect(server.uri, **options) as ws:
        await vanishing.gone.wait()
        senders = [asyncio.create_task(ws.send(BIG)) for _ in range(20)]
        await asyncio.sleep(0)
        # One that is given up does not keep the others.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ws.send(BIG)
        began = time.monotonic()
        outcomes = await asyncio.gather(*senders, return_exceptions=True)
        assert time.monotonic() - began < 2
        waited = [outcome for outcome in outcomes if outcome is not None]
        assert len(waited) > 10
        for error in waited:
            assert isinstance(error, ConnectionError)
            assert "no pong in 0." in str(error)


@secured
@pytest.mark.parametrize("much", [False, True], ids=["nothing unsent", "much unsent"])
async def test_close_is_bounded(scripted: Serve, secure: bool, much: bool) -> None:
    context, options = contexts(secure)
    vanishing = Vanishing()
    server = await scripted(vanishing, ssl=context)
    ws = WebSocket(server.uri, close_timeout=0.2, compress=False, **options)
    await ws.connect()
    await vanishing.gone.wait()
    senders = [asyncio.create_task(ws.send(BIG)) for _ in range(20 if much else 0)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await ws.close()
    assert 0.15 < time.monotonic() - began < 1.5
    for outcome in await asyncio.gather(*senders, return_exceptions=True):
        assert outcome is None or isinstance(outcome, jetsocket.JetSocketError)
    assert (await ws.recv())["data"] == "before"
    with pytest.raises(InvalidStateError):
        await ws.recv()


@secured
async def test_a_multiplex_recovers(scripted: Serve, secure: bool) -> None:
    context, options = contexts(secure)
    error = await recover(scripted, Vanishing(2), ssl=context, heartbeat=HEARTBEAT, **options)
    assert type(error) is ConnectionError
    assert "no pong in 0." in str(error)


async def test_subscribing_waits_for_the_next_connection(scripted: Serve) -> None:
    """A request that vanished with its connection is asked again on the next."""
    vanishing = Vanishing()
    server = await scripted(vanishing, serve)
    async with multiplex(server.uri, heartbeat=HEARTBEAT) as mux:
        reconnected = told(mux, "reconnected")
        await vanishing.gone.wait()
        subscription = await mux.subscribe(BTC)
        assert reconnected.empty()
        assert (await subscription.recv(10))["data"] == "after"
    assert server.accepted == 2


async def test_an_old_connection_is_replaced_all_the_same(scripted: Serve) -> None:
    """`max_connection_age`: the closing handshake on it gets no answer."""
    server = await scripted(Vanishing(1), serve)
    began = time.monotonic()
    async with multiplex(server.uri, max_connection_age=0.1) as mux:
        subscription = await mux.subscribe(BTC)
        assert [(await subscription.recv(10))["data"] for _ in range(2)] == ["before", "after"]
    assert time.monotonic() - began < 4
