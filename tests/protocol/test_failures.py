"""The exact text of every sentence, and the facts beside it."""

from __future__ import annotations

import errno
import pickle

import pytest

from jetsocket.protocol import failures
from jetsocket.protocol.states import ConnectionState
from jetsocket.protocol.uri import parse_uri

PLAIN = parse_uri("ws://user:secret@127.0.0.1:1")
SECURE = parse_uri("wss://user:secret@example.com/x")


def check(error, text, **facts):
    assert str(error) == text
    for name, value in facts.items():
        assert getattr(error, name) == value, name
    assert "secret" not in repr(vars(error)) + text
    assert str(pickle.loads(pickle.dumps(error))) == text


def test_unknown_host():
    address = parse_uri("ws://no-such-host.invalid/")
    error = failures.connect_failed(address, 0.01, OSError(-2, "Name or service not known"), "resolve")
    check(
        error,
        "cannot resolve 'no-such-host.invalid' (Name or service not known)",
        uri="ws://no-such-host.invalid/",
        phase="resolve",
        elapsed=0.01,
        retryable=True,
        hint="check the host name and this machine's DNS",
    )
    check(
        failures.with_next_attempt(error, 1, 0.5),
        "cannot resolve 'no-such-host.invalid' (Name or service not known), attempt 1, next in 0.5 s",
        attempt=1,
        retry_in=0.5,
    )


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), OSError(errno.ECONNREFUSED, "x")]
)
def test_refused_port(error):
    check(
        failures.connect_failed(PLAIN, 0.001, error),
        "ws://127.0.0.1:1 refused the connection; is the server running?",
        phase="connect",
        uri="ws://127.0.0.1:1",
    )


@pytest.mark.parametrize(
    "error, reason",
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "Network is unreachable"),
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions: a, b"),
        (OSError(), "OSError"),
    ],
)
def test_unreachable(error, reason):
    check(failures.connect_failed(PLAIN, 0.001, error), f"ws://127.0.0.1:1 cannot be reached: {reason}")


def test_the_last_attempt():
    error = failures.connect_failed(PLAIN, 0.001, ConnectionRefusedError())
    text = "ws://127.0.0.1:1 refused the connection; is the server running? (attempt 5, the last)"
    check(failures.with_next_attempt(error, 5, None), text, attempt=5, retry_in=None)


def test_what_is_not_retried_says_so_by_itself():
    error = failures.closed(PLAIN, 1008, "", "server", 1.0, 0)
    text = str(error)
    check(failures.with_next_attempt(error, 2, None), text, attempt=2)


@pytest.mark.parametrize(
    "phase, connected_in, text",
    [
        ("resolve", None, "'example.com' was not resolved in 2.0 s; connect_timeout sets the limit"),
        ("connect", None, "wss://example.com/x: no TCP connection in 2.0 s; connect_timeout sets the limit"),
        ("proxy", None, "wss://example.com/x: the proxy gave no connection in 2.0 s; connect_timeout sets the limit"),
        (
            "tls",
            0.0004,
            "wss://example.com/x: TLS handshake not finished in 2.0 s (TCP connected in 0.4 ms); a plain ws:// port?",
        ),
        (
            "upgrade",
            0.0004,
            (
                "wss://example.com/x: no answer to the upgrade in 2.0 s (TCP connected in 0.4 ms);"
                " connect_timeout sets the limit"
            ),
        ),
    ],
)
def test_timeouts(phase, connected_in, text):
    error = failures.connect_timed_out(SECURE, phase, 2.5, 2.0, connected_in=connected_in)
    check(error, text, phase=phase, elapsed=2.0, timeout=2.5, operation=f"connect ({phase})", retryable=True)
    assert isinstance(error, TimeoutError)


@pytest.mark.parametrize(
    "status, reason, headers, body, text",
    [
        (403, "Forbidden", [], b"", "ws://127.0.0.1:1 answered 403 Forbidden (not retried)"),
        (500, "", [], b"", "ws://127.0.0.1:1 answered 500"),
        (500, "Oops", [], b"a\n b", "ws://127.0.0.1:1 answered 500 Oops: a b"),
        (502, "Bad", [("content-type", "Text/HTML")], b"<html>", "ws://127.0.0.1:1 answered 502 Bad"),
        (
            200,
            "OK",
            [("Content-Type", "application/json")],
            b"{}",
            "ws://127.0.0.1:1 answered 200 with application/json: not a WebSocket endpoint; check the path",
        ),
        (204, "", [], b"", "ws://127.0.0.1:1 answered 204: not a WebSocket endpoint; check the path"),
    ],
)
def test_refused_upgrades(status, reason, headers, body, text):
    check(
        failures.upgrade_refused(PLAIN, status, reason, headers, body, None),
        text,
        status_code=status,
        headers=headers,
        body=body,
        phase="upgrade",
    )


def test_a_long_body_is_cut():
    error = failures.upgrade_refused(PLAIN, 500, "Oops", [], b"x" * 300, None)
    check(error, f"ws://127.0.0.1:1 answered 500 Oops: {'x' * 199}…", body=b"x" * 300)


@pytest.mark.parametrize(
    "seconds, said",
    [
        (7.0, "it asks to wait 7 s"),
        (3600.0, "it asks to wait 3600 s"),
        (3601.0, "it asks to wait 1 h, 1 h is the most"),
        (1e9, "it asks to wait 11574 d 2 h, 1 h is the most"),
    ],
)
def test_how_long_a_server_asks_to_wait(seconds, said):
    error = failures.upgrade_refused(PLAIN, 503, "Busy", [], b"", seconds)
    check(error, f"ws://127.0.0.1:1 answered 503 Busy; {said}", retry_after=seconds)


@pytest.mark.parametrize("first", [b"\x15\x03\x01\x00\x02\x02\x0a", b"\x16\x03\x03"])
def test_tls_in_place_of_http(first):
    error = failures.not_http(PLAIN, first, "illegal request line")
    check(error, "ws://127.0.0.1:1 answered with TLS; try wss://127.0.0.1:1", hint="try wss://127.0.0.1:1")


def test_something_else_in_place_of_http():
    check(
        failures.not_http(PLAIN, b"220 mail.example.com ESMTP ready\r\nand so on", "illegal status line"),
        "ws://127.0.0.1:1 did not answer with HTTP (illegal status line); "
        "it began with b'220 mail.example.com ESMTP ready\\r\\nand so'",
        phase="upgrade",
        hint=None,
    )
    check(failures.not_http(PLAIN, b""), "ws://127.0.0.1:1 did not answer with HTTP; it began with b''")


def test_a_server_that_wants_tls_and_says_so():
    body = b"The plain HTTP request was sent to HTTPS port"
    check(
        failures.upgrade_refused(PLAIN, 400, "Bad Request", [("Content-Type", "text/html")], body, None),
        "ws://127.0.0.1:1 answered 400 Bad Request; try wss://127.0.0.1:1",
        status_code=400,
        body=body,
        hint="try wss://127.0.0.1:1",
    )


def test_a_101_that_is_none():
    headers = [("Upgrade", "h2c")]
    check(
        failures.upgrade_invalid(PLAIN, headers, "its Upgrade is h2c"),
        "ws://127.0.0.1:1 answered 101, but its Upgrade is h2c",
        status_code=101,
        headers=headers,
        phase="upgrade",
    )


def test_too_many_redirects():
    last = parse_uri("wss://user:secret@other.test/y")
    check(
        failures.redirected_too_often(SECURE, 5, last, 0.1, 302, [("Location", "x")]),
        "wss://example.com/x redirects more than 5 times, last to wss://other.test/y",
        status_code=302,
        headers=[("Location", "x")],
        phase="upgrade",
        elapsed=0.1,
        retryable=False,
    )


def test_a_reset_during_the_upgrade():
    error = failures.closed_before_upgrade(SECURE, "Connection reset by peer")
    check(error, "wss://example.com/x closed before the upgrade (Connection reset by peer)", status_code=None)


def test_closed_by_policy():
    check(
        failures.closed(PLAIN, 1008, "bad token", "server", 10_920.0, 1_200_000),
        "ws://127.0.0.1:1: closed by the server with 1008 (policy violation): bad token, after 3 h 2 min and 1,200,000"
        " messages; not retried",
        code=1008,
        reason="bad token",
        by="server",
        phase="open",
        elapsed=10_920.0,
        retryable=False,
    )


@pytest.mark.parametrize(
    "code, by, messages, text",
    [
        (1000, "client", 1, "closed by the client with 1000 (normal closure), after 2.0 s and 1 message"),
        (
            1006,
            "client",
            2,
            "closed by the client, and the server did not answer the close frame, after 2.0 s and 2 messages",
        ),
        (1005, "server", 0, "closed by the server with 1005 (no code given), after 2.0 s and 0 messages"),
        (1012, "server", 2, "closed by the server with 1012 (service restart), after 2.0 s and 2 messages"),
        (3000, "server", 2, "closed by the server with 3000 (registered code), after 2.0 s and 2 messages"),
        (4000, "server", 2, "closed by the server with 4000 (private code), after 2.0 s and 2 messages"),
    ],
)
def test_closed(code, by, messages, text):
    check(failures.closed(PLAIN, code, "", by, 2.0, messages), f"ws://127.0.0.1:1: {text}", retryable=True)


@pytest.mark.parametrize(
    "last_message, options, text",
    [
        (1.25, {"reset": True}, "the connection was reset, after 2 min 5 s, last message 1.2 s ago"),
        (
            1.25,
            {"reset": False},
            "the server ended the stream without a close frame, after 2 min 5 s, last message 1.2 s ago",
        ),
        (
            None,
            {"reset": False, "in_message": True},
            "the server ended the stream without a close frame, amid a message, after 2 min 5 s, without a message",
        ),
        (
            0.01,
            {"reset": True, "detail": "Broken pipe"},
            "the connection was reset (Broken pipe), after 2 min 5 s, last message 10.0 ms ago",
        ),
    ],
)
def test_reset_and_end_of_stream_are_told_apart(last_message, options, text):
    check(failures.lost(PLAIN, 125.0, last_message, **options), f"ws://127.0.0.1:1: {text}", elapsed=125.0)


def test_no_pong():
    check(failures.no_pong(PLAIN, 0.3, 0.61), "ws://127.0.0.1:1: no pong in 0.30 s, last data 0.61 s ago", phase="open")


def test_protocol_violations():
    check(
        failures.violated(PLAIN, 1002, "a masked frame from the server", 100),
        "ws://127.0.0.1:1: closed with 1002 (protocol error), the server sent a masked frame from the server",
        code=1002,
        hint=None,
    )
    check(
        failures.violated(PLAIN, 1009, "a message of at least 2000000 bytes, over 1000000", 1_000_000),
        "ws://127.0.0.1:1: closed with 1009 (message too big), the server sent a message of at least 2000000 bytes;"
        " max_message_size sets the limit, now 1,000,000 bytes",
        code=1009,
    )
    inflating = failures.violated(PLAIN, 1009, "a compressed message that inflates to more than 1000 bytes", 1000)
    assert str(inflating).endswith("that inflates to more; max_message_size sets the limit, now 1,000 bytes")


def test_send_after_close():
    error = failures.used_after_close(
        "send", ConnectionState.CLOSED, 12.0, "closed by the server with 1000 (normal closure)"
    )
    check(
        error,
        "cannot send: the connection was closed 12.0 s ago (closed by the server with 1000 (normal closure))",
        current_state=ConnectionState.CLOSED,
        required_states=(ConnectionState.CONNECTED,),
        operation="send",
    )
    check(failures.used_after_close("recv", ConnectionState.CLOSED, None, ""), "cannot recv: the connection was closed")


def test_an_unserialisable_object():
    error = failures.unserialisable("msgspec.json.encode", object(), TypeError("Encoding objects of type object"))
    assert isinstance(error, TypeError)
    assert str(error) == (
        "send: msgspec.json.encode cannot serialise object: Encoding objects of type object; see serializer="
    )


def test_an_unknown_keyword():
    known = ["heartbeat", "backoff", "proxy"]
    error = failures.unknown_option("WebSocket", "heartbeet", known)
    assert isinstance(error, TypeError)
    assert str(error) == "WebSocket() has no option 'heartbeet'; did you mean 'heartbeat'?"
    assert str(failures.unknown_option("Multiplex", "zzz", known)) == "Multiplex() has no option 'zzz'"


@pytest.mark.parametrize(
    "text, shown",
    [("a\r\n  b\tc", "a b c"), ("a\x1b[0mb\x07", "a?[0mb?"), ("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…")],
)
def test_what_is_quoted_is_one_printable_line(text, shown):
    assert failures.quoted(text) == shown
