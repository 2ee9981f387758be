from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.protocol.headers import (
    check_headers,
    check_subprotocols,
    parse_extensions,
    parse_http_date,
    parse_retry_after,
    portable,
    tokens,
)


@pytest.mark.parametrize(
    "given_headers, checked",
    [
        (None, []),
        ({}, []),
        ({"X-Key": " value\t"}, [("X-Key", "value")]),
        ([("Cookie", "a=1"), ("Cookie", "b=2")], [("Cookie", "a=1"), ("Cookie", "b=2")]),
        ([["X-Key", "ü"]], [("X-Key", "ü")]),
        ({"Host": "h", "Origin": "o", "User-Agent": ""}, [("Host", "h"), ("Origin", "o"), ("User-Agent", "")]),
    ],
)
def test_headers(given_headers, checked):
    assert check_headers(given_headers) == checked


@pytest.mark.parametrize(
    "headers, error, text",
    [
        ({"X-Key": 5}, TypeError, "header 'X-Key' must be a str, got int"),
        ({"X-Key": None}, TypeError, "header 'X-Key' must be a str, got NoneType"),
        ({"X-Key": b"secret"}, TypeError, "header 'X-Key' must be a str, got bytes"),
        ({5: "x"}, TypeError, "the name of a header must be a str, got int"),
        ({"X-Key": "a\r\nY: b"}, ValueError, "header 'X-Key' must not contain '\\r' (at position 1)"),
        ({"X-Key": "a\nb"}, ValueError, "header 'X-Key' must not contain '\\n' (at position 1)"),
        ({"X-Key": "ab\0"}, ValueError, "header 'X-Key' must not contain '\\x00' (at position 2)"),
        ({"X-Key": "\ud800"}, ValueError, "header 'X-Key' holds characters that UTF-8 cannot encode"),
        ({"X Key": "a"}, ValueError, "the name of a header cannot hold ' ' (after 'X')"),
        ({"X-Key\r\nY": "a"}, ValueError, "the name of a header cannot hold '\\r' (after 'X-Key')"),
        ({"": "a"}, ValueError, "the name of a header is empty"),
        ({"X:": "a"}, ValueError, "the name of a header cannot hold ':' (after 'X')"),
        ({"Upgrade": "h2c"}, ValueError, "header 'Upgrade' is set by the upgrade itself and cannot be given"),
        ({"connection": "close"}, ValueError, "header 'connection' is set by the upgrade itself and cannot be given"),
        (
            {"Sec-WebSocket-Key": "x"},
            ValueError,
            "header 'Sec-WebSocket-Key' is set by the upgrade itself and cannot be given",
        ),
        (
            {"Sec-WebSocket-Protocol": "x"},
            ValueError,
            "header 'Sec-WebSocket-Protocol' is set by the upgrade itself; use subprotocols=",
        ),
        (
            {"sec-websocket-extensions": "x"},
            ValueError,
            "header 'sec-websocket-extensions' is set by the upgrade itself; use compress=",
        ),
        (
            {"Content-Length": "5"},
            ValueError,
            "header 'Content-Length' is set by the upgrade itself and cannot be given",
        ),
        ([("Host", "a"), ("host", "b")], ValueError, "header 'Host' is given more than once"),
        ("X-Key: a", TypeError, "extra_headers must be a mapping or pairs of str, got str"),
        (5, TypeError, "extra_headers must be a mapping or pairs of str, got int"),
        (["X-Key: a"], TypeError, "extra_headers must be a mapping or pairs of str, got str in it"),
        ([("a", "b", "c")], TypeError, "extra_headers must be a mapping or pairs of str, got tuple in it"),
    ],
)
def test_headers_that_are_refused_by_name(headers, error, text):
    with pytest.raises(error) as caught:
        check_headers(headers)
    assert str(caught.value) == text


def test_no_refusal_tells_the_value():
    for value in ("secret\r\n", "secret\ud800", b"secret"):
        with pytest.raises((TypeError, ValueError)) as caught:
            check_headers({"X-Key": value})
        assert "secret" not in str(caught.value)


@given(st.text(), st.text())
def test_what_passes_cannot_inject(name, value):
    try:
        ((name, value),) = check_headers([(name, value)])
    except ValueError:
        return
    assert not set(name) & set("\r\n\0: ")
    assert not set(value) & set("\r\n\0")


def test_subprotocols():
    assert check_subprotocols(None) == []
    assert check_subprotocols(["a", "b"]) == ["a", "b"]
    assert check_subprotocols(iter(("a",))) == ["a"]


@pytest.mark.parametrize(
    "subprotocols, error, text",
    [
        ("chat", TypeError, "subprotocols must be a list of str, got str 'chat'"),
        (5, TypeError, "subprotocols must be a list of str, got int 5"),
        ([b"chat"], TypeError, "subprotocols must be a list of str, got bytes b'chat' in it"),
        (["a b"], ValueError, "subprotocol 'a b' is not a valid token"),
        (["a\r\nb"], ValueError, "subprotocol 'a\\r\\nb' is not a valid token"),
        ([""], ValueError, "subprotocol '' is not a valid token"),
        (["a", "a"], ValueError, "subprotocol 'a' is given more than once"),
    ],
)
def test_subprotocols_that_are_refused(subprotocols, error, text):
    with pytest.raises(error) as caught:
        check_subprotocols(subprotocols)
    assert str(caught.value) == text


def test_tokens():
    assert tokens(["keep-alive, Upgrade", "", " ,x"]) == {"keep-alive", "upgrade", "x"}
    assert tokens([]) == set()


@pytest.mark.parametrize(
    "value, parsed",
    [
        ("", []),
        (" , ,", []),
        ("a", [("a", [])]),
        ("a, b", [("a", []), ("b", [])]),
        ("a;x", [("a", [("x", None)])]),
        ('a; x=1 ; y , b;z="2"', [("a", [("x", "1"), ("y", None)]), ("b", [("z", "2")])]),
        ('a;x="1\\0"', [("a", [("x", "10")])]),
    ],
)
def test_extensions(value, parsed):
    assert parse_extensions(value) == parsed


@pytest.mark.parametrize("value", [";", "a;", "a b", "a;x=", "a;=1", 'a;x="', 'a;x="a b"', "a;x=1 2", "é", 'a;x=""'])
def test_malformed_extensions(value):
    with pytest.raises(ValueError, match=r"^malformed extensions "):
        parse_extensions(value)


def test_endless_extensions():
    with pytest.raises(ValueError, match=r"^extensions of 5000 characters, more than 4096$"):
        parse_extensions("," * 5000)


@given(st.text(alphabet='ab;=," \\\t'))
def test_any_extensions_are_parsed_or_refused(value):
    problem = "malformed extensions"
    try:
        parse_extensions(value)
    except ValueError as error:
        problem = str(error)
    assert problem.startswith("malformed extensions")


@pytest.mark.parametrize(
    "value, now, seconds",
    [
        ("7", None, 7.0),
        (" 0 ", None, 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0 - 30, 30.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0 + 30, 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None, None),
        *((bad, 0.0, None) for bad in ("", "-1", "1.5", "soon", "\u0667", "Sun, 99 Nov 1994 08:49:37 GMT")),
    ],
)
def test_retry_after(value, now, seconds):
    assert parse_retry_after(value, now) == seconds


@given(st.text())
def test_any_date_is_parsed_or_none(value):
    assert parse_http_date(value) is None or isinstance(parse_http_date(value), float)


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("1000000000", 1e9),
        ("9" * 16, 1e15 - 1),
        ("9" * 60_000, 1e15 - 1),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 37.0),
        ("Sun, 06 Nov 1994 08:49:37 +99999999999999", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
def test_an_odd_retry_after(value, seconds):
    assert parse_retry_after(value, 784111740.0) == seconds


def test_what_may_go_to_another_origin():
    given = {"Authorization": "x", "cookie": "x", "X-Key": "x", "Host": "h", "user-agent": "me", "ORIGIN": "o"}
    assert portable(given) == [("user-agent", "me"), ("ORIGIN", "o")]
    assert portable(None) == []
