from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.errors import ConnectionError, HandshakeError
from jetsocket.protocol.tunnel import MAX_HEAD, Tunnel, parse_proxy
from jetsocket.protocol.uri import parse_uri

OPENED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 somebody\r\n\r\n"


def tunnel(proxy: str = "http://p:3128", uri: str = "wss://exchange.test/stream") -> Tunnel:
    return Tunnel(parse_proxy(proxy), parse_uri(uri))


def answered(data: bytes, size: int | None = None) -> bool:
    """What a tunnel makes of `data`, whole or in pieces of `size`."""
    asked = tunnel()
    asked.request()
    step = size or max(1, len(data))
    outcomes = [asked.receive(data[at : at + step]) for at in range(0, len(data), step)]
    assert not any(outcomes[:-1])
    return outcomes[-1]


@pytest.mark.parametrize(
    "proxy, scheme, host, port, user, password",
    [
        ("http://p", "http", "p", 80, "", ""),
        ("HTTP://P:3128/", "http", "p", 3128, "", ""),
        ("http://user:pa%20ss@p:1", "http", "p", 1, "user", "pa ss"),
        ("http://user@p:1", "http", "p", 1, "user", ""),
        ("http://user:p%C3%A9@p", "http", "p", 80, "user", "pé"),
        ("http://[::1]:3128", "http", "::1", 3128, "", ""),
        ("socks5://p", "socks5", "p", 1080, "", ""),
        ("socks5h://user:p%40ss@p:9", "socks5h", "p", 9, "user", "p@ss"),
        ("socks4://user@p", "socks4", "p", 1080, "user", ""),
        ("socks4a://p", "socks4a", "p", 1080, "", ""),
    ],
)
def test_addresses(proxy, scheme, host, port, user, password):
    address = parse_proxy(proxy)
    assert (address.scheme, address.host, address.port) == (scheme, host, port)
    assert (address.user, address.password) == (user, password)
    assert address.is_socks is scheme.startswith("socks")
    assert "@" not in f"{address} {address!r}"


REFUSED = [
    ("", "'': it has no scheme"),
    ("p:3128", "'p:3128': it has no scheme"),
    ("user:secret@p:3128", "'p:3128': it has no scheme"),
    ("ftp://user:secret@p", "'ftp://p'"),
    ("https://user:secret@p", "'https://p': TLS to a proxy is not supported; does it speak http:// too?"),
    ("http://", "'http://': no host after the scheme"),
    ("http://p:99999", "'http://p:99999': port must be 1 to 65535, got 99999"),
    ("http://p:80/path", "'http://p:80/path': it has no path"),
    ("http://p?x", "'http://p?x': 'p?x' is not a valid host name"),
    ("http://[::1", "'http://[::1': the bracket of the IPv6 address is not closed"),
    ("http://::1", "'http://::1': an IPv6 address stands in brackets, as in http://[::1]/"),
    ("http://p q", "'http://p q': ' ' cannot stand in an address (at position 8)"),
    ("http://p\r\nX: y", r"'http://p\\r\\nX: y': '\r' cannot stand in an address (at position 8)"),
    ("http://p\0", r"'http://p\\x00': '\x00' cannot stand in an address (at position 8)"),
    ("http://user:secret\n@p", r"'http://p': '\n' cannot stand in an address (at position 18)"),
    ("\u202ehttp://p", r"'\\u202ehttp://p': '\u202e' cannot stand in an address (at position 0)"),
    ("http://user:se/cret@p:1", "'http://p:1': port must be a number, got what stands there"),
    (
        "http://user:secret%0D%0AX:y@p",
        "'http://p': the user information holds a colon in the user name, or a control character",
    ),
    (
        "http://us%3Aer:secret@p",
        "'http://p': the user information holds a colon in the user name, or a control character",
    ),
    ("http://user:secret\ud800@p", "'http://p': the user information holds characters that UTF-8 cannot encode"),
    ("http://user:secret%FF@p", "'http://p': the user information is no UTF-8, or holds unprintable characters"),
    ("http://user:secret%C2%85@p", "'http://p': the user information is no UTF-8, or holds unprintable characters"),
    ("socks5://user@p", "'socks5://p': SOCKS 5 needs both a user name and a password"),
    (
        "socks5://user:s%C3%A9cret@p",
        "'socks5://p': SOCKS takes ASCII user information alone, at most 255 characters each",
    ),
    (
        f"socks5://user:{256 * 'secret'}@p",
        "'socks5://p': SOCKS takes ASCII user information alone, at most 255 characters each",
    ),
    ("socks4://user:secret@p", "'socks4://p': SOCKS 4 has no password"),
]


@pytest.mark.parametrize("proxy, problem", REFUSED, ids=[ascii(proxy)[:40] for proxy, _ in REFUSED])
def test_refusals_say_why_and_tell_no_password(proxy, problem):
    with pytest.raises(ValueError) as caught:
        parse_proxy(proxy)
    assert str(caught.value) == f"proxy must be an http://, socks4:// or socks5:// address, got {problem}"
    shown = repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert "secret" not in shown
    assert "cret@" not in shown


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    for proxy in (text, "http://" + text, "socks5://h:" + text):
        try:
            address = parse_proxy(proxy)
        except ValueError:
            continue
        assert Tunnel(address, parse_uri("ws://h/")).request().count(b"\r\n\r\n") == 1


@pytest.mark.parametrize(
    "uri, target",
    [
        ("ws://exchange.test/a?b", b"exchange.test:80"),
        ("wss://exchange.test", b"exchange.test:443"),
        ("wss://exchange.test:9443", b"exchange.test:9443"),
        ("ws://127.0.0.1", b"127.0.0.1:80"),
        ("wss://[::1]/", b"[::1]:443"),
        ("wss://[fe80::1%25eth0]:8443/", b"[fe80::1]:8443"),
        ("wss://bücher.example/", b"xn--bcher-kva.example:443"),
        ("wss://user:secret@exchange.test", b"exchange.test:443"),
    ],
)
def test_what_is_asked_for(uri, target):
    head, _, rest = tunnel(uri=uri).request().partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [b"CONNECT %b HTTP/1.1" % target, b"Host: %b" % target, b"User-Agent: jetsocket"]
    assert rest == b""


def test_credentials_are_sent_as_utf_8():
    request = tunnel("http://us%C3%A9r:p%40ss%3A@p").request()
    (value,) = (
        line.partition(b": ")[2] for line in request.split(b"\r\n") if line.startswith(b"Proxy-Authorization: ")
    )
    kind, _, encoded = value.partition(b" ")
    assert (kind, b64decode(encoded).decode()) == (b"Basic", "usér:p@ss:")


@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize(
    "answer",
    [
        OPENED,
        b"HTTP/1.0 200 \r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",  # both mean nothing here
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OPENED,
    ],
)
def test_open_whole_and_in_pieces(answer, size):
    assert answered(answer, size)


@pytest.mark.parametrize(
    "answer, reason",
    [
        (b"\x05\x00", r"it did not answer with HTTP, but b'\x05\x00'"),
        (b"SSH-2.0-x", "it did not answer with HTTP, but b'SSH-2.0'"),
        (b"HTTP/1.1\r\n\r\n", "its answer is no valid HTTP (illegal status line: bytearray(b'HTTP/1.1'))"),
        (OPENED + b"\x88\x00", "it sent more than its answer"),
    ],
)
def test_what_is_no_answer(answer, reason):
    with pytest.raises(ConnectionError) as caught:
        answered(answer)
    text = f"wss://exchange.test/stream: the proxy http://p:3128 gave no connection: {reason}"
    assert str(caught.value) == text
    assert (caught.value.phase, caught.value.retryable, type(caught.value)) == ("proxy", True, ConnectionError)


@pytest.mark.parametrize("answer", [b"", b"H", b"HTTP/1.1 200", OPENED[:-1], b"HTTP/1.1 100 Go on\r\n\r\n"])
def test_an_answer_that_ends_early(answer):
    asked = tunnel()
    asked.request()
    assert not answer or not asked.receive(answer)
    with pytest.raises(ConnectionError, match=r"it closed the connection before its answer$"):
        asked.receive(b"")


@pytest.mark.parametrize("status, retryable", [(302, True), (403, False), (407, False), (502, True), (501, False)])
@pytest.mark.parametrize("size", [None, 1])
def test_refusals(status, retryable, size):
    with pytest.raises(HandshakeError) as caught:
        answered(f"HTTP/1.1 {status} So so\r\nRetry-After: 9\r\nContent-Length: 3\r\n\r\nabc".encode(), size)
    error = caught.value
    assert str(error).endswith(f"gave no connection: it answered {status} So so{'' if retryable else ' (not retried)'}")
    assert (error.status_code, error.phase, error.retryable, error.retry_after) == (status, "proxy", retryable, 9.0)
    assert error.headers == [("Retry-After", "9"), ("Content-Length", "3")]


@pytest.mark.parametrize(
    "begin, line",
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + 100 * b"x" + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"", b"HTTP/1.1 100 Go on\r\n\r\n"),
    ],
    ids=["many headers", "one long header", "many interim answers"],
)
def test_a_head_without_end_is_given_up(begin, line):
    asked = tunnel()
    asked.request()
    assert not begin or not asked.receive(begin)
    with pytest.raises(ConnectionError, match="the proxy http://p:3128 gave no connection: "):
        for _ in range(2 + MAX_HEAD // len(line)):
            assert not asked.receive(line)
