"""Redirects: where they are followed to, how often, with what, and what is said of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import jetsocket

from ..certificates import AUTHORITY, server_context
from ..conftest import Serve
from ..peers import Conversation
from ..refusals import http
from ..saying import check_says, failure_of
from .attempts import meet, sending, serve_on, serve_once
from .redirecting import REASONS, noting, receives, to


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A redirect from ws:// is followed with the default context."""
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


# Which ones.


@pytest.mark.parametrize("status", REASONS)
@pytest.mark.parametrize("here, there", [("ws", "ws"), ("ws", "wss"), ("wss", "wss"), ("wss", "ws")])
async def test_a_redirect_is_followed_unless_it_leads_out_of_tls(
    scripted: Serve, status: int, here: str, there: str
) -> None:
    contexts = {"ws": None, "wss": server_context("127.0.0.1")}
    requests: list[bytes] = []
    target = await scripted(noting(requests), ssl=contexts[there])
    server = await scripted(to(target.uri, status), ssl=contexts[here])
    if (here, there) != ("wss", "ws"):
        await receives(server.uri)
        assert len(requests) == 1
        return
    error = await failure_of(server.uri)
    assert type(error) is jetsocket.HandshakeError
    check_says(error, f"{server.uri} redirects to {target.uri}, which is not encrypted: not followed")
    assert (error.status_code, error.retryable, error.phase) == (status, False, "upgrade")
    assert ("Location", target.uri) in error.headers
    assert error.elapsed is not None
    assert target.accepted == 0


async def test_a_way_through_tls_does_not_end_outside_of_it(scripted: Serve) -> None:
    """ws to wss to ws: what was encrypted once stays so."""
    plain = await scripted(noting([]))
    secure = await scripted(to(plain.uri), ssl=server_context("127.0.0.1"))
    server = await scripted(to(secure.uri))
    error = await failure_of(server.uri)
    check_says(error, f"{secure.uri} redirects to {plain.uri}, which is not encrypted: not followed")
    assert plain.accepted == 0


@pytest.mark.parametrize("status", [300, 304, 305, 306, 309])
async def test_other_statuses_of_three_hundred_are_refusals(scripted: Serve, status: int) -> None:
    target = await scripted(noting([]))
    server = await scripted(serve_once, sending(http(f"{status} Odd", Location=target.uri)), serve_on)
    error = await meet(server)
    assert type(error) is jetsocket.HandshakeError
    check_says(error, f"{server.uri} answered {status} Odd")
    assert (error.status_code, target.accepted) == (status, 0)


# Where to.


@pytest.mark.parametrize(
    "location, path",
    [
        ("/x", "/x"),
        ("x", "/a/x"),
        ("./x", "/a/x"),
        ("../x", "/x"),
        ("../../../x", "/x"),
        ("?x=1", "/a/b?x=1"),
        ("#part", "/a/b?q"),
        ("/x#part", "/x"),
        ("ws://{host}/x", "/x"),
        ("WS://{host}/x", "/x"),
        ("http://{host}/x", "/x"),
        ("HTTP://{host}/x", "/x"),
        ("//{host}/x", "/x"),
        ("/\N{LATIN SMALL LETTER E WITH ACUTE}", "/%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/%0d%0aX-Injected:%20y", "/%0d%0aX-Injected:%20y"),
        (r"/\x", "/%5Cx"),
        ('/<"x">', "/%3C%22x%22%3E"),
    ],
)
async def test_where_a_location_leads(scripted: Serve, location: str, path: str) -> None:
    requests: list[bytes] = []

    async def redirect(peer: Conversation) -> None:
        await to(location.format(host=f"127.0.0.1:{server.port}"))(peer)

    server = await scripted(redirect, noting(requests))
    await receives(f"{server.uri}a/b?q")
    assert requests[0].split(b"\r\n")[0] == f"GET {path} HTTP/1.1".encode()
    assert b"\r\nX-Injected" not in requests[0]


BAD_LOCATIONS = {
    "another scheme": ("ftp://127.0.0.1/", "scheme must be ws or wss, got 'ftp'"),
    "a script": ("javascript:alert(1)", "'javascript:alert(1)' has no scheme"),
    "data": ("data:,x", "'data:,x' has no scheme"),
    "a file": ("file:///etc/passwd", "scheme must be ws or wss, got 'file'"),
    "no slashes": ("ws:x", "ws:x: no '//' after the scheme"),
    "a blank": ("/a b", "<any>: ' ' cannot stand in an address<any>"),
    "an open bracket": ("http://[::1", "http://[::1: <any>"),
    "a bracket of letters": ("http://[x]/", "http://[x]/: <any>"),
    "a great port": ("http://127.0.0.1:99999/", "ws://127.0.0.1:99999/: port must be 1 to 65535, got 99999"),
    "a port of letters": ("http://127.0.0.1:x/", "ws://127.0.0.1:x/: port must be a number, got 'x'"),
    "two ports": ("http://127.0.0.1:80:80/", "<any>"),
    "an odd host": ("http://a%0d%0ab/", "ws://a%0d%0ab/: 'a%0d%0ab' is not a valid host name"),
    "a host that is not ASCII": ("http://\N{CARE OF}/", "ws://%E2%84%85/: '%E2%84%85' is not a valid host name"),
    "an empty label": ("http://a..b/", "ws://a..b/: a host name has 1 to 63 characters <any>"),
    "a password and a bad port": ("http://user:secret@127.0.0.1:x/", "ws://127.0.0.1:x/: port must be a number<any>"),
    "a long one": ("http://h:x/" + "y" * 30_000, "ws://h:x/yyyyyyyy<any>"),
}


@pytest.mark.parametrize("what", BAD_LOCATIONS)
async def test_a_location_that_leads_nowhere(scripted: Serve, what: str) -> None:
    location, problem = BAD_LOCATIONS[what]
    server = await scripted(serve_once, to(location), serve_on)
    error = await meet(server)
    assert type(error) is jetsocket.HandshakeError
    check_says(error, f"{server.uri} redirects to an address that cannot be used: {problem}")
    assert (error.status_code, error.retryable) == (302, True)
    assert isinstance(error.__cause__, jetsocket.InvalidURIError)
    assert "secret" not in f"{error} {error.__cause__} {error.hint}"


@pytest.mark.parametrize("location", [b"/a\rb", b"/a\nb", b"/a\0b"], ids=["CR", "LF", "NUL"])
async def test_a_location_with_a_control_character(scripted: Serve, location: bytes) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    server = await scripted(serve_once, sending(answer), serve_on)
    check_says(
        await meet(server), f"{server.uri} did not answer with HTTP (illegal header line: <any>); it began <any>"
    )


async def test_a_header_behind_a_location_stays_a_header(scripted: Serve) -> None:
    requests: list[bytes] = []
    target = await scripted(noting(requests))
    server = await scripted(to(f"{target.uri}x\r\nX-Injected: y"))
    await receives(server.uri)
    assert requests[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"X-Injected" not in requests[0]


@pytest.mark.parametrize("fields", [{}, {"Location": ""}, {"Location": "  "}], ids=["missing", "empty", "blank"])
async def test_a_redirect_without_a_location(scripted: Serve, fields: dict[str, str]) -> None:
    server = await scripted(serve_once, sending(http("302 Found", b"over there", **fields)), serve_on)
    error = await meet(server)
    check_says(error, f"{server.uri} answered 302 Found: over there")
    assert (error.status_code, error.retryable) == (302, True)


# How often.


async def test_five_redirects_are_followed(scripted: Serve) -> None:
    server = await scripted(*(to(f"/{number}") for number in range(5)), noting([]))
    await receives(server.uri)
    assert server.accepted == 6


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_the_sixth_redirect_is_not(scripted: Serve, secure: bool) -> None:
    context = server_context("127.0.0.1") if secure else None
    server = await scripted(*(to(f"/{number}", 307) for number in range(6)), noting([]), ssl=context)
    error = await failure_of(server.uri)
    assert type(error) is jetsocket.HandshakeError
    check_says(error, f"{server.uri} redirects more than 5 times, last to {server.uri}5")
    assert (error.status_code, error.retryable, server.accepted) == (307, False, 6)
    assert 0 <= error.elapsed < 5


async def test_a_loop_of_two_servers_has_an_end(scripted: Serve) -> None:
    async def back(peer: Conversation) -> None:
        await to(one.uri)(peer)

    two = await scripted(back)
    one = await scripted(to(two.uri))
    error = await failure_of(one.uri)
    check_says(error, f"{one.uri} redirects more than 5 times, last to {one.uri}")
    assert (one.accepted, two.accepted) == (3, 3)


async def test_a_multiplex_that_meets_a_loop_is_up_again_when_the_user_says_so(scripted: Serve) -> None:
    server = await scripted(serve_once, *[to("/again")] * 6, serve_on)
    error = await meet(server)
    check_says(error, f"{server.uri} redirects more than 5 times, last to {server.uri}again")
    assert not error.retryable


async def test_the_time_is_limited_for_all_of_them_together(scripted: Serve) -> None:
    async def slowly(peer: Conversation) -> None:
        await asyncio.sleep(0.4)
        await to("/again")(peer)

    server = await scripted(serve_once, *[slowly] * 3, serve_on)
    error = await meet(server, connect_timeout=1.0)
    assert type(error) is jetsocket.TimeoutError
    assert error.uri == f"{server.uri}again"
    assert error.timeout == 1.0


async def test_the_body_of_a_redirect_is_not_waited_for(scripted: Serve) -> None:
    async def endless(peer: Conversation) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")
        while True:
            await peer.send(b"x" * 65536)

    server = await scripted(endless, noting([]))
    await receives(server.uri)


async def test_a_reconnect_begins_at_the_first_address_again(scripted: Serve) -> None:
    target = await scripted(serve_once, serve_on)
    server = await scripted(to(target.uri), sending(http("503 Busy")), to(target.uri))
    check_says(await meet(server), f"{server.uri} answered 503 Busy")
    assert (server.accepted, target.accepted) == (3, 2)


async def test_a_target_that_refuses_is_the_one_that_is_named(scripted: Serve) -> None:
    target = await scripted(sending(http("401 Unauthorized", b"no")))
    server = await scripted(to(target.uri))
    error = await failure_of(server.uri)
    check_says(error, f"{target.uri} answered 401 Unauthorized: no (not retried)")
    assert error.uri == target.uri
