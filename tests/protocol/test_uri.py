from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.errors import HandshakeError, InvalidURIError
from jetsocket.protocol.uri import parse_uri, redirected


@pytest.mark.parametrize(
    "uri, host, port, resource, host_header",
    [
        ("ws://example.com", "example.com", 80, "/", "example.com"),
        ("wss://example.com", "example.com", 443, "/", "example.com"),
        ("wss://example.com:443/a", "example.com", 443, "/a", "example.com"),
        ("ws://example.com:443/a", "example.com", 443, "/a", "example.com:443"),
        ("wss://example.com:9443/stream?x=1&y=2", "example.com", 9443, "/stream?x=1&y=2", "example.com:9443"),
        ("ws://example.com?x=1", "example.com", 80, "/?x=1", "example.com"),
        ("ws://example.com:/", "example.com", 80, "/", "example.com"),
        ("ws://example.com:0080/", "example.com", 80, "/", "example.com"),
        ("WS://EXAMPLE.com/Path", "example.com", 80, "/Path", "example.com"),
        ("ws://127.0.0.1:8080/btcusdt@trade", "127.0.0.1", 8080, "/btcusdt@trade", "127.0.0.1:8080"),
        ("ws://[::1]/", "::1", 80, "/", "[::1]"),
        ("ws://[0:0::0:1]:8080/", "::1", 8080, "/", "[::1]:8080"),
        ("ws://[fe80::1%25eth0]:8080/", "fe80::1%eth0", 8080, "/", "[fe80::1]:8080"),
        ("ws://[fe80::1%eth0]:8080/", "fe80::1%eth0", 8080, "/", "[fe80::1]:8080"),
        ("ws://bücher.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("ws://my_host/", "my_host", 80, "/", "my_host"),
        ("ws://example.com./", "example.com.", 80, "/", "example.com."),
        ("ws://h/ü?q=é", "h", 80, "/%C3%BC?q=%C3%A9", "h"),
        ("ws://h/a%20b/%zz", "h", 80, "/a%20b/%zz", "h"),
        ('ws://h/"<>\\^`{|}', "h", 80, "/%22%3C%3E%5C%5E%60%7B%7C%7D", "h"),
    ],
)
def test_addresses(uri, host, port, resource, host_header):
    address = parse_uri(uri)
    assert (address.host, address.port, address.resource, address.host_header) == (host, port, resource, host_header)
    assert address.secure is uri.lower().startswith("wss")
    assert address.authorization is None
    assert str(address) == address.safe == uri


@pytest.mark.parametrize(
    "userinfo, decoded",
    [
        ("user:secret", b"user:secret"),
        ("user", b"user:"),
        ("user:", b"user:"),
        (":secret", b":secret"),
        ("user:a:b", b"user:a:b"),
        ("user:p%40ss%3A", b"user:p@ss:"),
        ("user:p@ss", b"user:p@ss"),
        ("us%C3%A9r:ü", "usér:ü".encode()),
    ],
)
def test_user_information_becomes_basic_authorization_and_is_never_shown(userinfo, decoded):
    address = parse_uri(f"ws://{userinfo}@host/path")
    assert address.authorization == "Basic " + base64.b64encode(decoded).decode()
    assert address.safe == "ws://host/path"
    assert address.authorization not in repr(address)
    assert userinfo not in repr(address)


REFUSED = [
    ("http://127.0.0.1:8080", "scheme must be ws or wss, got 'http'; did you mean ws://127.0.0.1:8080?"),
    ("https://h/x", "scheme must be ws or wss, got 'https'; did you mean wss://h/x?"),
    ("ftp://h", "scheme must be ws or wss, got 'ftp'"),
    ("127.0.0.1:8080", "'127.0.0.1:8080' has no scheme; did you mean wss://127.0.0.1:8080?"),
    ("localhost/x", "'localhost/x' has no scheme; did you mean wss://localhost/x?"),
    ("//h/x", "'//h/x' has no scheme; did you mean wss://h/x?"),
    ("", "the address is empty"),
    (" \n", "the address is empty"),
    ("ws:h/x", "ws:h/x: no '//' after the scheme; did you mean ws://h/x?"),
    ("wss:/h/x", "wss:/h/x: no '//' after the scheme; did you mean wss://h/x?"),
    ("ws://127.0.0.1:99999", "ws://127.0.0.1:99999: port must be 1 to 65535, got 99999"),
    ("ws://127.0.0.1:0/", "ws://127.0.0.1:0/: port must be 1 to 65535, got 0"),
    ("ws://127.0.0.1:abc", "ws://127.0.0.1:abc: port must be a number, got 'abc'"),
    ("ws://h:-1", "ws://h:-1: port must be a number, got '-1'"),
    ("ws://h:٣", "ws://h:٣: port must be a number, got '٣'"),
    ("ws://", "ws://: no host after the scheme"),
    ("ws:///x", "ws:///x: no host after the scheme"),
    ("ws://:80/", "ws://:80/: no host after the scheme"),
    ("ws://h/#x", "ws://h/#x: a WebSocket address has no fragment; write '#' as %23"),
    ("ws://h/a b", "ws://h/a b: ' ' cannot stand in an address (at position 8)"),
    ("ws://h/a\r\nX: y", "ws://h/a\\r\\nX: y: '\\r' cannot stand in an address (at position 8)"),
    ("ws://h/\0", "ws://h/\\x00: '\\x00' cannot stand in an address (at position 7)"),
    (" ws://h/", " ws://h/: ' ' cannot stand in an address (at position 0)"),
    ("ws://::1/", "ws://::1/: an IPv6 address stands in brackets, as in ws://[::1]/"),
    ("ws://[::1/", "ws://[::1/: the bracket of the IPv6 address is not closed"),
    ("ws://[::1]80/", "ws://[::1]80/: '80' cannot follow the IPv6 address; a port needs a colon"),
    ("ws://[zz]/", "ws://[zz]/: '[zz]' is not a valid IPv6 address"),
    ("ws://[fe80::1%25]/", "ws://[fe80::1%25]/: '' is not a valid IPv6 zone"),
    ('ws://[fe80::1%é"]/', "ws://[fe80::1%é\"]/: 'é\"' is not a valid IPv6 zone"),
    ("ws://[zz\ud800]/", "ws://[zz\\ud800]/: '[zz\\ud800]' is not a valid IPv6 address"),
    ("ws://::\ud800/", "ws://::\\ud800/: an IPv6 address stands in brackets, as in ws://[::\\ud800]/"),
    ("ws://-h/", "ws://-h/: '-h' is not a valid host name"),
    ("ws://%41/", "ws://%41/: '%41' is not a valid host name"),
    ("ws://a..b/", "ws://a..b/: a host name has 1 to 63 characters between its dots and 253 in all"),
    ("ws://h/\ud800", "ws://h/\\ud800: the path holds characters that UTF-8 cannot encode"),
]


@pytest.mark.parametrize("uri, text", REFUSED, ids=[ascii(uri) for uri, _ in REFUSED])
def test_refusals_say_why(uri, text):
    with pytest.raises(InvalidURIError) as caught:
        parse_uri(uri)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:secret@h",
        "ws://user:secret@h:99999",
        "ws://user:se/cret@h:80/",
        "ws://user:se#secret@h/",
        "ws://user:se?secret@h/",
        "user:secret@h:80",
        "ws:user:secret@h",
        "ws://user:secret@h/a b",
        "ws://user:secret@[zz]/",
        "ws://us%3Aer:secret@h/",
        "ws://user:secret%0D@h/",
        "ws://user:secret\ud800@h/",
    ],
)
def test_no_refusal_tells_the_password(uri):
    with pytest.raises(InvalidURIError) as caught:
        parse_uri(uri)
    assert "secret" not in str(caught.value) + repr(vars(caught.value))
    assert "cret@" not in str(caught.value)


@pytest.mark.parametrize("uri", [None, 5, b"ws://h", ["ws://h"]])
def test_what_is_no_text(uri):
    with pytest.raises(TypeError, match=r"^uri must be a str, got "):
        parse_uri(uri)


def test_a_host_name_that_is_too_long():
    with pytest.raises(InvalidURIError, match="1 to 63 characters"):
        parse_uri(f"ws://{'a' * 64}/")
    with pytest.raises(InvalidURIError, match="not a valid international host name"):
        parse_uri(f"ws://{'ü' * 64}/")


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    for uri in (text, "ws://" + text, "wss://h/" + text, "ws://h:" + text):
        try:
            address = parse_uri(uri)
        except InvalidURIError:
            continue
        assert address.resource.startswith("/")
        assert address.resource.isascii()
        assert not set(address.resource + address.host + address.host_header) & set(" \r\n\0")


@pytest.mark.parametrize(
    "location, expected",
    [
        ("/other", "wss://h:9/other"),
        ("other?x", "wss://h:9/a/other?x"),
        ("//o/x", "wss://o/x"),
        ("https://o/x", "wss://o/x"),
        ("wss://o/x#part", "wss://o/x"),
        ("HTTPS://o/x", "wss://o/x"),
    ],
)
def test_redirects(location, expected):
    assert str(redirected(parse_uri("wss://h:9/a/b"), location)) == expected


def test_credentials_follow_a_redirect_to_the_same_origin_alone():
    address = parse_uri("wss://user:secret@h/a")
    assert redirected(address, "/b").authorization == address.authorization
    assert redirected(address, "wss://h:443/b").authorization == address.authorization
    for elsewhere in ("wss://o/b", "wss://h:444/b"):
        assert redirected(address, elsewhere).authorization is None


def test_a_redirect_to_plain_text_is_refused():
    for location in ("ws://h/a", "http://h/a"):
        with pytest.raises(HandshakeError) as caught:
            redirected(parse_uri("wss://h/a"), location)
        assert str(caught.value) == "wss://h/a redirects to ws://h/a, which is not encrypted: not followed"
        assert not caught.value.retryable


def test_a_redirect_to_nowhere():
    with pytest.raises(HandshakeError, match="redirects to an address that cannot be used: scheme must be ws or wss"):
        redirected(parse_uri("ws://h/a"), "ftp://h/a")


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://[x]/", "//\N{CARE OF}/", "http://h:x/", "mailto:a@b", "/a b"]
)
def test_a_location_that_is_no_address(location):
    with pytest.raises(HandshakeError, match="redirects to an address that cannot be used: ") as caught:
        redirected(parse_uri("ws://h/a"), location)
    assert "did you mean" not in str(caught.value)
    assert isinstance(caught.value.__cause__, InvalidURIError)


def test_a_long_location_is_quoted_in_part():
    with pytest.raises(HandshakeError) as caught:
        redirected(parse_uri("ws://h/a"), "http://h:x/" + "y" * 60_000)
    assert len(str(caught.value)) < 500


def test_a_location_that_is_not_ascii_is_taken_byte_for_byte():
    location = "/\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1")
    assert redirected(parse_uri("ws://h/a"), location).resource == "/%C3%A9"


def test_credentials_of_a_location_are_not_used():
    address = parse_uri("ws://user:secret@h/a")
    assert redirected(address, "ws://mallory:x@h/b").authorization == address.authorization
    assert redirected(address, "ws://mallory:x@o/b").authorization is None
