"""Text that would change what it is put into is refused, wherever it comes from, before anything is connected to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jetsocket
from jetsocket import Multiplex, WebSocket
from jetsocket.protocol.handshake import Upgrade
from jetsocket.protocol.uri import parse_uri

from .conftest import Serve
from .leaks import words_of
from .peers import Conversation

SECRET = "s3cr3t"
# Line ends and NUL, all the other control characters of ASCII and of Latin-1, and what is half of a character.
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
SURROGATES = ["\ud800", "\udc80", "\udfff"]
# What ends a line elsewhere, hides, or turns the direction of the text.
ODD = ["\u2028", "\u2029", "\u200b", "\u202e", "\ufeff", "\u00a0", " "]

MAKERS: dict[str, Callable[..., Any]] = {
    "WebSocket": WebSocket,
    "Multiplex": lambda uri, **options: Multiplex(uri, channel_key="stream", **options),
    "connect": jetsocket.connect,
}
NOBODY = "ws://127.0.0.1:1/"


def header(name: str) -> Callable[[str], dict[str, Any]]:
    """Makes the keywords that put text into that header."""
    return lambda text: {"extra_headers": {name: f"{SECRET}{text}X-Injected: yes"}}


def address(pattern: str) -> Callable[[str], dict[str, Any]]:
    """Makes the keywords that put text into the address."""
    return lambda text: {"uri": pattern.replace("…", text)}


def proxy(pattern: str) -> Callable[[str], dict[str, Any]]:
    """Makes the keywords that put text into the proxy's address."""
    return lambda text: {"proxy": pattern.replace("…", text)}


def percent_encoded(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


IN_HEADERS = [one for one in CONTROLS if one != "\t"] + SURROGATES
IN_TOKENS = CONTROLS + SURROGATES + ODD
IN_ADDRESSES = CONTROLS + SURROGATES + ODD
# Decoded these are bytes, of which the control characters of ASCII alone have a meaning in a header.
ENCODED = [percent_encoded(one) for one in CONTROLS if ord(one) < 0x80]

# Where text goes, how it gets there, what the error must name, and what must be refused there.
PLACES: dict[str, tuple[Callable[[str], dict[str, Any]], str, list[str]]] = {
    "header": (header("X-Key"), "'X-Key'", IN_HEADERS),
    "Authorization": (header("Authorization"), "'Authorization'", IN_HEADERS),
    "Cookie": (header("Cookie"), "'Cookie'", IN_HEADERS),
    "Host": (header("Host"), "'Host'", IN_HEADERS),
    "Origin": (header("Origin"), "'Origin'", IN_HEADERS),
    "User-Agent": (header("User-Agent"), "'User-Agent'", IN_HEADERS),
    "header's name": (lambda text: {"extra_headers": {f"X{text}Y": SECRET}}, "name of a header", IN_TOKENS),
    "subprotocol": (lambda text: {"subprotocols": ["sound", f"a{text}b"]}, "subprotocol", IN_TOKENS),
    "path": (address(f"ws://u:{SECRET}@h/a…b"), "ws://h/a", IN_ADDRESSES),
    "query": (address(f"ws://u:{SECRET}@h/a?x=…y"), "ws://h/a", IN_ADDRESSES),
    "host": (address(f"ws://u:{SECRET}@h…b/"), "ws://h", IN_ADDRESSES),
    "port": (address(f"ws://u:{SECRET}@h:8…0/"), "ws://h:8", IN_ADDRESSES),
    "user name": (address(f"ws://u…v:{SECRET}@h/"), "ws://h/", IN_ADDRESSES),
    "password": (address(f"ws://u:{SECRET}…@h/"), "ws://h/", IN_ADDRESSES),
    "encoded user name": (address(f"ws://u…v:{SECRET}@h/"), "user information", [*ENCODED, "%3A"]),
    "encoded password": (address(f"ws://u:{SECRET}…@h/"), "user information", ENCODED),
    "fragment": (address(f"ws://u:{SECRET}@h/#…"), "ws://h/#", ["", "x", *IN_ADDRESSES]),
    "proxy's scheme": (proxy(f"ht…tp://u:{SECRET}@p:1"), "proxy", [*IN_ADDRESSES, "x"]),
    "proxy's host": (proxy(f"http://u:{SECRET}@p…q:1"), "proxy", IN_ADDRESSES),
    "proxy's user name": (proxy(f"http://u…v:{SECRET}@p:1"), "proxy", IN_ADDRESSES),
    "proxy's password": (proxy(f"socks5://u:{SECRET}…@p:1"), "proxy", IN_ADDRESSES),
    "proxy's encoded user name": (proxy(f"http://u…v:{SECRET}@p:1"), "proxy", [*ENCODED, "%3A", "%FF"]),
    "proxy's encoded password": (proxy(f"socks5://u:{SECRET}…@p:1"), "proxy", [*ENCODED, "%FF"]),
    "proxy's path": (proxy(f"http://u:{SECRET}@p:1/…"), "proxy", [*IN_ADDRESSES, "x"]),
}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("place", PLACES)
def test_text_that_would_be_more_than_text_is_refused_at_once(place: str, make: str) -> None:
    put, named, texts = PLACES[place]
    for text in texts:
        keywords = {"uri": NOBODY, **put(text)}
        # Not even an event loop is running here.
        with pytest.raises(ValueError) as caught:
            MAKERS[make](**keywords)
        said = str(caught.value)
        assert named in said, (text, said)
        assert said.isprintable(), (text, said)
        assert SECRET not in words_of(caught.value), (text, said)


@pytest.mark.parametrize(
    "keywords",
    [
        {"uri": f"ws://user:{SECRET}@h".encode()},
        {"uri": [f"ws://user:{SECRET}@h"]},
        {"uri": NOBODY, "proxy": f"http://user:{SECRET}@p".encode()},
        {"uri": NOBODY, "extra_headers": f"Authorization: {SECRET}"},
        {"uri": NOBODY, "extra_headers": [f"Authorization: {SECRET}"]},
        {"uri": NOBODY, "extra_headers": [("Authorization", SECRET, "x")]},
        {"uri": NOBODY, "extra_headers": {f"Authorization: {SECRET}": "x"}},
        {"uri": NOBODY, "extra_headers": {"Authorization": SECRET.encode()}},
        {"uri": NOBODY, "extra_headers": {SECRET.encode(): "x"}},
        {"uri": NOBODY, "extra_headers": [("Authorization", SECRET), ("authorization", SECRET)]},
        {"uri": NOBODY, "extra_headers": {"Sec-WebSocket-Key": SECRET}},
    ],
    ids=str,
)
def test_what_is_of_the_wrong_type_or_shape_is_not_shown_either(keywords: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        WebSocket(**keywords)
    assert SECRET not in words_of(caught.value)


@given(st.text(), st.text())
def test_no_value_and_no_address_makes_another_line(value: str, rest: str) -> None:
    try:
        upgrade = Upgrade(parse_uri("ws://h/" + rest), key=bytes(16), extra_headers={"X-Key": value})
    except ValueError:
        return
    request = upgrade.request()
    lines = request.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert sum(line.startswith(b"X-Key: ") or line == b"X-Key:" for line in lines) == 1
    assert len(lines) == 3 + 7
    assert not set(request.replace(b"\r\n", b"")) & {0, 10, 13}


async def test_other_alphabets_go_as_utf_8(scripted: Serve) -> None:
    # In Latin-1, cut to a byte a character, the first two would be a line end.
    value = "\u010d\u010aX-Injected: ja, größer als 5 €"
    asked: list[bytes] = []

    async def script(peer: Conversation) -> None:
        asked.append(await peer.read_request())
        await peer.send(peer.acceptance())
        await peer.ended()

    server = await scripted(script)
    async with WebSocket(f"{server.uri}\u010d\u010a", extra_headers={"X-Key": value}, close_timeout=0.1):
        (request,) = asked
    lines = request.split(b"\r\n")
    assert lines[0] == b"GET /%C4%8D%C4%8A HTTP/1.1"
    assert f"X-Key: {value}".encode() in lines
    assert not any(line.startswith(b"X-Injected") for line in lines)
