"""A host with several addresses, some of which are slow, dead or refuse: through the public calls, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import jetsocket
from jetsocket import WebSocket
from jetsocket.racing import connect_to_any
from jetsocket.testing import Exchange

from .saying import check_says, failure_of


@pytest.fixture
def unresponsive() -> Iterator[tuple[str, int]]:
    """An address that takes connections for ever: one whose queue of unaccepted ones is full."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        address = full.getsockname()[:2]
        waiting = []
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            waiting.append(sock)
        yield address
        for sock in waiting:
            sock.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """What the resolver answers for any name; uvloop asks it for numeric addresses, too."""
    resolve = asyncio.get_running_loop().getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> list[Any]:
        if host != "exchange.test":
            return await resolve(host, port, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)


async def test_the_next_address_is_tried_when_one_refuses(exchange: Exchange, monkeypatch: pytest.MonkeyPatch):
    resolve_to(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", exchange.port))
    async with WebSocket("ws://exchange.test/stream") as ws:
        assert ws.is_connected


async def test_the_next_address_is_tried_when_one_is_slow(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, unresponsive: tuple[str, int]
):
    resolve_to(monkeypatch, unresponsive, ("127.0.0.1", exchange.port))
    begin = asyncio.get_running_loop().time()
    async with WebSocket("ws://exchange.test/stream", connect_timeout=5) as ws:
        assert ws.is_connected
        assert asyncio.get_running_loop().time() - begin < 2


async def test_all_addresses_refuse(monkeypatch: pytest.MonkeyPatch):
    resolve_to(monkeypatch, ("127.0.0.1", 1), ("127.0.0.2", 1))
    error = await failure_of("ws://exchange.test/")
    check_says(error, "ws://exchange.test/ refused the connection; is the server running?")


async def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch):
    resolve_to(monkeypatch)
    error = await failure_of("ws://exchange.test/")
    check_says(error, "ws://exchange.test/ cannot be reached: no address to connect to")


async def test_a_connection_that_is_never_made(unresponsive: tuple[str, int]):
    host, port = unresponsive
    error = await failure_of(f"ws://{host}:{port}/", connect_timeout=0.3)
    check_says(error, f"ws://{host}:{port}/: no TCP connection in 0.3 s; connect_timeout sets the limit")
    assert isinstance(error, jetsocket.TimeoutError)
    assert (error.phase, error.timeout, error.operation) == ("connect", 0.3, "connect (connect)")


async def test_cancelled_while_connecting(unresponsive: tuple[str, int]):
    host, port = unresponsive
    ws = WebSocket(f"ws://{host}:{port}/")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ws.connect()
    assert ws.state is jetsocket.ConnectionState.DISCONNECTED


async def test_the_slower_of_two_that_answer_leaves_no_socket():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.2", 0)) as two:
        infos = [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", server.getsockname()) for server in (one, two)
        ]
        with await connect_to_any(infos) as sock:
            assert sock.getpeername() == one.getsockname()


async def test_the_families_take_turns():
    """Two dead addresses of one family do not keep the other family's good one waiting for both."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as good:
        dead = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in (1, 2)]
        living = (socket.AF_INET6, socket.SOCK_STREAM, 0, "", good.getsockname())
        with await connect_to_any([*dead, living]) as sock:
            assert sock.family == socket.AF_INET6


async def test_the_first_failure_is_the_one_that_is_told():
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect_to_any(
            [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (("127.0.0.1", 1), ("0.0.0.0", 2))]
        )
    assert "127.0.0.1" in str(caught.value)


async def test_of_several_that_come_in_at_once_one_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jetsocket.racing.STAGGER", 0)
    ended: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.put_nowait(await reader.read())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        infos = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)] * 4
        with await connect_to_any(infos) as kept:
            # The others are closed without a byte, whether they had come in or were on their way.
            kept.send(b"kept")
            kept.shutdown(socket.SHUT_WR)
            while await ended.get() != b"kept":
                pass


async def test_what_is_no_failure_of_an_address_is_raised_as_it_is():
    infos = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", None)] * 2
    with pytest.raises(TypeError):
        await connect_to_any(infos)
