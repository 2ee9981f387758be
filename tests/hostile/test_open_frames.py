"""Every broken frame of `open_faults.FAULTS`: the error, the close code on the wire, what was whole before it, and what
comes after."""

from __future__ import annotations

import asyncio
import time

import pytest

import jetsocket
from jetsocket import ProtocolError
from jetsocket.protocol.failures import CLOSE_NAMES

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import Conversation
from ..saying import end_of
from .open_faults import DEFLATE, FAULTS, LIMIT, Fault
from .playing import BTC, Misbehaving, recover

each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
# One of each close code, for what does not depend on the frame.
SAMPLE = ["opcode 3", "close with a reason of the first surrogate", "a message over the limit, inflated"]
each_code = pytest.mark.parametrize("fault", [FAULTS[name] for name in SAMPLE], ids=SAMPLE)


def sentence(uri: str, fault: Fault) -> str:
    """The error's text."""
    # The limit is told once.
    reason = fault.reason.removesuffix(f", over {LIMIT}").removesuffix(f" than {LIMIT} bytes")
    told = f"{uri}: closed with {fault.code} ({CLOSE_NAMES[fault.code]}), the server sent {reason}"
    limit = f"; max_message_size sets the limit, now {LIMIT:,} bytes"
    return told + (limit if fault.code == 1009 else "")


def check(error: BaseException, uri: str, fault: Fault) -> None:
    """The documented error, whole."""
    assert type(error) is ProtocolError
    assert str(error) == sentence(uri, fault)
    hint = "max_message_size sets the limit" if fault.code == 1009 else None
    assert (error.code, error.phase, error.uri, error.hint) == (fault.code, "open", uri, hint)
    assert error.retryable


def test_the_list_is_whole() -> None:
    """Of each rule something; the names of the cases say of what."""
    assert len(FAULTS) > 130
    assert {fault.code for fault in FAULTS.values()} == {1002, 1007, 1009}


@each_fault
async def test_a_plain_connection_says_what_was_wrong(scripted: Serve, fault: Fault) -> None:
    peer = Misbehaving(fault.data, *([DEFLATE] if fault.compressed else []))
    server = await scripted(peer)
    began = time.monotonic()
    async with jetsocket.connect(server.uri, reconnect=False, max_message_size=LIMIT) as ws:
        assert await ws.recv(5) == {"stream": BTC, "data": "before"}
        error = await end_of(ws)
        check(error, server.uri, fault)
        assert await peer.close_code() == (fault.code, fault.reason)
        stats = ws.stats()
        assert (stats.errors, stats.reconnect_count) == (1, 0)
        with pytest.raises(jetsocket.InvalidStateError, match="cannot send: the connection was closed"):
            await ws.send("more")
    assert time.monotonic() - began < 5


@each_fault
async def test_a_multiplex_recovers(scripted: Serve, fault: Fault) -> None:
    peer = Misbehaving(fault.data, *([DEFLATE] if fault.compressed else []), subscriptions=2)
    error = await recover(scripted, peer, max_message_size=LIMIT)
    assert error.uri is not None
    check(error, error.uri, fault)
    assert await peer.close_code() == (fault.code, fault.reason)


@each_code
async def test_over_tls(scripted: Serve, fault: Fault) -> None:
    peer = Misbehaving(fault.data, *([DEFLATE] if fault.compressed else []), subscriptions=2)
    context = server_context("127.0.0.1")
    error = await recover(scripted, peer, ssl=context, max_message_size=LIMIT, ssl_context=trusting())
    assert error.uri is not None
    assert error.uri.startswith("wss://")
    check(error, error.uri, fault)
    assert await peer.close_code() == (fault.code, fault.reason)


async def test_a_server_that_does_not_read_what_was_wrong(scripted: Serve) -> None:
    """The close frame cannot be delivered: that does not keep the connection for more than a second."""
    fault, sent, done = FAULTS["opcode 3"], asyncio.Event(), asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.transport.pause_reading()
        await sent.wait()
        peer.writer.write(fault.data)
        await done.wait()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        sending = asyncio.create_task(ws.send_raw(bytes(20_000_000)))
        await asyncio.sleep(0)
        sent.set()
        began = time.monotonic()
        check(await end_of(ws), server.uri, fault)
        assert time.monotonic() - began < 3
        with pytest.raises(ProtocolError):
            await sending
    done.set()
