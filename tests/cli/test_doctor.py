from __future__ import annotations

import asyncio
import ssl

import trustme

from jetsocket.testing import Exchange

from ..peers import Conversation, ScriptedServer, close_frame
from .conftest import alongside, running

SUBSCRIBE = ["--subscribe", '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}']


async def test_each_step_has_its_time() -> None:
    async with Exchange() as exchange:
        done = await alongside("doctor", exchange.uri, *SUBSCRIBE)
    assert (done.code, done.err) == (0, "")
    names = [line[:14].strip() for line in done.out.splitlines()]
    assert names == ["resolve", "connect", "TLS", "upgrade", "first message", "ping"]
    assert "ws:// has none" in done.out
    assert '22 bytes: {"result":null,"id":1}' in done.out


async def test_silence_is_no_failure_unless_something_was_asked_for() -> None:
    async with Exchange() as exchange:
        exchange.go_silent()
        done = await alongside("doctor", exchange.uri, "--wait", "0.1")
        assert done.code == 0
        assert "none in 0.1 s; many servers are silent until --subscribe" in done.out
        exchange.stall()
        done = await alongside("doctor", exchange.uri, "--wait", "0.1", *SUBSCRIBE)
        assert done.code == 1
        assert "FAILED  none in 0.1 s" in done.out
        assert "no pong in 1 s" in done.out


async def test_a_refused_connection() -> None:
    done = await alongside("doctor", "ws://127.0.0.1:1/")
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[-1].split(None, 2) == [
        "connect",
        "FAILED",
        "ws://127.0.0.1:1/ refused the connection; is the server running?",
    ]


async def test_an_unknown_host() -> None:
    done = await alongside("doctor", "ws://no-such-host.invalid/")
    assert done.code == 1
    assert done.out.startswith("resolve           FAILED  cannot resolve 'no-such-host.invalid'")


async def test_a_refused_upgrade() -> None:
    async with Exchange() as exchange:
        exchange.refuse_handshakes(403, body="\x1b[31mgo away")
        done = await alongside("doctor", exchange.uri)
    assert done.code == 1
    last = done.out.splitlines()[-1]
    assert last.startswith("upgrade           FAILED")
    assert "answered 403 Forbidden" in last
    assert "\x1b" not in done.out


async def test_an_untrusted_certificate_and_insecure() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    async with Exchange(ssl=server) as exchange:
        done = await alongside("doctor", exchange.uri, "--wait", "0.1")
        assert done.code == 1
        assert "TLS               FAILED" in done.out
        assert "the certificate does not verify for '127.0.0.1'" in done.out
        done = await alongside("doctor", "-k", exchange.uri, "--wait", "0.1")
        assert done.code == 0


async def test_a_trusted_certificate() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    with authority.cert_pem.tempfile() as trusted:
        async with Exchange(ssl=server) as exchange:
            done = await alongside("doctor", exchange.uri, "--wait", "0.1", SSL_CERT_FILE=trusted)
    assert done.code == 0
    assert "TLS" in done.out


async def test_a_server_that_never_answers() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        done = await alongside("doctor", f"ws://127.0.0.1:{port}/", "--connect-timeout", "0.3")
    assert done.code == 1
    assert "upgrade           FAILED" in done.out
    assert "no answer to the upgrade" in done.out


async def test_color_is_off_in_a_pipe_and_can_be_forced() -> None:
    plain = await alongside("doctor", "ws://127.0.0.1:1/")
    colored = await alongside("doctor", "ws://127.0.0.1:1/", FORCE_COLOR="1", TERM="xterm-256color")
    neither = await alongside("doctor", "ws://127.0.0.1:1/", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" not in plain.out
    assert "\x1b[" in colored.out
    assert "\x1b[1;31m" not in neither.out


async def test_a_closed_pipe_ends_it_quietly() -> None:
    async with Exchange() as exchange, running("doctor", exchange.uri, "--wait", "0.5") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.stdout._transport.close()  # type: ignore[attr-defined]  # a StreamReader has no other way
        assert child.stderr is not None
        assert await child.stderr.read() == b""
        assert await child.wait() == 0


async def test_a_server_that_closes_at_once() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept(then=close_frame(1008, "no subscription"))
        await conversation.ended()

    server = ScriptedServer(script)
    await server.open()
    try:
        done = await alongside("doctor", server.uri)
    finally:
        await server.close()
    assert (done.code, done.err) == (1, "")
    last = done.out.splitlines()[-1]
    assert last.startswith("first message     FAILED")
    assert "1008 (policy violation): no subscription" in last
