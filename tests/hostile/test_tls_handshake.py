"""TLS handshakes that are cut, stalled, dribbled, or are none."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

import jetsocket

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import Conversation, Script, ScriptedServer, multiplex, text
from ..refusals import http
from ..saying import check_says
from .attempts import SOON, meet, serve_on, serve_once
from .relaying import Cut, ServerTls, by_hand, handshake_size, hang_up, relay, stall

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS)
def context(request: pytest.FixtureRequest) -> ssl.SSLContext:
    """The server's."""
    made = server_context("127.0.0.1")
    made.maximum_version = VERSIONS[request.param]
    return made


def secure(server: ScriptedServer) -> str:
    """The wss:// address of a server that knows nothing of TLS."""
    return f"wss://127.0.0.1:{server.port}/"


async def meet_hostile(scripted: Serve, hostile: Script, context: ssl.SSLContext, **options: Any) -> Any:
    """`meet`, between two good connections through TLS, a server's that is `hostile` below TLS."""
    good = await scripted(serve_once, serve_on, ssl=context)
    server = await scripted(relay(good.port), hostile, relay(good.port))
    error = await meet(server, secure(server), ssl_context=trusting(), **options)
    assert error.uri == secure(server)
    return error


async def meet_cuts(scripted: Serve, cut: Cut, context: ssl.SSLContext, positions: list[int], **options: Any) -> Any:
    """`meet_hostile` with a handshake that is cut at each position, a few at the same time; the errors by position."""
    few = asyncio.Semaphore(12)

    async def one(position: int) -> Any:
        async with few:
            good = await scripted(serve_once, serve_on, ssl=context)
            server = await scripted(relay(good.port), relay(good.port, position, cut), relay(good.port))
            return await meet(server, secure(server), ssl_context=trusting(), **options)

    async with asyncio.TaskGroup() as group:
        meetings = {position: group.create_task(one(position)) for position in positions}
    return {position: meeting.result() for position, meeting in meetings.items()}


def within_handshake(context: ssl.SSLContext, step: int) -> list[int]:
    """Positions in what the server says: the first bytes each, then some. Signatures differ by a few bytes."""
    end = handshake_size(context, trusting()) - 16
    assert end > 500
    return [*range(8), *range(8, end, step), end]


async def test_cut_by_the_end_of_the_stream_at_many_bytes(scripted: Serve, context: ssl.SSLContext) -> None:
    errors = await meet_cuts(scripted, hang_up, context, within_handshake(context, 61))
    for error in errors.values():
        assert type(error) is jetsocket.ConnectionError
        check_says(error, f"{error.uri}: closed during the TLS handshake; a plain ws:// port?")
        assert (error.phase, error.retryable) == ("tls", True)


async def test_cut_by_a_reset_at_many_bytes(scripted: Serve, context: ssl.SSLContext) -> None:
    errors = await meet_cuts(scripted, Conversation.reset, context, within_handshake(context, 151))
    for error in errors.values():
        assert type(error) is jetsocket.ConnectionError
        check_says(error, f"{error.uri}: closed during the TLS handshake (<any>); a plain ws:// port?")
        assert (error.phase, error.retryable) == ("tls", True)
        assert isinstance(error.__cause__, ConnectionResetError)


@pytest.mark.slow
async def test_stalled_at_many_bytes(scripted: Serve, context: ssl.SSLContext) -> None:
    errors = await meet_cuts(scripted, stall, context, within_handshake(context, 251), connect_timeout=1.0)
    for error in errors.values():
        assert type(error) is jetsocket.TimeoutError
        check_says(
            error, f"{error.uri}: TLS handshake not finished in <time> (TCP connected in <time>); a plain ws:// port?"
        )
        assert (error.phase, error.timeout, error.retryable) == ("tls", 1.0, True)
        assert error.elapsed < 5


async def test_dribbled_byte_by_byte(scripted: Serve, context: ssl.SSLContext) -> None:
    good = await scripted(serve_on, ssl=context)
    server = await scripted(relay(good.port, piece=1))
    async with multiplex(secure(server), ssl_context=trusting()) as mux:
        subscription = await mux.subscribe("a")
        assert await subscription.recv(SOON) == {"stream": "a"}


def answering_hello(*answers: bytes, again: bytes = b"") -> Script:
    """Says this once the client has said anything, `again` without an end."""

    async def script(peer: Conversation) -> None:
        await peer.reader.read(65536)
        for answer in answers:
            await peer.send(answer)
        while again:
            await peer.send(again)
        await peer.ended()

    return script


def record(kind: int, payload: bytes) -> bytes:
    """A TLS record."""
    return bytes([kind, 3, 3]) + len(payload).to_bytes(2, "big") + payload


HANDSHAKE, ALERT, APPLICATION = 22, 21, 23
NO_TLS = "the server does not speak TLS here; try ws://127.0.0.1:<any>/"
FAILED = "TLS handshake failed: <any>"
HELLO_OF_16_MIB = record(HANDSHAKE, b"\x02\xff\xff\xff" + b"\3\3" + bytes(16_000))

NOT_TLS: dict[str, tuple[Script, str]] = {
    "HTTP": (answering_hello(http("400 Bad Request")), NO_TLS),
    "an upgrade": (answering_hello(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), NO_TLS),
    "another protocol": (answering_hello(b"SSH-2.0-OpenSSH_9.6\r\n"), NO_TLS),
    "a WebSocket frame": (answering_hello(text("hello, who is there?")), NO_TLS),
    "zeros": (answering_hello(bytes(1000)), NO_TLS),
    "all ones": (answering_hello(b"\xff" * 1000), NO_TLS),
    "any bytes": (answering_hello(bytes(range(256)) * 4), NO_TLS),
    "endless text": (answering_hello(again=b"hello\r\n" * 1000), NO_TLS),
    "a record of garbage": (answering_hello(record(HANDSHAKE, b"\xaa" * 100)), FAILED),
    "a record of data": (answering_hello(record(APPLICATION, b"\xaa" * 100)), FAILED),
    "a record too long": (answering_hello(record(HANDSHAKE, bytes(20_000))), "<any>"),
    "a record of nothing, for ever": (answering_hello(again=record(HANDSHAKE, b"") * 100), FAILED),
    "warnings for ever": (answering_hello(again=record(ALERT, b"\x01\x5a") * 100), FAILED),
    "a hello of 16 MiB": (answering_hello(HELLO_OF_16_MIB, again=record(HANDSHAKE, bytes(16_000))), FAILED),
    "an alert": (answering_hello(record(ALERT, b"\x02\x28")), FAILED),
    "an alert that closes": (answering_hello(record(ALERT, b"\x01\x00")), "<any>"),
}


@pytest.mark.parametrize("what", NOT_TLS)
async def test_an_answer_that_is_no_handshake(scripted: Serve, what: str) -> None:
    hostile, sentence = NOT_TLS[what]
    error = await meet_hostile(scripted, hostile, server_context("127.0.0.1"))
    assert type(error) is jetsocket.ConnectionError
    check_says(error, f"{error.uri}: {sentence}")
    assert (error.phase, error.retryable) == ("tls", True)
    assert isinstance(error.__cause__, OSError)


async def test_the_server_never_says_anything(scripted: Serve) -> None:
    error = await meet_hostile(scripted, Conversation.ended, server_context("127.0.0.1"), connect_timeout=0.4)
    assert type(error) is jetsocket.TimeoutError
    assert error.phase == "tls"


async def test_the_server_never_reads(scripted: Serve) -> None:
    async def deaf(peer: Conversation) -> None:
        peer.writer.transport.pause_reading()
        await asyncio.get_running_loop().create_future()

    error = await meet_hostile(scripted, deaf, server_context("127.0.0.1"), connect_timeout=0.4)
    assert type(error) is jetsocket.TimeoutError
    assert error.phase == "tls"


async def test_the_server_stalls_when_the_client_is_done(scripted: Serve) -> None:
    """With TLS 1.3 the client need not wait for a word of the server's: the upgrade is what is not answered."""

    async def stall_after_flight(tls: ServerTls) -> None:
        await tls.peer.send(await tls.flight())

    context = server_context("127.0.0.1")
    error = await meet_hostile(scripted, by_hand(context, stall_after_flight), context, connect_timeout=0.4)
    assert type(error) is jetsocket.TimeoutError
    check_says(error, f"{error.uri}: no answer to the upgrade in <time> (TCP <any>); connect_timeout sets the limit")


# A handshake that is done, and nothing behind it.


async def end_properly(tls: ServerTls) -> None:
    """With TLS's own word and TCP's."""
    await tls.handshake()
    await tls.notify_close()
    tls.peer.writer.close()


async def end_without_notice(tls: ServerTls) -> None:
    """TCP alone."""
    await tls.handshake()
    tls.peer.writer.close()


async def notify_and_stay(tls: ServerTls) -> None:
    """TLS's own word alone; the socket stays."""
    await tls.handshake()
    await tls.notify_close()


async def reset(tls: ServerTls) -> None:
    """Cut."""
    await tls.handshake()
    tls.peer.reset()


@pytest.mark.parametrize("end", [end_properly, end_without_notice, notify_and_stay, reset])
@pytest.mark.parametrize("asked", [False, True], ids=["at once", "after the request"])
async def test_tls_ends_in_place_of_an_answer(scripted: Serve, context: ssl.SSLContext, end: Any, asked: bool) -> None:
    async def play(tls: ServerTls) -> None:
        if asked:
            await tls.handshake()
            await tls.read_request()
        await end(tls)

    error = await meet_hostile(scripted, by_hand(context, play), context)
    assert type(error) is jetsocket.HandshakeError
    assert str(error).startswith(f"{error.uri} closed before the upgrade")
    assert (error.phase, error.status_code, error.retryable) == ("upgrade", None, True)
    assert error.elapsed < 5


@pytest.mark.parametrize("notified", [False, True])
async def test_an_open_connection_that_ends_without_tls_saying_so(
    scripted: Serve, context: ssl.SSLContext, notified: bool
) -> None:
    """An attacker may cut a stream where he likes: every message was whole, and the end is told as a loss."""

    async def play(tls: ServerTls) -> None:
        await tls.handshake()
        await tls.read_request()
        await tls.send(tls.peer.acceptance() + text('{"stream":"a"}'))
        if notified:
            await tls.notify_close()
        tls.peer.writer.close()

    good = await scripted(serve_on, ssl=context)
    server = await scripted(by_hand(context, play), relay(good.port))
    async with multiplex(secure(server), ssl_context=trusting()) as mux:
        subscription = await mux.subscribe("a")
        assert await subscription.recv(SOON) == {"stream": "a"}
        assert mux.stats().connection_stats.reconnect_count == 1
