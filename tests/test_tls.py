"""wss://, with certificates good and bad, over real TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

import jetsocket
from jetsocket import WebSocket
from jetsocket.testing import Exchange

from .certificates import AUTHORITY, server_context, trusting
from .conftest import Serve
from .peers import AT_ONCE, CLOSE, PING, PONG, Conversation, Received, frame, multiplex, text, told
from .refusals import mute
from .saying import check_says, end_of, failure_of


async def test_messages_go_both_ways():
    async with (
        Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange,
        multiplex(exchange.uri, ssl_context=trusting()) as mux,
    ):
        assert exchange.uri.startswith("wss://")
        trades = await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.publish("btcusdt@trade", {"p": "1.0"})
        assert await trades.recv(5) == {"stream": "btcusdt@trade", "data": {"p": "1.0"}}


async def test_a_message_of_many_records():
    # A TLS record holds 16 KiB.
    text = "x" * 3_000_000
    async with (
        Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange,
        WebSocket(exchange.uri, ssl_context=trusting(), deserializer=str) as ws,
    ):
        exchange.send_text(text)
        assert await ws.recv(10) == text


async def test_the_default_verifies():
    async with Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange:
        error = await failure_of(exchange.uri)
        assert isinstance(error, jetsocket.CertificateError)
        assert "to trust it, pass ssl_context" in str(error)
        assert exchange.account().accepted == 0


async def test_the_default_honours_ssl_cert_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with (
        Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange,
        WebSocket(exchange.uri) as ws,
    ):
        assert ws.is_connected


async def upgrade_and_wait(peer: Conversation) -> None:
    await peer.accept()
    await peer.answer_close()


async def test_the_servers_name_is_told_and_verified(scripted: Serve):
    names: list[str | None] = []
    context = server_context("localhost")
    context.sni_callback = lambda _, name, __: names.append(name)
    server = await scripted(upgrade_and_wait, ssl=context)
    async with WebSocket(f"wss://localhost:{server.port}/", ssl_context=trusting()) as ws:
        assert ws.is_connected
    assert names == ["localhost"]
    error = await failure_of(server.uri, ssl_context=trusting())
    assert isinstance(error, jetsocket.CertificateError)


async def test_a_certificate_of_tomorrow(scripted: Serve):
    server = await scripted(mute, ssl=server_context("127.0.0.1", days=(1, 30)))
    error = await failure_of(server.uri, ssl_context=trusting())
    assert isinstance(error, jetsocket.CertificateError)
    assert "certificate is not yet valid" in str(error)
    assert "check this machine's clock" in str(error)


async def test_who_does_not_verify_connects():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with (
        Exchange(paused=True, ssl=server_context("exchange.test", days=(-30, -2))) as exchange,
        WebSocket(exchange.uri, ssl_context=context) as ws,
    ):
        assert ws.is_connected


async def test_a_bad_certificate_is_not_retried():
    async with Exchange(paused=True, ssl=server_context("exchange.test")) as exchange:
        ws = WebSocket(exchange.uri, ssl_context=trusting(), backoff=AT_ONCE)
        failures = told(ws, "error")
        with pytest.raises(jetsocket.CertificateError):
            await ws.connect(timeout=10)
        assert failures.empty()
        assert ws.state is jetsocket.ConnectionState.FAILED


async def test_a_certificate_that_goes_bad_ends_the_reconnecting(scripted: Serve):
    context = server_context("localhost")
    bad = server_context("exchange.test")

    async def hang_up_after_a_message(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        # For the handshakes to come.
        context.sni_callback = lambda connection, _, __: setattr(connection, "context", bad)

    server = await scripted(hang_up_after_a_message, ssl=context)
    async with WebSocket(f"wss://localhost:{server.port}/", ssl_context=trusting(), backoff=AT_ONCE) as ws:
        await ws.send(1)
        assert isinstance(await end_of(ws), jetsocket.CertificateError)
        assert ws.state is jetsocket.ConnectionState.FAILED


async def test_reconnects():
    async with (
        Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange,
        multiplex(exchange.uri, ssl_context=trusting()) as mux,
    ):
        trades = await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.drop_all()
        await exchange.wait_accepted(2)
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.publish("btcusdt@trade", 7)
        assert (await trades.recv(5))["data"] == 7


@pytest.mark.parametrize(
    "cut",
    [lambda exchange: exchange.drop_all(reset=True), lambda exchange: exchange.drop_all(reset=False)],
    ids=["reset", "end of stream"],
)
async def test_a_lost_connection_is_told(cut: Callable[[Exchange], object]):
    async with (
        Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange,
        WebSocket(exchange.uri, ssl_context=trusting(), reconnect=False) as ws,
    ):
        exchange.send_text("1")
        assert await ws.recv(5) == 1
        cut(exchange)
        error = await end_of(ws)
    check_says(error, f"{exchange.uri}: the <any>, after <time>, last message <time> ago")
    assert type(error) is jetsocket.ConnectionError


async def test_closing_is_a_handshake(scripted: Serve):
    told_frame: asyncio.Future[Received] = asyncio.get_running_loop().create_future()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        told_frame.set_result(await peer.answer_close())

    server = await scripted(script, ssl=server_context("127.0.0.1"))
    async with WebSocket(server.uri, ssl_context=trusting()) as ws:
        await ws.close(4000, "bye")
    assert await told_frame == Received(CLOSE, b"\x0f\xa0bye")
    assert ws.state is jetsocket.ConnectionState.CLOSED


async def test_closing_is_bounded(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.ended()

    loop = asyncio.get_running_loop()
    server = await scripted(script, ssl=server_context("127.0.0.1"))
    ws = WebSocket(server.uri, ssl_context=trusting(), close_timeout=0.2)
    await ws.connect()
    begin = loop.time()
    await ws.close()
    assert loop.time() - begin < 2


async def test_frames_in_the_answers_own_record(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(frame(PING, b"hello"))
        assert await peer.read_frame() == Received(PONG, b"hello")
        await peer.send(text('"pong came"'))
        await peer.answer_close()

    server = await scripted(script, ssl=server_context("127.0.0.1"))
    async with WebSocket(server.uri, ssl_context=trusting()) as ws:
        assert await ws.recv(5) == "pong came"


@pytest.mark.parametrize("alert, words", [(40, "handshake failure"), (70, "protocol version"), (116, "certificate")])
async def test_the_server_refuses_the_handshake(alert, words, scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.reader.read(1)
        await peer.send(bytes([21, 3, 3, 0, 2, 2, alert]))
        await peer.ended()

    server = await scripted(script)
    error = await failure_of(f"wss://127.0.0.1:{server.port}/")
    check_says(error, f"wss://127.0.0.1:{server.port}/: TLS handshake failed: <any>")
    assert words in str(error)
    assert (error.phase, error.retryable) == ("tls", True)


async def test_hung_up_during_the_handshake(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.reader.read(1)

    server = await scripted(script)
    error = await failure_of(f"wss://127.0.0.1:{server.port}/")
    check_says(error, f"wss://127.0.0.1:{server.port}/: closed during the TLS handshake; a plain ws:// port?")
    assert (error.phase, error.retryable) == ("tls", True)
