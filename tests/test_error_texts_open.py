"""What goes wrong once there is a connection, and elsewhere, word for word."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time

import msgspec
import pytest

import jetsocket
from jetsocket import HeartbeatConfig, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, CLOSE, Conversation, Received, multiplex, text
from .saying import check_says, end_of


async def test_no_pong(exchange: Exchange):
    heartbeat = HeartbeatConfig(interval=0.3, timeout=0.3)
    async with WebSocket(exchange.uri, reconnect=False, heartbeat=heartbeat) as ws:
        exchange.stall()
        begin = time.monotonic()
        error = await end_of(ws)
        assert time.monotonic() - begin < 2
        exchange.resume()
    found = re.fullmatch(re.escape(exchange.uri) + r": no pong in (0\.\d\d) s, last data (0\.\d\d) s ago", str(error))
    assert found, str(error)
    assert float(found[1]) >= 0.3
    assert float(found[2]) >= 0.6


async def test_a_message_over_the_limit(scripted: Serve):
    told: asyncio.Future[Received] = asyncio.get_running_loop().create_future()

    async def announce_too_much(peer: Conversation) -> None:
        # The head of a frame alone: the client need not wait for the rest.
        await peer.accept(then=text(bytes(5000))[:4])
        told.set_result(await peer.read_frame())

    server = await scripted(announce_too_much)
    async with WebSocket(server.uri, reconnect=False, max_message_size=1000) as ws:
        error = await end_of(ws)
    opcode, payload, _ = await told
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, 1009)
    check_says(
        error,
        f"{server.uri}: closed with 1009 (message too big), the server sent <any>; "
        "max_message_size sets the limit, now 1,000 bytes",
    )
    assert isinstance(error, jetsocket.ProtocolError)
    assert error.code == 1009


async def test_closed_by_policy(exchange: Exchange):
    async with WebSocket(exchange.uri, backoff=AT_ONCE) as ws:
        for _ in range(1200):
            exchange.send_text("{}")
        exchange.close_all(1008, "bad token")
        error = await end_of(ws)
    check_says(
        error,
        f"{exchange.uri}: closed by the server with 1008 (policy violation): bad token, "
        "after <time> and 1,200 messages; not retried",
    )
    assert isinstance(error, jetsocket.CloseError)
    assert (error.code, error.reason, error.by, error.retryable) == (1008, "bad token", "server", False)
    assert exchange.account().accepted == 1


@pytest.mark.parametrize(
    "reset, what",
    [(True, "the connection was reset"), (False, "the server ended the stream without a close frame")],
    ids=["reset", "end of stream"],
)
async def test_lost(exchange: Exchange, reset, what):
    async with WebSocket(exchange.uri, reconnect=False) as ws:
        exchange.send_text("{}")
        await ws.recv()
        exchange.drop_all(reset=reset)
        error = await end_of(ws)
    check_says(error, f"{exchange.uri}: {what}, after <time>, last message <time> ago")
    assert isinstance(error, jetsocket.ConnectionError)


async def test_send_of_what_cannot_be_serialised(exchange: Exchange):
    def shout(message: object) -> str:
        raise ValueError("too loud")

    async with WebSocket(exchange.uri) as ws:
        with pytest.raises(TypeError) as caught:
            await ws.send({"a": object()})
    check_says(caught.value, "send: the JSON serializer cannot serialise dict: <any>; see serializer=")
    async with multiplex(exchange.uri, serializer=shout) as mux:
        with pytest.raises(TypeError) as caught:
            await mux.send({"a": 1})
    check_says(caught.value, "send: <any>.shout cannot serialise dict: too loud; see serializer=")


async def test_send_after_close(exchange: Exchange):
    async with WebSocket(exchange.uri) as ws:
        pass
    with pytest.raises(jetsocket.InvalidStateError) as caught:
        await ws.send({"a": 1})
    check_says(caught.value, "cannot send: the connection was closed <time> ago (close() was called)")


async def test_send_after_the_server_closed(exchange: Exchange):
    async with WebSocket(exchange.uri) as ws:
        exchange.close_all(1008, "bad token")
        why = await end_of(ws)
        with pytest.raises(jetsocket.InvalidStateError) as caught:
            await ws.send({"a": 1})
    check_says(caught.value, f"cannot send: the connection was closed <time> ago ({why})")


@pytest.mark.parametrize("operation", ["recv", "recv_batch"])
async def test_reading_after_close(exchange: Exchange, operation: str):
    async with WebSocket(exchange.uri) as ws, multiplex(exchange.uri) as mux:
        subscription = await mux.subscribe("a")
        await subscription.close()
        with pytest.raises(jetsocket.InvalidStateError) as closed:
            await getattr(subscription, operation)()
        check_says(closed.value, f"cannot {operation}: the subscription to 'a' was closed, and has been read")
    with pytest.raises(jetsocket.InvalidStateError) as caught:
        await getattr(ws, operation)()
    check_says(caught.value, f"cannot {operation}: the connection was closed <time> ago (close() was called)")
    assert (caught.value.current_state, caught.value.required_states) == ("closed", ("open",))


# Elsewhere.

WITHOUT = """
import sys
for name in {absent!r}: sys.modules[name] = None
{code}
"""


@pytest.mark.parametrize(
    "absent, code, text",
    [
        (
            ["rich"],
            "from jetsocket.cli import main; sys.exit(main())",
            "jetsocket: the command line is not installed: pip install 'jetsocket[cli]'",
        ),
        (
            ["picows"],
            "import jetsocket.testing",
            "jetsocket.testing needs an extra that is not installed: pip install 'jetsocket[testing]'",
        ),
        (
            ["python_socks"],
            "import jetsocket; jetsocket.WebSocket('ws://h', proxy='socks5://p')",
            "a socks5:// proxy needs an extra that is not installed: pip install 'jetsocket[proxy]'",
        ),
    ],
    ids=["cli", "testing", "proxy"],
)
def test_a_missing_extra(absent, code, text):
    script = WITHOUT.format(absent=absent, code=code)
    ran = subprocess.run([sys.executable, "-c", script, "demo"], check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].removeprefix("jetsocket.errors.MissingExtraError: ") == text


class Payload(msgspec.Struct):
    p: float


class Trade(msgspec.Struct):
    stream: str
    data: Payload


async def test_a_message_that_does_not_decode(exchange: Exchange):
    async with multiplex(exchange.uri, message_type=Trade) as mux:
        trades = await mux.subscribe("btcusdt@trade")
        raw = b'{"stream":"btcusdt@trade","data":{"p":"1.5"}}'
        exchange.send_text(raw.decode())
        with pytest.raises(jetsocket.DecodeError) as caught:
            await trades.recv(5)
    error = caught.value
    check_says(
        error,
        f"cannot decode a message of 'btcusdt@trade' ({len(raw)} bytes): Expected `float`, got `str` - at `$.data.p`",
    )
    assert (error.raw, error.channel) == (raw, "btcusdt@trade")
