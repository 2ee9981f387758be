"""Answers to the upgrade that never end: given up after so many bytes, with bounded memory, in bounded time.

The client takes 64 KiB of a head, and of a refusal's body what its error keeps, 4 KiB; besides, what one read brings.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import pytest

import jetsocket

from ..conftest import Serve
from ..peers import Conversation, Script
from ..saying import check_says
from .attempts import meet, meet_each, rest_of, serve_on, serve_once

OK = b"HTTP/1.1 200 OK\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\n"
CHUNKED = UNAUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_BIG = "answered with more than 65,536 bytes of headers"
FIRST_BODY = f"answered 401 Unauthorized: {'x' * 199}… (not retried)"

# What is sent first, what is sent again and again, and what the client says of it.
ENDLESS: dict[str, tuple[bytes, bytes, str]] = {
    "headers": (OK, b"X-More: " + b"x" * 4000 + b"\r\n", TOO_BIG),
    "tiny headers": (OK, b"a:b\r\n" * 500, TOO_BIG),
    "a header": (OK + b"X: ", b"x" * 4096, TOO_BIG),
    "a folded header": (OK + b"X: a\r\n", b" " + b"x" * 4000 + b"\r\n", TOO_BIG),
    "a header's name": (OK, b"x" * 4096, TOO_BIG),
    "a reason": (b"HTTP/1.1 200 ", b"x" * 4096, TOO_BIG),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100, TOO_BIG),
    "interim answers without a header": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, TOO_BIG),
    "a body without a length": (UNAUTHORIZED + b"\r\n", b"x" * 4096, FIRST_BODY),
    "a body of a terabyte": (UNAUTHORIZED + b"Content-Length: 1000000000000\r\n\r\n", b"x" * 4096, FIRST_BODY),
    "a chunked body": (CHUNKED, b"5\r\nxxxxx\r\n" * 400, FIRST_BODY),
    "a chunk of a terabyte": (CHUNKED + b"e8d4a51000\r\n", b"x" * 4096, FIRST_BODY),
    "a chunk's extension": (CHUNKED + b"5;", b"x" * 4096, "answered 401 Unauthorized (not retried)"),
    "a chunk's length": (CHUNKED, b"0" * 4096, "answered 401 Unauthorized (not retried)"),
    "a trailer": (CHUNKED + b"0\r\n", b"X-More: " + b"x" * 4000 + b"\r\n", "answered 401 Unauthorized (not retried)"),
}


@contextmanager
def memory_traced() -> Iterator[list[int]]:
    """The list's one item is, afterwards, what the process held at most beyond what it held before."""
    tracemalloc.start()
    peak: list[int] = []
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", ENDLESS)
async def test_an_answer_without_an_end(scripted: Serve, what: str) -> None:
    first, again, sentence = ENDLESS[what]
    sent = 0

    async def endless(peer: Conversation) -> None:
        nonlocal sent
        for data in chain([first], repeat(again)):
            await peer.send(data)
            sent += len(data)

    server = await scripted(serve_once, rest_of(endless), serve_on)
    with memory_traced() as peak:
        error = await meet(server)
    assert type(error) is jetsocket.HandshakeError
    check_says(error, f"{server.uri} {sentence}")
    assert len(error.body) <= 4096
    assert error.elapsed < 5
    # What the kernel had taken by then is in it, too.
    assert sent < 8 * 2**20
    assert peak[0] < 2 * 2**20


def dripping(first: bytes, drop: bytes) -> Script:
    """A little now and then, for ever."""

    async def script(peer: Conversation) -> None:
        await peer.send(first)
        while True:
            await peer.send(drop)
            await asyncio.sleep(0.02)

    return rest_of(script)


DRIPPING = [(OK, b"X: y\r\n"), (OK + b"X: ", b"x"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"", b"")]


async def test_a_head_that_drips_for_ever(scripted: Serve) -> None:
    errors = await meet_each(scripted, lambda i: dripping(*DRIPPING[i]), range(len(DRIPPING)), connect_timeout=0.4)
    for error in errors.values():
        assert type(error) is jetsocket.TimeoutError
        check_says(
            error, f"{error.uri}: no answer to the upgrade in <time> (TCP <any>); connect_timeout sets the limit"
        )
        assert error.elapsed < 5


# The header fields that tell of a body, what comes of it at once, and what then comes now and then.
BODIES = [
    (b"", b"", b"x"),
    (b"Content-Length: 100\r\n", b"", b""),
    (b"Transfer-Encoding: chunked\r\n", b"1\r\ny\r\n", b"1\r\nx\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"ff\r\n", b"x"),
    (b"Transfer-Encoding: chunked\r\n", b"0\r\n", b"X: y\r\n"),
]


@pytest.mark.parametrize("status, final", [("401 Unauthorized", True), ("503 Service Unavailable", False)])
async def test_a_refusal_whose_body_never_ends_is_told_as_what_it_is(scripted: Serve, status: str, final: bool) -> None:
    """The head says it all: running out of time with the body must not make a 401 something to be tried again."""

    def hostile(number: int) -> Script:
        fields, first, drop = BODIES[number]
        head = f"HTTP/1.1 {status}\r\nRetry-After: 0\r\n".encode() + fields + b"\r\n"
        return dripping(head + first, drop)

    errors = await meet_each(scripted, hostile, range(len(BODIES)), connect_timeout=0.4)
    for error in errors.values():
        _check_refusal(error, status, final)
        assert 0.2 < error.elapsed < 5


@pytest.mark.parametrize("end", ["end of stream", "reset"])
@pytest.mark.parametrize("status, final", [("401 Unauthorized", True), ("503 Service Unavailable", False)])
async def test_a_refusal_whose_body_is_cut(scripted: Serve, status: str, final: bool, end: str) -> None:
    async def cut(peer: Conversation) -> None:
        await peer.read_request()
        await peer.send(f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\nhalf".encode())
        # A reset overtakes what is not read yet.
        await asyncio.sleep(0.1)
        if end == "reset":
            peer.reset()

    server = await scripted(serve_once, cut, serve_on)
    error = await meet(server)
    _check_refusal(error, status, final)
    assert error.body == b"half"
    assert isinstance(error.__cause__, ConnectionResetError) == (end == "reset")


def _check_refusal(error: Any, status: str, final: bool) -> None:
    assert type(error) is jetsocket.HandshakeError
    assert f"answered {status}" in str(error)
    assert (error.status_code, error.retryable) == (int(status[:3]), not final)
