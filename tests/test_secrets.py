"""Secrets are planted wherever a user puts them, and looked for in all that can be seen of a connection's life."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jetsocket
from jetsocket import InvalidURIError, Multiplex, WebSocket
from jetsocket.occurrences import CONNECTION_EVENTS
from jetsocket.protocol.uri import parse_uri
from jetsocket.testing import Exchange

from .certificates import self_signed_context, server_context, trusting
from .conftest import Serve
from .leaks import (
    AUTHORIZATION,
    HEADERS,
    PROXY_USERINFO,
    check,
    logged,
    planted,
    words_of,
    words_of_objects,
)
from .peers import Conversation, Script, close_frame, frame, multiplex, text, told
from .proxies import connect_proxy, socks5_proxy
from .refusals import answering, hang_up, http, mute


@pytest.fixture(params=["", "debug"])
async def seen(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everybody's log at DEBUG; in asyncio's debug mode that of every callback, with its arguments."""
    caplog.set_level(logging.DEBUG)
    if request.param:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
    return caplog


async def words_of_life(uri: str, act: Callable[[WebSocket[Any]], Awaitable[Any]] | None, **options: Any) -> str:
    """What a connection to `uri` says of itself: errors, events, reprs, statistics, tasks."""
    words: list[str] = []
    ws: WebSocket[Any] = WebSocket(
        planted(uri), **{"extra_headers": HEADERS, "reconnect": False, "close_timeout": 0.1, **options}
    )

    def tell(*facts: Any) -> None:
        words.extend(words_of(fact) if isinstance(fact, BaseException) else repr(fact) for fact in facts)
        words.extend([repr(ws), ws.uri, repr(ws.stats()), repr(ws.state), repr(ws.subprotocol)])
        words.extend(map(repr, asyncio.all_tasks()))
        if not facts:
            words.append(words_of_objects())

    for event in CONNECTION_EVENTS:
        ws.on(event, tell)
    try:
        await ws.connect()
        tell()
        if act is not None:
            await act(ws)
    except (jetsocket.JetSocketError, ValueError, TimeoutError) as error:
        tell(error)
    await ws.close()
    tell()
    for use in (ws.connect(), ws.send("x"), ws.recv(0), ws.ping(), ws.close()):
        try:
            await use
        except jetsocket.JetSocketError as error:
            tell(error)
    return "\n".join(words)


class Setting(NamedTuple):
    """One way for a connection to go: a server's script or an address, options, and what is done when it is open."""

    script: Script | None = None
    uri: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
    act: Callable[[WebSocket[Any]], Awaitable[Any]] | None = None
    tls: str = ""


def opening(*sent: bytes, then: Callable[[Conversation], Awaitable[object]] = Conversation.ended) -> Script:
    """Opens the connection, sends these bytes, and goes on."""

    async def script(peer: Conversation) -> None:
        await peer.accept(then=b"".join(sent))
        await then(peer)

    return script


async def leave(peer: Conversation) -> None:
    """The client's close frame, and the end of the stream."""
    await peer.read_frame()


async def reset(peer: Conversation) -> None:
    peer.reset()


async def bad_accept(peer: Conversation) -> None:
    await peer.read_request()
    await peer.send(peer.acceptance().replace(b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"))
    await peer.ended()


async def receive(ws: WebSocket[Any]) -> None:
    while True:
        await ws.recv(5)


async def ping(ws: WebSocket[Any]) -> None:
    await ws.ping(0.05)


async def send_nonsense(ws: WebSocket[Any]) -> None:
    try:
        await ws.send(object())
    except TypeError as error:
        raise ValueError from error


def redirect(location: str) -> Script:
    return answering(http("302 Found", Location=location))


SETTINGS = {
    "refused port": Setting(uri="ws://127.0.0.1:1/"),
    "unknown host": Setting(uri="ws://no-such-host.invalid/"),
    "TLS to a plain port": Setting(answering(http("400 Bad Request")), tls="client", options={"connect_timeout": 1}),
    "TLS to a mute port": Setting(mute, tls="client", options={"connect_timeout": 0.1}),
    "self-signed": Setting(mute, tls="self-signed"),
    "wrong name": Setting(mute, tls="wrong name", options={"ssl_context": trusting()}),
    "over TLS": Setting(
        opening(text("1"), close_frame(), then=leave), tls="right", act=receive, options={"ssl_context": trusting()}
    ),
    "mute": Setting(mute, options={"connect_timeout": 0.1}),
    "hangs up": Setting(hang_up),
    "no HTTP": Setting(answering(b"SSH-2.0-OpenSSH\r\n")),
    "200": Setting(answering(http("200 OK", b"<html>", Content_Type="text/html"))),
    "401": Setting(answering(http("401 Unauthorized", b'{"code":-2015}', WWW_Authenticate="Basic"))),
    "503": Setting(answering(http("503 Busy", Retry_After="1"))),
    "wrong accept": Setting(bad_accept),
    "redirect to nowhere": Setting(redirect("ftp://elsewhere/")),
    "redirect for ever": Setting(redirect("/again")),
    "redirect to a refused port": Setting(redirect("ws://127.0.0.1:1/")),
    "redirect with user information": Setting(redirect("ws://somebody:else@127.0.0.1:1/")),
    "a life": Setting(opening(text('{"a":1}'), close_frame(1000), then=leave), act=receive),
    "closed with a reason": Setting(opening(close_frame(1008, "bad token"), then=leave), act=receive),
    "reset": Setting(opening(text("1"), then=reset), act=receive),
    "protocol error": Setting(opening(frame(3)), act=receive),
    "too big": Setting(opening(text("1" * 100)), act=receive, options={"max_message_size": 10}),
    "no JSON": Setting(opening(text("{")), act=receive),
    "no pong": Setting(opening(), act=receive, options={"heartbeat": 0.05}),
    "no pong to a ping": Setting(opening(), act=ping),
    "what cannot be sent": Setting(opening(), act=send_nonsense),
    "mute to the end": Setting(opening(), options={"close_timeout": 0.05}),
    "reconnecting": Setting(
        opening(then=reset),
        act=receive,
        options={"reconnect": True, "backoff": jetsocket.BackoffConfig(0, max_attempts=2)},
    ),
}


@asynccontextmanager
async def reached(setting: Setting, scripted: Serve, tmp_path: Path) -> AsyncIterator[str]:
    """The address of the setting's server."""
    contexts = {
        "right": lambda: server_context("127.0.0.1"),
        "wrong name": lambda: server_context("exchange.test"),
        "self-signed": lambda: self_signed_context("127.0.0.1", tmp_path),
    }
    if setting.script is None:
        yield setting.uri
        return
    context = contexts.get(setting.tls)
    server = await scripted(setting.script, ssl=context() if context else None)
    yield server.uri.replace("ws:", "wss:") if setting.tls == "client" else server.uri


@pytest.mark.parametrize("name", SETTINGS)
async def test_a_connection_tells_no_secret(name: str, scripted: Serve, seen: pytest.LogCaptureFixture, tmp_path: Path):
    setting = SETTINGS[name]
    if name == "reconnecting":
        # Every connection is reset, and another made: seen for as long as this.
        setting = setting._replace(act=lambda ws: asyncio.wait_for(receive(ws), 0.3))
    async with reached(setting, scripted, tmp_path) as uri:
        words = await words_of_life(uri, setting.act, **setting.options)
    assert uri.partition("://")[2] in words, "nothing was seen at all"
    check(words)
    check(logged(seen))


def saying(data: bytes) -> Script:
    """Says this to whatever comes first, and hangs up."""

    async def script(peer: Conversation) -> None:
        await peer.reader.read(1000)
        await peer.send(data)

    return script


PROXIES = {
    "refuses the credentials": lambda scheme: (connect_proxy if scheme == "http" else socks5_proxy)([], None, "a:b"),
    "hangs up": lambda _: saying(b""),
    "is mute": lambda _: mute,
    "answers nonsense": lambda _: saying(b"nonsense\r\n\r\n"),
    "connects": lambda scheme: (connect_proxy if scheme == "http" else socks5_proxy)([]),
    "is not there": None,
}


@pytest.mark.parametrize("what", PROXIES)
@pytest.mark.parametrize(
    "scheme, way",
    [
        ("http", "option"),
        ("socks5", "environment"),
        pytest.param("socks5", "option", marks=pytest.mark.slow),
        pytest.param("http", "environment", marks=pytest.mark.slow),
    ],
)
async def test_a_proxy_s_credentials_are_not_told(
    exchange: Exchange,
    scripted: Serve,
    seen: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    scheme: str,
    way: str,
):
    make = PROXIES[what]
    port = 1 if make is None else (await scripted(make(scheme))).port
    proxy = f"{scheme}://{PROXY_USERINFO}@127.0.0.1:{port}"
    if way == "environment":
        monkeypatch.setenv("ws_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
    words = await words_of_life(exchange.uri, None, proxy=proxy if way == "option" else True, connect_timeout=0.3)
    assert (f"the proxy {scheme}://127.0.0.1:{port} gave no connection" in words) is (
        what not in ("connects", "is mute")
    )
    check(words)
    check(logged(seen))


@pytest.mark.parametrize(
    "proxy", ["ftp://{}@p", "http://{}@p:x", "http://{}@p/a", "https://{}@p", "socks4://{}@p", "{}@p"]
)
def test_a_refused_proxy_s_credentials_are_not_told(proxy: str):
    with pytest.raises(ValueError) as caught:
        WebSocket("ws://127.0.0.1:1", proxy=proxy.format(PROXY_USERINFO))
    check(words_of(caught.value))


async def test_a_multiplex_tells_no_secret(exchange: Exchange, seen: pytest.LogCaptureFixture):
    words: list[str] = []
    mux: Multiplex[Any] = multiplex(planted(exchange.uri), extra_headers=HEADERS)
    again = told(mux, "reconnected")
    for event in CONNECTION_EVENTS:
        mux.on(event, lambda *facts: words.extend(words_of(one) for one in facts if isinstance(one, BaseException)))
    async with mux:
        subscription = await mux.subscribe("btcusdt@trade")
        words += [
            repr(mux),
            mux.uri,
            repr(mux.stats()),
            repr(subscription),
            repr(subscription.stats()),
            words_of_objects(),
        ]
        exchange.drop_all()
        await again.get()
    for use in (mux.subscribe("x"), mux.connect(), mux.send("x"), subscription.recv(0)):
        with pytest.raises(jetsocket.JetSocketError) as caught:
            await use
        words.append(words_of(caught.value))
    assert exchange.uri in "\n".join(words)
    check("\n".join(words))
    check(logged(seen))


async def test_they_are_sent_all_the_same(scripted: Serve):
    asked: list[Conversation] = []

    async def script(peer: Conversation) -> None:
        asked.append(peer)
        await peer.accept()
        await peer.ended()

    server = await scripted(script)
    async with WebSocket(planted(server.uri), extra_headers=HEADERS, close_timeout=0.1):
        (peer,) = asked
    assert peer.header("Authorization") == AUTHORIZATION
    assert {name: peer.header(name) for name in HEADERS} == HEADERS
    assert b"pl4nted-user" not in peer.request


async def test_they_do_not_follow_a_redirect_to_another_origin(scripted: Serve):
    asked: list[bytes] = []

    async def elsewhere(peer: Conversation) -> None:
        asked.append(await peer.read_request())
        await peer.send(peer.acceptance())
        await peer.ended()

    other = await scripted(elsewhere)
    server = await scripted(redirect(other.uri))
    async with WebSocket(planted(server.uri), extra_headers=HEADERS, close_timeout=0.1):
        (request,) = asked
    check(request.decode())
    assert b"\r\nAuthorization:" not in request


@pytest.mark.parametrize("rest", ["127.0.0.1:1/", "127.0.0.1:x/", "h:99999/", "[::/"])
async def test_nor_are_those_of_an_address_that_a_server_sends(
    scripted: Serve, seen: pytest.LogCaptureFixture, rest: str
):
    server = await scripted(redirect(f"ws://pl4nted-by-server:pl4nted@{rest}"))
    with pytest.raises(jetsocket.ConnectionError) as caught:
        await WebSocket(server.uri, connect_timeout=1).connect()
    # Its headers, an attribute, are as they came.
    check(
        "".join(traceback.format_exception(caught.value))
        + repr(caught.value)
        + f"{caught.value.uri}{caught.value.hint}"
    )
    check(words_of_objects())
    check(logged(seen))


# Addresses that are refused. Where the password holds a delimiter nobody can tell where it ends: nothing of it is told.

GARBAGE = st.text(st.sampled_from("/?#:[]@%. \t\r\n\0\x85é\ud800a9"), max_size=6)


@given(st.sampled_from(["ws://", "wss://", "http://", "ws:", "ftp://", "//", ""]), GARBAGE, GARBAGE, GARBAGE)
def test_no_mangled_address_tells_its_password(scheme: str, before: str, after: str, rest: str):
    # Digits behind the colon would make it a host and its port, an @ before a delimiter would end the password: what is
    # an address as it stands is taken as such.
    uri = f"{scheme}user:x{before.replace('@', '')}pl4nted{after}@host{rest}"
    try:
        words = f"{parse_uri(uri)!r} {parse_uri(uri)}"
    except InvalidURIError as error:
        words = words_of(error)
    check(words)


def test_the_authority_stands_in_no_repr():
    address = parse_uri(planted("wss://host/path"))
    assert address.authorization == AUTHORIZATION
    check(repr(address) + str(address))
