"""What bad input gets, word for word, until there is a connection: each case provoked as a user would come upon it."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import jetsocket
from jetsocket import BackoffConfig, Multiplex, WebSocket
from jetsocket.testing import Exchange

from .certificates import self_signed_context, server_context, trusting
from .conftest import Serve
from .peers import AT_ONCE, Conversation, told
from .refusals import answering, hang_up, http, mute
from .saying import check_says, failure_of

NOBODY = "ws://127.0.0.1:1"


# The address.


@pytest.mark.parametrize("make", [WebSocket, lambda uri: Multiplex(uri, channel_key="stream"), jetsocket.connect])
@pytest.mark.parametrize(
    "uri, text",
    [
        ("http://127.0.0.1:8080", "scheme must be ws or wss, got 'http'; did you mean ws://127.0.0.1:8080?"),
        ("127.0.0.1:8080", "'127.0.0.1:8080' has no scheme; did you mean wss://127.0.0.1:8080?"),
        ("", "the address is empty"),
        ("ws://127.0.0.1:99999", "ws://127.0.0.1:99999: port must be 1 to 65535, got 99999"),
        ("ws://127.0.0.1:abc", "ws://127.0.0.1:abc: port must be a number, got 'abc'"),
    ],
)
def test_an_address_that_cannot_be_right(make, uri, text):
    with pytest.raises(jetsocket.InvalidURIError) as caught:
        make(uri)
    assert str(caught.value) == text
    assert caught.value.uri == uri
    assert isinstance(caught.value, ValueError)


# Before there is a connection.


async def test_an_unknown_host():
    error = await failure_of("ws://no-such-host.invalid/feed")
    check_says(error, "cannot resolve 'no-such-host.invalid' (<any>)")
    assert (error.phase, error.uri) == ("resolve", "ws://no-such-host.invalid/feed")


async def test_an_unknown_host_that_is_tried_again():
    ws = WebSocket("ws://no-such-host.invalid", backoff=BackoffConfig(base=0.5, jitter=False))
    failures = told(ws, "error")
    connecting = asyncio.create_task(ws.connect(timeout=10))
    error = await failures.get()
    check_says(error, "cannot resolve 'no-such-host.invalid' (<any>), attempt 1, next in 0.5 s")
    assert (error.phase, error.attempt, error.retry_in) == ("resolve", 1, 0.5)
    await ws.close()
    with pytest.raises(jetsocket.InvalidStateError):
        await connecting


async def test_an_unknown_host_at_the_last_attempt():
    ws = WebSocket("ws://no-such-host.invalid", backoff=BackoffConfig(base=0.0, max_attempts=2))
    with pytest.raises(jetsocket.ConnectionError) as caught:
        await ws.connect(timeout=10)
    check_says(caught.value, "cannot resolve 'no-such-host.invalid' (<any>), attempt 2, the last")
    assert (caught.value.attempt, caught.value.retry_in) == (2, None)


async def test_a_refused_port():
    error = await failure_of(NOBODY)
    check_says(error, "ws://127.0.0.1:1 refused the connection; is the server running?")
    assert isinstance(error, OSError)
    assert (error.phase, error.hint) == ("connect", "is the server running?")
    assert 0 <= error.elapsed < 5


# The upgrade.


async def test_401_with_a_json_body(exchange: Exchange):
    body = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
    exchange.refuse_handshakes(401, {"Content-Type": "application/json"}, body)
    error = await failure_of(exchange.uri)
    assert isinstance(error, jetsocket.HandshakeError)
    check_says(error, f"{exchange.uri} answered 401 Unauthorized: {body} (not retried)")
    assert (error.status_code, error.body, error.retryable) == (401, body.encode(), False)
    assert ("Content-Type", "application/json") in [(name.title(), value) for name, value in error.headers]


@pytest.mark.parametrize("status, reason", [(429, "Too Many Requests"), (503, "Service Unavailable")])
async def test_retry_after(exchange: Exchange, status, reason):
    exchange.refuse_handshakes(status, {"Retry-After": "7"}, "slow down")
    once = await failure_of(exchange.uri)
    check_says(once, f"{exchange.uri} answered {status} {reason}: slow down; it asks to wait 7 s")
    assert once.retry_after == 7.0
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    failures = told(ws, "error")
    connecting = asyncio.create_task(ws.connect(timeout=60))
    error = await failures.get()
    check_says(error, f"{once}, attempt 1, next in 7.0 s")
    assert (error.retry_after, error.retry_in) == (7.0, 7.0)
    await ws.close()
    with pytest.raises(jetsocket.InvalidStateError):
        await connecting


async def test_retry_after_is_waited_for(exchange: Exchange):
    exchange.refuse_handshakes(429, {"Retry-After": "1"}, times=1)
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    begin = time.monotonic()
    await ws.connect(timeout=10)
    assert time.monotonic() - begin >= 1.0
    await ws.close()


async def test_a_web_page(scripted: Serve):
    page = http("200 OK", b"<!doctype html><title>Hello</title>", Content_Type="text/html; charset=utf-8")
    server = await scripted(answering(page))
    error = await failure_of(f"{server.uri}ws")
    text = "answered 200 with text/html: a web page, not a WebSocket endpoint; check the path"
    check_says(error, f"{server.uri}ws {text}")
    assert (error.status_code, error.hint) == (200, "check the path")


async def test_closed_during_the_upgrade(scripted: Serve):
    server = await scripted(hang_up)
    error = await failure_of(server.uri)
    assert isinstance(error, jetsocket.HandshakeError)
    check_says(error, f"{server.uri} closed before the upgrade; try wss://127.0.0.1:{server.port}/")


async def test_ws_to_a_tls_port(scripted: Serve):
    server = await scripted(mute, ssl=server_context("127.0.0.1"))
    uri = f"ws://127.0.0.1:{server.port}/"
    error = await failure_of(uri)
    assert isinstance(error, jetsocket.HandshakeError)
    # OpenSSL hangs up on what is no TLS, with or without an alert.
    assert re.match(f"{re.escape(uri)} (closed before the upgrade|answered with TLS)", str(error)), str(error)
    assert str(error).endswith(f"; try {server.uri}")


async def test_wss_to_a_mute_port(scripted: Serve):
    server = await scripted(mute)
    uri = f"wss://127.0.0.1:{server.port}/"
    error = await failure_of(uri, connect_timeout=0.3)
    check_says(error, f"{uri}: TLS handshake not finished in 0.3 s (TCP connected in <time>); a plain ws:// port?")
    assert isinstance(error, TimeoutError)
    assert (error.phase, error.timeout) == ("tls", 0.3)


async def test_wss_to_a_plain_port(scripted: Serve):
    async def refuse(peer: Conversation) -> None:
        await peer.reader.read(100)
        await peer.send(http("400 Bad Request"))
        await peer.ended()

    server = await scripted(refuse)
    uri = f"wss://127.0.0.1:{server.port}/"
    error = await failure_of(uri)
    check_says(error, f"{uri}: the server does not speak TLS here; try {server.uri}")
    assert error.phase == "tls"


async def test_an_upgrade_that_is_never_answered(scripted: Serve):
    server = await scripted(mute)
    error = await failure_of(server.uri, connect_timeout=0.3)
    text = "no answer to the upgrade in 0.3 s (TCP connected in <time>); connect_timeout sets the limit"
    check_says(error, f"{server.uri}: {text}")
    assert isinstance(error, TimeoutError)
    assert error.phase == "upgrade"
    assert 0.25 <= error.elapsed < 3


# Certificates.


def dates(begin: int, end: int) -> str:
    now = datetime.now(UTC)
    return " to ".join(f"{now + timedelta(days=days):%Y-%m-%d}" for days in (begin, end))


async def test_a_self_signed_certificate(tmp_path: Path, scripted: Serve):
    server = await scripted(mute, ssl=self_signed_context("exchange.test", tmp_path))
    error = await failure_of(server.uri)
    check_says(
        error,
        f"{server.uri}: the certificate does not verify for '127.0.0.1': self-signed certificate; "
        "it is of 'CN=exchange.test', issued by 'CN=exchange.test', for exchange.test, 127.0.0.1, "
        f"valid {dates(-1, 30)}; "
        "to trust it, pass ssl_context=ssl.create_default_context(cafile=…) or set SSL_CERT_FILE",
    )
    assert isinstance(error, jetsocket.CertificateError)
    assert (error.phase, error.retryable) == ("tls", False)


async def test_a_certificate_for_another_host(scripted: Serve):
    server = await scripted(mute, ssl=server_context("exchange.test", "www.exchange.test"))
    error = await failure_of(server.uri, ssl_context=trusting())
    check_says(
        error,
        f"{server.uri}: the certificate does not verify for '127.0.0.1': <any>; "
        "it is of '<any>CN=exchange.test', issued by '<any>', for exchange.test, www.exchange.test, "
        f"valid {dates(-1, 30)}; connect by a name that the certificate is for",
    )
    assert isinstance(error, jetsocket.CertificateError)


async def test_an_expired_certificate(scripted: Serve):
    server = await scripted(mute, ssl=server_context("127.0.0.1", days=(-30, -2)))
    error = await failure_of(server.uri, ssl_context=trusting())
    check_says(
        error,
        f"{server.uri}: the certificate does not verify for '127.0.0.1': certificate has expired; "
        f"it is of '<any>', issued by '<any>', for 127.0.0.1, valid {dates(-30, -2)}; "
        "it expired 2 d ago: the server must renew it",
    )
    assert isinstance(error, jetsocket.CertificateError)


# Arguments.

MAKERS = {
    "WebSocket": lambda **options: WebSocket(NOBODY, **options),
    "Multiplex": lambda **options: Multiplex(NOBODY, channel_key="stream", **options),
    "connect": lambda **options: jetsocket.connect(NOBODY, **options),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_unknown_keyword(name):
    with pytest.raises(TypeError) as caught:
        MAKERS[name](heartbeet=20)
    check_says(caught.value, f"{name}() has no option 'heartbeet'; did you mean 'heartbeat'?")


def test_an_unknown_keyword_in_manager_kwargs():
    with pytest.raises(TypeError) as caught:
        Multiplex(NOBODY, channel_key="stream", manager_kwargs={"heartbeet": 20})
    check_says(caught.value, "Multiplex() has no option 'heartbeet'; did you mean 'heartbeat'?")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    "options, kind, text",
    [
        ({"heartbeat": "20"}, TypeError, "heartbeat must be seconds or None, got str '20'"),
        ({"extra_headers": {"X-Key": 7}}, TypeError, "header 'X-Key' must be a str, got int"),
        (
            {"extra_headers": {"X-Key": "a\r\nX-Injected: b"}},
            ValueError,
            r"header 'X-Key' must not contain '\r' (at position 1)",
        ),
    ],
    ids=["interval", "header of int", "header with CR LF"],
)
def test_a_value_that_cannot_be_right(make, options, kind, text):
    with pytest.raises(kind) as caught:
        make(**options)
    check_says(caught.value, text)
