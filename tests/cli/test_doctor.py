from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from jetsocket.testing import Exchange

from ..conftest import Serve
from ..peers import Conversation, Script, close_frame, text
from ..refusals import answering, http
from .conftest import Done, alongside, running

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


def told(done: Done) -> dict[str, str]:
    """What each line says, by its name."""
    return {line[:14].strip(): line[14:].strip() for line in done.out.splitlines()}


def ending(*before: bytes, how: str) -> Script:
    """Sends what is given `before` the connection ends; not before the client's first frame, if there is no such."""

    async def script(peer: Conversation) -> None:
        await peer.accept(then=b"".join(before) + (close_frame(1008, "bad token") if how == "close at once" else b""))
        if how != "close at once":
            await peer.read_frame()
        if how == "close":
            await peer.send(close_frame(1008, "bad token"))
        if how == "reset":
            peer.reset()
        elif how != "end":
            await peer.ended()

    return script


ENDS = {
    "close": "closed by the server with 1008 (policy violation): bad token",
    "close at once": "closed by the server with 1008 (policy violation): bad token",
    "reset": "the connection was reset",
    "end": "the server ended the stream without a close frame",
}


@pytest.mark.parametrize("how", ENDS)
async def test_why_the_server_hung_up_on_a_subscription(scripted: Serve, how: str) -> None:
    server = await scripted(ending(how=how))
    done = await alongside("doctor", server.uri, *SUBSCRIBE)
    assert (done.code, done.err) == (1, "")
    assert told(done)["first message"].startswith(f"FAILED  {server.uri}: {ENDS[how]}")
    assert "ping" not in told(done)


@pytest.mark.parametrize("how", ENDS)
async def test_why_the_server_hung_up_after_its_first_message(scripted: Serve, how: str) -> None:
    server = await scripted(ending(text("denied"), how=how))
    done = await alongside("doctor", server.uri)
    assert (done.code, done.err) == (1, "")
    assert told(done)["first message"].endswith("6 bytes: denied")
    assert told(done)["ping"].startswith(f"FAILED  {server.uri}: {ENDS[how]}")


@pytest.mark.parametrize("how", ["close", "reset", "end"])
async def test_a_server_that_hangs_up_while_a_pong_is_waited_for(scripted: Serve, how: str) -> None:
    server = await scripted(ending(how=how))
    done = await alongside("doctor", server.uri, "--wait", "0.1")
    assert (done.code, done.err) == (1, "")
    assert told(done)["first message"].startswith("-  none in 0.1 s")
    assert told(done)["ping"].startswith(f"FAILED  {server.uri}: {ENDS[how]}")


async def test_a_server_that_closes_at_once(scripted: Serve) -> None:
    server = await scripted(ending(how="close at once"))
    done = await alongside("doctor", server.uri)
    assert (done.code, done.err) == (1, "")
    assert told(done)["first message"].startswith(f"FAILED  {server.uri}: {ENDS['close']}")


async def test_it_says_where_a_redirect_leads(scripted: Serve) -> None:
    async with Exchange() as exchange:
        last = await scripted(answering(http("302 Found", Location=exchange.uri)))
        first = await scripted(answering(http("307 Temporary Redirect", Location=last.uri)))
        done = await alongside("doctor", first.uri, "--wait", "0.1")
    assert (done.code, done.err) == (0, "")
    steps = ["resolve", "connect", "TLS", "upgrade"]
    names = [line[:14].strip() for line in done.out.splitlines()]
    assert names == [*steps, "redirect", *steps, "redirect", *steps, "first message", "ping"]
    redirects = [line[14:].strip() for line in done.out.splitlines() if line.startswith("redirect")]
    assert redirects == ["-  to an address that redirects, too", f"-  to {exchange.uri}"]


async def test_a_redirect_that_leads_nowhere(scripted: Serve) -> None:
    server = await scripted(answering(http("302 Found", Location="ws://127.0.0.1:1/")))
    done = await alongside("doctor", server.uri)
    assert (done.code, done.err) == (1, "")
    names = [line[:14].strip() for line in done.out.splitlines()]
    assert names == ["resolve", "connect", "TLS", "upgrade", "redirect", "resolve", "connect"]
    assert told(done)["redirect"] == "-  to ws://127.0.0.1:1/"
    assert told(done)["connect"] == "FAILED  ws://127.0.0.1:1/ refused the connection; is the server running?"


async def test_a_redirect_too_many_is_of_the_first_address(scripted: Serve) -> None:
    server = await scripted(answering(http("302 Found", Location="/again")))
    done = await alongside("doctor", server.uri)
    assert (done.code, done.err) == (1, "")
    assert done.out.count("to an address that redirects, too") == 4
    assert done.out.count("to another address") == 1
    assert told(done)["upgrade"].startswith(f"FAILED  {server.uri} redirects more than 5 times")
