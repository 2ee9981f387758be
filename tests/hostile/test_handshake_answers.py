"""Answers to the upgrade that are not as they must be, one row each: what is sent, and what the user is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

import jetsocket
from jetsocket import WebSocket

from ..conftest import Serve
from ..peers import Conversation, text
from ..saying import check_says
from .attempts import SOON, meet, rest_of, serve_on, serve_once

Change = Callable[[bytes], bytes]
STATUS = b"HTTP/1.1 101 Switching Protocols\r\n"
EXTENSIONS = "Sec-WebSocket-Extensions: permessage-deflate"
NOT_HTTP = "did not answer with HTTP (<any>); it began with b'HTTP/1.<any>'"
MISMATCH = "answered 101, but its Sec-WebSocket-Accept does not match: not a WebSocket server, or a cache's answer"
TOO_BIG = "answered with more than 65,536 bytes of headers"


class Row(NamedTuple):
    """`change` makes the answer out of a good one; `sentence` follows the address, None: it is accepted."""

    name: str
    change: Change
    sentence: str | None
    options: Mapping[str, Any] = MappingProxyType({})


def line(*lines: str | bytes) -> Change:
    """With these header lines besides."""
    added = b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines)
    return lambda answer: answer[:-2] + added + b"\r\n"


def status(first: bytes) -> Change:
    """With this status line."""
    return lambda answer: answer.replace(STATUS, first + b"\r\n")


def swap(old: bytes, new: bytes) -> Change:
    """With this in place of that."""

    def change(answer: bytes) -> bytes:
        assert old in answer
        return answer.replace(old, new)

    return change


def instead(answer: bytes) -> Change:
    """These bytes, and nothing of a good answer."""
    return lambda _: answer


def twice(name: bytes) -> Change:
    """With the header of that name a second time."""

    def change(answer: bytes) -> bytes:
        found = next(field for field in answer.split(b"\r\n") if field.startswith(name))
        return line(found)(answer)

    return change


HEADER_SECTION = [
    Row("ten thousand headers", line(*["X-Some-Header: x"] * 10_000), TOO_BIG),
    Row("ten thousand tiny headers", line(*["a:b"] * 10_000), "answered with more than 256 headers"),
    Row("one header of 70,000 bytes", line("X: " + "x" * 70_000), TOO_BIG),
    Row("a folded header", line("X: a", " b", "\tc"), None),  # RFC 9112 5.2: to be read as one line
    Row("a folded first line", swap(STATUS, STATUS + b" folded\r\n"), NOT_HTTP),
    Row("NUL in a value", line(b"X: a\0b"), NOT_HTTP),
    Row("NUL in a name", line(b"X\0: a"), NOT_HTTP),
    Row("a bare CR in a value", line(b"X: a\rb"), NOT_HTTP),
    Row("a bare LF in a value", line(b"X: a\nb"), NOT_HTTP),
    Row("a bare LF that begins a header", line(b"X: a\nY: b"), None),  # RFC 9112 2.2: may be taken for a line end
    Row("bare LF as line ends", swap(b"\r\n", b"\n"), None),
    Row("UTF-8 in a value", line("X: é"), None),
    Row("latin-1 in a value", line(b"X: \xe9"), None),
    Row("not ASCII in a name", line(b"\xe9: a"), NOT_HTTP),
    Row("no colon", line("X"), NOT_HTTP),
    Row("no name", line(": a"), NOT_HTTP),
    Row("a blank before the colon", line("X : a"), NOT_HTTP),
    Row("a blank in a name", line("X Y: a"), NOT_HTTP),
]

STATUS_LINES = [
    Row("no reason", status(b"HTTP/1.1 101 "), None),
    Row("no reason and no blank", status(b"HTTP/1.1 101"), None),
    Row("another reason", status(b"HTTP/1.1 101 Welcome"), None),
    Row("latin-1 in the reason", status(b"HTTP/1.1 101 \xe9"), None),
    Row("HTTP/1.0", status(b"HTTP/1.0 101 Switching"), "answered 101, but with HTTP/1.0, which has no upgrade"),
    Row("HTTP/1.10", status(b"HTTP/1.10 101 Switching"), NOT_HTTP),
    Row("HTTP/2.0", status(b"HTTP/2.0 101 Switching"), "did not answer with HTTP; it began with b'HTTP/2.0 <any>'"),
    Row("http in lower case", status(b"http/1.1 101 x"), "did not answer with HTTP; it began with b'http/1.1 <any>'"),
    Row("no status", status(b"HTTP/1.1"), NOT_HTTP),
    Row("a status of two digits", status(b"HTTP/1.1 10 x"), NOT_HTTP),
    Row("a status of four digits", status(b"HTTP/1.1 1010 x"), NOT_HTTP),
    Row("a negative status", status(b"HTTP/1.1 -101 x"), NOT_HTTP),
    Row("status 000", status(b"HTTP/1.1 000 x"), NOT_HTTP),
    Row("status 099", status(b"HTTP/1.1 099 x"), NOT_HTTP),
    Row("two blanks", status(b"HTTP/1.1  101 x"), NOT_HTTP),
    Row("a tab", status(b"HTTP/1.1\t101 x"), NOT_HTTP),
    Row("NUL in the reason", status(b"HTTP/1.1 101 a\0"), NOT_HTTP),
    Row("an empty line first", status(b"\r\n" + STATUS[:-2]), "did not answer with HTTP; it began with <any>"),
    Row("HTTP/0.9", instead(b"<html>hello</html>"), "did not answer with HTTP; it began with b'<html>hello</html>'"),
    Row("HTTP/2's preface", instead(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "did not answer with HTTP; it began <any>"),
    Row("HTTP/2 settings", instead(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])), "did not answer with HTTP; it began <any>"),
    Row("a frame and no answer", instead(text("hello")), "did not answer with HTTP; it began with b'\\x81\\x05hello'"),
    Row("interim answers first", lambda answer: b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3 + answer, None),
]

# No 101 has a body: what stands behind its head are frames, whatever a length says (RFC 9110 8.6, 15.2).
LENGTHS = [
    Row("Content-Length 0 with 101", line("Content-Length: 0"), None),
    Row("Content-Length 5 with 101", line("Content-Length: 5"), None),
    Row("chunked with 101", line("Transfer-Encoding: chunked"), None),
    Row("both with 101", line("Transfer-Encoding: chunked", "Content-Length: 5"), None),
    Row("two lengths with 101", line("Content-Length: 5", "Content-Length: 6"), NOT_HTTP),
    Row("a length that is none", line("Content-Length: x"), NOT_HTTP),
    Row("a negative length", line("Content-Length: -1"), NOT_HTTP),
    Row("gzip as transfer encoding", line("Transfer-Encoding: gzip"), NOT_HTTP),
]

UPGRADE = [
    Row("no Upgrade", swap(b"Upgrade: websocket\r\n", b""), "answered 101, but without 'Upgrade: websocket'"),
    Row("Upgrade: h2c", swap(b"Upgrade: websocket", b"Upgrade: h2c"), "answered 101, but without 'Upgrade: websocket'"),
    Row("no Connection", swap(b"Connection: Upgrade\r\n", b""), "answered 101, but without 'Connection: Upgrade'"),
    Row(
        "Connection: close",
        swap(b"Connection: Upgrade", b"Connection: close"),
        "answered 101, but without 'Connection: Upgrade'",
    ),
    Row(
        "no Accept",
        swap(b"Sec-WebSocket-Accept", b"X"),
        "answered 101, but without Sec-WebSocket-Accept: not a WebSocket server",
    ),
    Row("a wrong Accept", swap(b"Accept: ", b"Accept: x"), MISMATCH),
    Row("an empty Accept", lambda answer: answer.partition(b"Accept: ")[0] + b"Accept:\r\n\r\n", MISMATCH),
    Row("the Accept in other case", lambda answer: STATUS + answer.removeprefix(STATUS).swapcase(), MISMATCH),
    Row("the same Accept twice", twice(b"Sec-WebSocket-Accept"), MISMATCH),
    Row("two different Accepts", line("Sec-WebSocket-Accept: x"), MISMATCH),
    Row("names and tokens in other case", swap(b"Upgrade: websocket", b"uPGRADE: WebSocket"), None),
    Row("several Connections", line("Connection: keep-alive"), None),
]

NEGOTIATED = [
    Row(
        "an extension that was not offered",
        line("Sec-WebSocket-Extensions: x-webkit-deflate-frame"),
        "answered 101, but with the extension 'x-webkit-deflate-frame', which was not offered",
    ),
    Row(
        "compression that was not offered",
        line(EXTENSIONS),
        "answered 101, but with the extension 'permessage-deflate', which was not offered",
        {"compress": False},
    ),
    Row("compression twice", line(EXTENSIONS, EXTENSIONS), "answered 101, but with permessage-deflate twice"),
    Row("compression and another", line(f"{EXTENSIONS}, x"), "answered 101, but with the extension 'x', <any>"),
    Row("an unknown parameter", line(f"{EXTENSIONS}; x"), "answered 101, but permessage-deflate has no parameter 'x'"),
    Row(
        "a parameter twice",
        line(f"{EXTENSIONS}; server_no_context_takeover; server_no_context_takeover"),
        "answered 101, but permessage-deflate <any>",
    ),
    *(
        Row(
            f"bits {value!r}", line(f"{EXTENSIONS}; server_max_window_bits{value}"), "answered 101, but permessage<any>"
        )
        for value in ("", "=7", "=16", "=010", "=x", "=-9", "=1000000000000")
    ),
    Row("malformed extensions", line(f"{EXTENSIONS}; ="), "answered 101, but malformed extensions <any>"),
    Row("an unclosed quote", line(f'{EXTENSIONS}; x="'), "answered 101, but malformed extensions <any>"),
    Row(
        "endless extensions",
        line("Sec-WebSocket-Extensions: " + "," * 5000),
        "answered 101, but extensions of 5000 characters, more than 4096",
    ),
    Row("no extension at all", line("Sec-WebSocket-Extensions: ,"), None),
    Row(
        "a subprotocol where none was offered",
        line("Sec-WebSocket-Protocol: a"),
        "answered 101, but with the subprotocol 'a'; offered: none",
    ),
    Row(
        "a subprotocol that was not offered",
        line("Sec-WebSocket-Protocol: c"),
        "answered 101, but with the subprotocol 'c'; offered: a, b",
        {"subprotocols": ["a", "b"]},
    ),
    Row(
        "a subprotocol in other case",
        line("Sec-WebSocket-Protocol: A"),
        "answered 101, but with the subprotocol 'A'; offered: a, b",
        {"subprotocols": ["a", "b"]},
    ),
    Row(
        "two subprotocols in a header",
        line("Sec-WebSocket-Protocol: a, b"),
        "answered 101, but with the subprotocol 'a, b'; offered: a, b",
        {"subprotocols": ["a", "b"]},
    ),
    Row(
        "the same subprotocol twice",
        line("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"),
        "answered 101, but with the subprotocol 'a, a'; offered: a, b",
        {"subprotocols": ["a", "b"]},
    ),
]

ROWS = [*HEADER_SECTION, *STATUS_LINES, *LENGTHS, *UPGRADE, *NEGOTIATED]
REFUSED = [row for row in ROWS if row.sentence is not None]
ACCEPTED = [row for row in ROWS if row.sentence is None]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
async def test_an_answer_that_is_refused(scripted: Serve, row: Row) -> None:
    async def hostile(peer: Conversation) -> None:
        await peer.send(row.change(peer.acceptance()))

    # The subprotocol is only there to be answered wrongly: no row needs one to be chosen.
    server = await scripted(serve_once, rest_of(hostile), serve_on)
    error = await meet(server, **row.options)
    assert type(error) is jetsocket.HandshakeError
    check_says(error, f"{server.uri} {row.sentence}")
    assert (error.phase, error.retryable, error.hint) == ("upgrade", True, None)
    assert error.status_code == (101 if "answered 101, but" in str(error) else None)
    assert server.accepted == 3


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
async def test_an_answer_that_is_odd_and_accepted(scripted: Serve, row: Row) -> None:
    async def odd(peer: Conversation) -> None:
        await peer.read_request()
        await peer.send(row.change(peer.acceptance()) + text("1"))
        await peer.answer_close()

    server = await scripted(odd)
    async with WebSocket(server.uri, **row.options) as ws:
        assert await ws.recv(SOON) == 1
