"""From an address to an open connection, through the public calls, against real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetsocket import WebSocket
from jetsocket.dial import dial
from jetsocket.hot import MessageRing
from jetsocket.options import Options
from jetsocket.protocol.uri import parse_uri
from jetsocket.testing import Exchange

from .certificates import server_context, trusting
from .conftest import Serve
from .peers import Conversation
from .proxies import connect_proxy
from .refusals import answering, http
from .saying import check_says, failure_of


async def phases_of(uri: str, **options: Any) -> dict[str, float]:
    """What `dial` reports."""
    reported: dict[str, float] = {}
    link = await dial(parse_uri(uri), Options(**options), MessageRing(), lambda: 0, reported.__setitem__)
    await link.close(1000, "", 5)
    return reported


async def test_each_phase_is_reported_with_its_time(exchange: Exchange):
    begin = asyncio.get_running_loop().time()
    reported = await phases_of(exchange.uri)
    assert list(reported) == ["resolve", "connect", "upgrade"]
    assert all(seconds >= 0 for seconds in reported.values())
    assert sum(reported.values()) <= asyncio.get_running_loop().time() - begin + 0.01


async def test_tls_is_a_phase():
    async with Exchange(paused=True, ssl=server_context("127.0.0.1")) as exchange:
        reported = await phases_of(exchange.uri, ssl_context=trusting())
    assert list(reported) == ["resolve", "connect", "tls", "upgrade"]


async def test_the_proxy_is_a_phase(exchange: Exchange, scripted: Serve):
    server = await scripted(connect_proxy([]))
    reported = await phases_of(exchange.uri, proxy=f"http://127.0.0.1:{server.port}")
    assert list(reported) == ["resolve", "proxy", "upgrade"]


# Resolving and connecting.


async def test_an_ipv6_address():
    async with Exchange(paused=True, host="::1") as exchange, WebSocket(exchange.uri) as ws:
        assert exchange.uri.startswith("ws://[::1]:")
        assert ws.is_connected


async def test_a_name_that_is_never_resolved(monkeypatch: pytest.MonkeyPatch):
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def getaddrinfo(*_: object, **__: object) -> None:
        await never

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    error = await failure_of("ws://exchange.test/", connect_timeout=0.2)
    check_says(error, "'exchange.test' was not resolved in 0.2 s; connect_timeout sets the limit")
    assert error.phase == "resolve"


# The upgrade.


async def test_what_the_request_says(scripted: Serve):
    requests: list[bytes] = []

    async def script(peer: Conversation) -> None:
        requests.append(await peer.read_request())
        await peer.send(peer.acceptance())
        await peer.answer_close()

    server = await scripted(script)
    uri = f"ws://user:pa%20ss@127.0.0.1:{server.port}/feed?x=1"
    async with WebSocket(uri, extra_headers={"User-Agent": "mine", "X-Key": "1"}) as ws:
        assert ws.uri == f"ws://127.0.0.1:{server.port}/feed?x=1"
        assert "pa%20ss" not in repr(ws)
    line, *fields = requests[0].decode().rstrip("\r\n").split("\r\n")
    assert line == "GET /feed?x=1 HTTP/1.1"
    headers = dict(field.split(": ", 1) for field in fields)
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert headers["Authorization"] == "Basic dXNlcjpwYSBzcw=="
    assert (headers["User-Agent"], headers["X-Key"]) == ("mine", "1")
    assert headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("location", ["/stream", "http://127.0.0.1:{port}/stream", "ws://127.0.0.1:{port}/stream"])
async def test_a_redirect_is_followed(exchange: Exchange, scripted: Serve, location: str):
    # The exchange itself serves /stream; a relative Location stays on the redirecting server.
    async def script(peer: Conversation) -> None:
        await peer.read_request()
        if peer.request.startswith(b"GET /stream "):
            await peer.send(peer.acceptance())
            await peer.answer_close()
        else:
            await peer.send(http("307 Temporary Redirect", Location=location.format(port=exchange.port)))

    server = await scripted(script)
    async with WebSocket(f"{server.uri}old") as ws:
        assert ws.is_connected
    assert exchange.account().accepted == (0 if location == "/stream" else 1)


async def test_redirects_have_an_end(scripted: Serve):
    server = await scripted(answering(http("302 Found", Location="/again")))
    error = await failure_of(server.uri)
    check_says(error, f"{server.uri} redirects more than 5 times, last to {server.uri}again")
    assert server.accepted == 6
    assert not error.retryable


async def test_credentials_do_not_follow_to_another_server(scripted: Serve):
    seen: list[str | None] = []

    async def other(peer: Conversation) -> None:
        await peer.accept()
        seen.append(peer.header("Authorization"))
        await peer.answer_close()

    target = await scripted(other)
    server = await scripted(answering(http("301 Moved Permanently", Location=target.uri)))
    async with WebSocket(f"ws://user:secret@127.0.0.1:{server.port}/"):
        pass
    assert seen == [None]


async def test_no_redirect_leads_out_of_tls(exchange: Exchange, scripted: Serve):
    server = await scripted(
        answering(http("301 Moved Permanently", Location=exchange.uri)), ssl=server_context("127.0.0.1")
    )
    error = await failure_of(server.uri, ssl_context=trusting())
    check_says(error, f"{server.uri} redirects to {exchange.uri}, which is not encrypted: not followed")
    assert not error.retryable
    assert exchange.account().accepted == 0
