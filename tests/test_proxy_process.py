"""Connections through proxies that somebody else wrote, each a process of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jetsocket
from jetsocket import BackoffConfig, WebSocket
from jetsocket.testing import Exchange

from .certificates import server_context, trusting
from .peers import multiplex, told
from .proxy_process import KINDS, PASSWORD, USER, Kind, ProxyProcess
from .saying import failure_of

Start = Callable[..., ProxyProcess]
SECURITY = pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
# Soon enough for a test, and not without a pause: a proxy takes its time to start.
SOON = BackoffConfig(base=0.05, multiplier=1.0, jitter=False)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each proxy that there is on this machine."""
    chosen: Kind = request.param
    if chosen.missing:
        pytest.skip(chosen.missing)
    return chosen


@pytest.fixture(scope="module")
def proxy(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """One that wants no credentials, and serves all tests."""
    process = ProxyProcess(kind, tmp_path_factory.mktemp("proxy"))
    yield process
    process.kill()


@pytest.fixture(scope="module")
def strict(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """One that wants credentials."""
    process = ProxyProcess(kind, tmp_path_factory.mktemp("strict"), credentials=True)
    yield process
    process.kill()


@pytest.fixture
def mortal(kind: Kind, tmp_path: Path) -> Iterator[ProxyProcess]:
    """One for a single test, which may end it."""
    process = ProxyProcess(kind, tmp_path)
    yield process
    process.kill()


def market(secure: bool, host: str = "127.0.0.1") -> Exchange:
    """An exchange to reach through the proxy; its certificate is for 127.0.0.1, ::1 and localhost."""
    ssl = server_context("localhost", "127.0.0.1", "::1") if secure else None
    return Exchange(paused=True, host=host, ssl=ssl)


def trust(secure: bool) -> dict[str, Any]:
    return {"ssl_context": trusting()} if secure else {}


@SECURITY
async def test_a_thousand_messages_each_way(proxy: ProxyProcess, secure: bool):
    options = {"proxy": proxy.uri, "queue_size": 0, **trust(secure)}
    async with market(secure) as exchange, multiplex(exchange.uri, **options) as mux:
        trades = await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        before = len(exchange.requests)
        for number in range(1000):
            exchange.publish("btcusdt@trade", number)
            await mux.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
        received = [(await trades.recv(10))["data"] for _ in range(1000)]
        await exchange.wait_requests(before + 1000)
        assert received == list(range(1000))
        assert mux.stats().total_messages_dropped == 0


@SECURITY
async def test_the_proxy_resolves_the_name(proxy: ProxyProcess, secure: bool, monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def getaddrinfo(host: Any, *given: Any, **options: Any) -> Any:
        assert host != "localhost", "a name that is the proxy's to resolve"
        return await resolve(host, *given, **options)

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)
    async with market(secure) as exchange:
        uri = exchange.uri.replace("127.0.0.1", "localhost")
        for address in {proxy.uri, proxy.uri.replace("socks5", "socks5h")}:
            async with WebSocket(uri, proxy=address, **trust(secure)) as ws:
                exchange.send_text("1")
                assert await ws.recv(10) == 1


@SECURITY
async def test_an_ipv6_literal_target(proxy: ProxyProcess, secure: bool):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    async with market(secure, "::1") as exchange:
        uri = f"ws{'s' if secure else ''}://[::1]:{exchange.port}/stream"
        async with WebSocket(uri, proxy=proxy.uri, **trust(secure)) as ws:
            exchange.send_text("1")
            assert await ws.recv(10) == 1


async def test_the_right_credentials(strict: ProxyProcess):
    async with market(False) as exchange, WebSocket(exchange.uri, proxy=strict.uri_of(USER, PASSWORD)) as ws:
        exchange.send_text("1")
        assert await ws.recv(10) == 1


@pytest.mark.parametrize("given", ["wrong", "none"])
async def test_the_wrong_credentials(strict: ProxyProcess, given: str):
    address = strict.uri_of(USER, "s3cr3t") if given == "wrong" else strict.uri
    async with market(False) as exchange:
        error = await failure_of(exchange.uri, proxy=address)
        # pproxy hangs up on whom it does not like, which may have any reason.
        silent = strict.kind == Kind(None, "socks5")
        assert str(error).startswith(f"{exchange.uri}: the proxy {strict.uri} gave no connection: ")
        assert (error.phase, error.retryable) == ("proxy", silent)
        # tinyproxy answers 401 where credentials are wrong, and 407 where there are none.
        expected = {401, 407} if strict.kind.program and strict.kind.scheme == "http" else {407, None}
        assert getattr(error, "status_code", None) in expected
        assert isinstance(error, jetsocket.HandshakeError) is (strict.kind.scheme == "http")
        assert error.hint == "check the proxy's address and credentials"
        assert "s3cr3t" not in f"{error!r} {vars(error)} {error.__cause__!r}"
        assert exchange.account().accepted == 0


async def test_credentials_that_are_refused_are_not_tried_again(strict: ProxyProcess):
    if strict.kind == Kind(None, "socks5"):
        pytest.skip("pproxy hangs up and does not say why")
    async with market(False) as exchange:
        ws = WebSocket(exchange.uri, proxy=strict.uri_of(USER, "s3cr3t"), backoff=SOON)
        with pytest.raises(jetsocket.ConnectionError, match=r"\(not retried\)$"):
            await ws.connect(timeout=20)
        assert ws.state is jetsocket.ConnectionState.FAILED


async def test_a_target_that_the_proxy_cannot_reach(proxy: ProxyProcess):
    error = await failure_of("ws://127.0.0.1:1/", proxy=proxy.uri)
    assert isinstance(error, jetsocket.ConnectionError)
    # pproxy's SOCKS says that all is well before it knows, and hangs up afterwards.
    early = proxy.kind == Kind(None, "socks5")
    assert (error.phase, error.retryable) == ("upgrade" if early else "proxy", True)
    if proxy.kind.program == "tinyproxy":
        assert error.status_code == 500
    if proxy.kind.program == "microsocks":
        assert str(error).endswith("gave no connection: Connection refused by destination host")


@SECURITY
async def test_a_proxy_that_dies_and_comes_back(mortal: ProxyProcess, secure: bool):
    async with market(secure) as exchange:
        mux = multiplex(exchange.uri, proxy=mortal.uri, backoff=SOON, **trust(secure))
        lost, failed, again = (told(mux, event) for event in ("disconnected", "error", "reconnected"))
        async with mux:
            trades = await mux.subscribe("btcusdt@trade")
            await exchange.wait_subscribed("btcusdt@trade")
            exchange.publish("btcusdt@trade", 1)
            assert (await trades.recv(10))["data"] == 1
            mortal.kill()
            error = await asyncio.wait_for(lost.get(), 10)
            assert (error.phase, error.retryable) == ("open", True)
            error = await asyncio.wait_for(failed.get(), 10)
            assert (error.phase, error.retryable) == ("proxy", True)
            assert "it refused the connection; is it running?" in str(error)
            mortal.start()
            await asyncio.wait_for(again.get(), 20)
            await exchange.wait_subscribed("btcusdt@trade")
            exchange.publish("btcusdt@trade", 2)
            assert (await trades.recv(10))["data"] == 2
            assert mux.stats().connection_stats.reconnect_count == 1


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY", "ws_proxy", "http_proxy"])
async def test_the_environment(strict: ProxyProcess, monkeypatch: pytest.MonkeyPatch, name: str):
    for scheme in ("http", "https", "ws", "wss", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_PROXY".upper(), raising=False)
    async with market(False) as exchange:
        monkeypatch.setenv(name, strict.uri_of(USER, PASSWORD))
        async with WebSocket(exchange.uri, proxy=True) as ws:
            exchange.send_text("1")
            assert await ws.recv(10) == 1
        monkeypatch.setenv(name, strict.uri_of(USER, "wrong"))
        error = await failure_of(exchange.uri, proxy=True)
        assert error.phase == "proxy"
        monkeypatch.setenv("no_proxy", f"127.0.0.1:{exchange.port}")
        async with WebSocket(exchange.uri, proxy=True) as ws:
            assert ws.is_connected
