"""Connections through a proxy, HTTP CONNECT and SOCKS 5."""

from __future__ import annotations

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
from .refusals import http, mute
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
    shown = f"{scheme}://127.0.0.1:{server.port}"
    check_says(error, f"{exchange.uri}: the proxy {shown} gave no connection: <any>")
    assert type(error) is jetsocket.ConnectionError
    assert (error.phase, error.hint) == ("proxy", "check the proxy's address and credentials")
    assert "wrong" not in str(error)


async def test_a_proxy_that_is_not_there(exchange: Exchange):
    error = await failure_of(exchange.uri, proxy="http://127.0.0.1:1")
    check_says(error, f"{exchange.uri}: the proxy http://127.0.0.1:1 gave no connection: <any>")
    assert (error.phase, error.retryable) == ("proxy", True)


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


@pytest.mark.parametrize("proxy", ["ftp://127.0.0.1:1", "nonsense", "http://:80:80"])
async def test_what_is_no_proxys_address(proxy):
    with pytest.raises(ValueError) as caught:
        await WebSocket("ws://127.0.0.1:1", proxy=proxy).connect()
    check_says(caught.value, f"proxy must be an http://, socks4:// or socks5:// address, got {proxy!r}")


async def test_a_refused_address_shows_no_password():
    with pytest.raises(ValueError) as caught:
        await WebSocket("ws://127.0.0.1:1", proxy="ftp://user:secret@127.0.0.1:1").connect()
    assert "secret" not in str(caught.value)


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
    ],
)
def test_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, uri, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(parse_uri(uri), True) == expected
    assert proxy_for(parse_uri(uri), None) is None
    assert proxy_for(parse_uri(uri), False) is None
    assert proxy_for(parse_uri(uri), "http://d") == "http://d"
