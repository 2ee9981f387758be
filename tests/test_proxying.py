"""Connections through a proxy, HTTP CONNECT and SOCKS 5, against proxies that do exactly what a test says."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

import jetsocket
from jetsocket import WebSocket
from jetsocket.protocol.uri import parse_uri
from jetsocket.proxying import proxy_for
from jetsocket.testing import Exchange

from .certificates import server_context, trusting
from .conftest import Serve
from .peers import Conversation, multiplex
from .proxies import connect_proxy, socks5_proxy
from .refusals import answering, http, mute
from .saying import check_says, failure_of

KINDS = pytest.mark.parametrize(
    "proxy, scheme", [(connect_proxy, "http"), (socks5_proxy, "socks5")], ids=["CONNECT", "SOCKS5"]
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's environment says."""
    for name in ("http", "https", "ws", "wss", "all", "no", "request_method"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@KINDS
async def test_messages_go_both_ways(exchange: Exchange, scripted: Serve, proxy, scheme):
    log: list[str] = []
    server = await scripted(proxy(log))
    async with multiplex(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}") as mux:
        trades = await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.publish("btcusdt@trade", 1)
        assert (await trades.recv(5))["data"] == 1
        assert log == [f"127.0.0.1:{exchange.port}"]


@KINDS
async def test_every_reconnect_goes_through_it(exchange: Exchange, scripted: Serve, proxy, scheme):
    log: list[str] = []
    server = await scripted(proxy(log))
    async with multiplex(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}") as mux:
        await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.drop_all()
        await exchange.wait_accepted(2)
        await exchange.wait_subscribed("btcusdt@trade")
    assert log == [f"127.0.0.1:{exchange.port}"] * 2


@KINDS
async def test_tls_is_with_the_server(scripted: Serve, proxy, scheme):
    async with Exchange(paused=True, ssl=server_context("exchange.test")) as exchange:
        server = await scripted(proxy([], {"exchange.test": exchange.port}))
        # A name that the proxy alone can resolve, and the certificate is for.
        uri = "wss://exchange.test/stream"
        options = {"proxy": f"{scheme}://127.0.0.1:{server.port}", "ssl_context": trusting()}
        async with WebSocket(uri, **options) as ws:
            exchange.send_text("1")
            assert await ws.recv(5) == 1
        error = await failure_of("wss://other.test/stream", proxy=options["proxy"], connect_timeout=2)
        assert error.phase in ("proxy", "tls")


@KINDS
async def test_a_bad_certificate_is_looked_at_through_it(scripted: Serve, proxy, scheme):
    target = await scripted(mute, ssl=server_context("www.exchange.test"))
    log: list[str] = []
    server = await scripted(proxy(log, {"exchange.test": target.port}))
    options = {"proxy": f"{scheme}://127.0.0.1:{server.port}", "ssl_context": trusting()}
    error = await failure_of("wss://exchange.test/", **options)
    assert isinstance(error, jetsocket.CertificateError)
    assert "for www.exchange.test, valid " in str(error)
    assert log == ["exchange.test:443"] * 2


@KINDS
async def test_credentials(exchange: Exchange, scripted: Serve, proxy, scheme):
    server = await scripted(proxy([], credentials="user:pa ss"))
    async with WebSocket(exchange.uri, proxy=f"{scheme}://user:pa%20ss@127.0.0.1:{server.port}") as ws:
        assert ws.is_connected
    error = await failure_of(exchange.uri, proxy=f"{scheme}://user:wrong@127.0.0.1:{server.port}")
    said = {
        "http": "it answered 407 Proxy Authentication Required",
        "socks5": "Username and password authentication failure",
    }
    text = f"the proxy {scheme}://127.0.0.1:{server.port} gave no connection: {said[scheme]} (not retried)"
    check_says(error, f"{exchange.uri}: {text}")
    assert type(error) is (jetsocket.HandshakeError if scheme == "http" else jetsocket.ConnectionError)
    assert getattr(error, "status_code", None) == (407 if scheme == "http" else None)
    assert (error.phase, error.hint) == ("proxy", "check the proxy's address and credentials")
    assert (error.retryable, error.uri) == (False, exchange.uri)
    assert 0 <= error.elapsed < 5


@KINDS
async def test_credentials_that_are_wanted_and_not_given(exchange: Exchange, scripted: Serve, proxy, scheme):
    server = await scripted(proxy([], credentials="user:password"))
    error = await failure_of(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}")
    assert (error.phase, error.retryable) == ("proxy", False)


@KINDS
async def test_an_ipv6_target(scripted: Serve, proxy, scheme):
    log: list[str] = []
    server = await scripted(proxy(log, {"[::1]": 1}))
    error = await failure_of("ws://[::1]:8443/", proxy=f"{scheme}://127.0.0.1:{server.port}")
    assert error.phase == "upgrade"
    assert log == ["[::1]:8443"]


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5", "socks5h"])
async def test_a_proxy_that_is_not_there(exchange: Exchange, scheme):
    error = await failure_of(exchange.uri, proxy=f"{scheme}://127.0.0.1:1")
    text = f"the proxy {scheme}://127.0.0.1:1 gave no connection: it refused the connection; is it running?"
    check_says(error, f"{exchange.uri}: {text}")
    assert (error.phase, error.retryable) == ("proxy", True)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_whose_name_nobody_knows(exchange: Exchange, scheme):
    error = await failure_of(exchange.uri, proxy=f"{scheme}://no-such-proxy.invalid:3128")
    check_says(error, f"{exchange.uri}: the proxy {scheme}://no-such-proxy.invalid:3128 gave no connection: <any>")
    assert (error.phase, error.retryable) == ("proxy", True)


@pytest.mark.parametrize(
    "status, retryable",
    [("403 Forbidden", False), ("405 Method Not Allowed", False), ("429 Slow Down", True), ("503 Busy", True)],
)
async def test_what_a_proxy_answers_decides_whether_it_is_asked_again(exchange, scripted: Serve, status, retryable):
    server = await scripted(answering(http(status, Retry_After="7")))
    error = await failure_of(exchange.uri, proxy=f"http://127.0.0.1:{server.port}")
    assert isinstance(error, jetsocket.HandshakeError)
    assert (error.status_code, error.phase, error.retryable) == (int(status[:3]), "proxy", retryable)
    assert error.retry_after == 7


@KINDS
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_a_proxy_that_answers_byte_by_byte(scripted: Serve, proxy, scheme, secure):
    server = await scripted(proxy([], bytewise=True))
    async with Exchange(paused=True, ssl=server_context("127.0.0.1") if secure else None) as exchange:
        options = {"ssl_context": trusting()} if secure else {}
        async with WebSocket(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}", **options) as ws:
            exchange.send_text("1")
            assert await ws.recv(5) == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_dribbles_is_not_waited_for(exchange: Exchange, scripted: Serve, scheme):
    async def dribble(peer: Conversation) -> None:
        # Neither is ever complete: a head without its end, a SOCKS reply of a host name of 255 characters.
        first = b"HTTP/1.1 200 OK\r\n" if scheme == "http" else b"\x05\x00\x05\x00\x00\x03\xff"
        await peer.send(first)
        while not peer.reader.at_eof():
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    server = await scripted(dribble)
    begin = time.monotonic()
    error = await failure_of(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}", connect_timeout=0.3)
    assert isinstance(error, jetsocket.TimeoutError)
    assert (error.phase, error.retryable) == ("proxy", True)
    assert time.monotonic() - begin < 3


async def test_a_proxys_answer_without_end(exchange: Exchange, scripted: Serve):
    async def flood(peer: Conversation) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"X-Filler: " + 1000 * b"x" + b"\r\n")

    server = await scripted(flood)
    error = await failure_of(exchange.uri, proxy=f"http://127.0.0.1:{server.port}")
    check_says(error, f"{exchange.uri}: the proxy http://127.0.0.1:{server.port} gave no connection: <any>")
    assert error.phase == "proxy"


@KINDS
async def test_a_cancelled_attempt_leaves_nothing(exchange: Exchange, scripted: Serve, proxy, scheme):
    asked = asyncio.Event()

    async def silent(peer: Conversation) -> None:
        await peer.reader.read(1000)
        asked.set()
        await peer.ended()

    server = await scripted(silent)
    task = asyncio.create_task(WebSocket(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}").connect())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # What is left over, the fixtures find.


@pytest.mark.parametrize(
    "answer",
    [http("502 Bad Gateway"), b"", b"\xff\xfe\x00 garbage\r\n\r\n", b"\x05\xff", b"HTTP/1.1\r\n\r\n", b"\r\n\r\n"],
    ids=["502", "hangs up", "garbage", "SOCKS refusal", "no status", "empty head"],
)
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks4"])
async def test_a_proxy_that_refuses(exchange: Exchange, scripted: Serve, scheme, answer):
    async def script(peer: Conversation) -> None:
        await peer.reader.read(1000)
        await peer.send(answer)

    server = await scripted(script)
    error = await failure_of(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}")
    check_says(error, f"{exchange.uri}: the proxy {scheme}://127.0.0.1:{server.port} gave no connection: <any>")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_mute_proxy(exchange: Exchange, scripted: Serve, scheme):
    server = await scripted(mute)
    error = await failure_of(exchange.uri, proxy=f"{scheme}://127.0.0.1:{server.port}", connect_timeout=0.2)
    check_says(error, f"{exchange.uri}: the proxy gave no connection in 0.2 s; connect_timeout sets the limit")
    assert isinstance(error, jetsocket.TimeoutError)
    assert error.phase == "proxy"


@pytest.mark.parametrize("make", [WebSocket, multiplex, jetsocket.connect], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "proxy, problem",
    [
        ("ftp://127.0.0.1:1", ""),
        ("foo", ": it has no scheme"),
        ("https://127.0.0.1:1", ": TLS to a proxy is not supported; does it speak http:// too?"),
    ],
)
def test_what_is_no_proxys_address_is_refused_at_once(make, proxy, problem):
    with pytest.raises(ValueError) as caught:
        make("ws://127.0.0.1:1", proxy=proxy)
    check_says(caught.value, f"proxy must be an http://, socks4:// or socks5:// address, got {proxy!r}{problem}")


def test_a_socks_proxy_without_the_extra_is_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(jetsocket.MissingExtraError) as caught:
        WebSocket("ws://127.0.0.1:1", proxy="socks5://127.0.0.1:1")
    sentence = "a socks5:// proxy needs an extra that is not installed: pip install 'jetsocket[proxy]'"
    assert (str(caught.value), caught.value.extra) == (sentence, "proxy")


async def test_an_http_proxy_needs_no_extra(exchange: Exchange, scripted: Serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    server = await scripted(connect_proxy([]))
    async with WebSocket(exchange.uri, proxy=f"http://127.0.0.1:{server.port}") as ws:
        assert ws.is_connected


async def test_an_environment_that_cannot_be_right(exchange: Exchange, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ws_proxy", "ftp://user:secret@127.0.0.1:1")
    error = await failure_of(exchange.uri, proxy=True)
    text = "proxy must be an http://, socks4:// or socks5:// address, got 'ftp://127.0.0.1:1'"
    check_says(error, f"{exchange.uri}: ws_proxy of the environment cannot be used: {text}")
    assert (error.phase, error.retryable) == ("proxy", False)


async def test_the_environment_is_asked_if_wanted(exchange: Exchange, scripted: Serve, monkeypatch: pytest.MonkeyPatch):
    log: list[str] = []
    server = await scripted(connect_proxy(log))
    monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{server.port}")
    async with WebSocket(exchange.uri):
        assert log == []
    async with WebSocket(exchange.uri, proxy=True):
        assert log == [f"127.0.0.1:{exchange.port}"]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with WebSocket(exchange.uri, proxy=True):
        assert len(log) == 1


@pytest.mark.parametrize(
    "uri, environment, expected",
    [
        ("wss://h", {}, None),
        ("wss://h", {"wss_proxy": "http://a", "https_proxy": "http://b", "all_proxy": "http://c"}, "http://a"),
        ("wss://h", {"https_proxy": "http://b", "all_proxy": "http://c"}, "http://b"),
        ("wss://h", {"http_proxy": "http://b", "all_proxy": "http://c"}, "http://c"),
        ("ws://h", {"http_proxy": "http://b", "https_proxy": "http://c"}, "http://b"),
        ("ws://h", {"ws_proxy": "socks5://a", "http_proxy": "http://b"}, "socks5://a"),
        ("ws://h", {"https_proxy": "http://c"}, None),
        ("wss://h", {"HTTPS_PROXY": "http://b"}, "http://b"),
        ("wss://h", {"https_proxy": "10.0.0.1:3128"}, "http://10.0.0.1:3128"),
        ("wss://h", {"https_proxy": ""}, None),
        ("wss://h.example", {"https_proxy": "http://b", "no_proxy": "example"}, None),
        ("wss://h.example", {"https_proxy": "http://b", "no_proxy": ".example,other"}, None),
        ("wss://h.example", {"https_proxy": "http://b", "no_proxy": "other"}, "http://b"),
        ("wss://h", {"https_proxy": "http://b", "no_proxy": "*"}, None),
        ("wss://h", {"https_proxy": "http://b", "no_proxy": "h:443"}, None),
        ("wss://h:8443", {"https_proxy": "http://b", "no_proxy": "h:443"}, "http://b"),
        ("wss://[::1]", {"https_proxy": "http://b", "no_proxy": "::1"}, None),
        ("wss://h", {"ALL_PROXY": "socks5h://user:secret@c:9"}, "socks5h://c:9"),
        ("wss://h", {"HTTPS_PROXY": "http://b", "NO_PROXY": "h"}, None),
    ],
)
def test_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, uri, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(parse_uri(uri), True)
    assert (None if found is None else str(found)) == expected
    assert proxy_for(parse_uri(uri), None) is None
    assert proxy_for(parse_uri(uri), False) is None
    assert str(proxy_for(parse_uri(uri), "http://d")) == "http://d"
