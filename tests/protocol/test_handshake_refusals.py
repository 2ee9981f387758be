"""Upgrades that are refused, and what is no answer to one."""

from __future__ import annotations

import pytest

from jetsocket.protocol.handshake import MAX_BODY, MAX_FIELDS

from .upgrades import answer, feed, opened, refusal

# Refusals.


def test_401_with_a_json_body(pieces):
    body = b'{"code":-2015,"msg":"Invalid API-key"}'
    lines = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    error = refusal(opened(), pieces(answer(*lines, status="401 Unauthorized", body=body)))
    assert str(error) == f"ws://h/x answered 401 Unauthorized: {body.decode()} (not retried)"
    assert (error.status_code, error.body, error.retryable) == (401, body, False)
    assert ("Content-Type", "application/json") in error.headers


@pytest.mark.parametrize(
    "lines, body",
    [
        (["Content-Length: 4"], b"busy"),
        (["Transfer-Encoding: chunked"], b"2\r\nbu\r\n2\r\nsy\r\n0\r\n\r\n"),
        ([], b"busy"),
    ],
    ids=["length", "chunked", "until the end"],
)
def test_the_body_is_read(lines, body, pieces):
    error = refusal(opened(), pieces(answer(*lines, status="503 Service Unavailable", body=body)))
    assert str(error) == "ws://h/x answered 503 Service Unavailable: busy"
    assert (error.body, error.retryable) == (b"busy", True)


def test_a_body_that_ends_too_early(pieces):
    error = refusal(opened(), pieces(answer("Content-Length: 100", status="500 Oops", body=b"half")))
    assert str(error) == "ws://h/x answered 500 Oops: half"


def test_a_body_that_is_malformed(pieces):
    error = refusal(opened(), pieces(answer("Transfer-Encoding: chunked", status="500 Oops", body=b"zz\r\n")))
    assert str(error) == "ws://h/x answered 500 Oops"


def test_no_more_than_the_limit_of_the_body_is_kept():
    error = refusal(opened(), [answer(status="500 Oops", body=b"x" * 100_000)])
    assert error.body == b"x" * MAX_BODY
    assert refusal(opened(), [answer(status="500 Oops"), *[b"x" * 1000] * 5]).body == b"x" * MAX_BODY


def test_200_with_a_web_page(pieces):
    response = answer("Content-Type: text/html; charset=utf-8", status="200 OK", body=b"<html>")
    error = refusal(opened(), pieces(response))
    assert str(error) == ("ws://h/x answered 200 with text/html: a web page, not a WebSocket endpoint; check the path")


@pytest.mark.parametrize(
    "lines, now, seconds",
    [
        (["Retry-After: 7"], None, 7.0),
        (["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"], 784111777.0 - 9, 9.0),
        (["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", "Date: Sun, 06 Nov 1994 08:49:30 GMT"], 5.0, 7.0),
        (["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", "Date: today"], 784111777.0 - 9, 9.0),
        (["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"], None, None),
        (["Retry-After: soon"], 5.0, None),
        ([], 5.0, None),
    ],
)
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_retry_after(lines, now, seconds, status, pieces):
    error = refusal(opened(), pieces(answer(*lines, "Content-Length: 0", status=status)), now)
    assert error.retry_after == seconds
    assert error.retryable
    asked = f"; it asks to wait {seconds:g} s" if seconds is not None else ""
    assert str(error) == f"ws://h/x answered {status}{asked}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status, pieces):
    response = feed(opened(), pieces(answer("Location: /y", status=f"{status} Elsewhere")))
    assert not response.accepted
    assert (response.status_code, response.redirect) == (status, "/y")


@pytest.mark.parametrize("status", ["300 Choices", "304 Not Modified", "305 Use Proxy", "302 Found"])
def test_redirects_that_lead_nowhere(status, pieces):
    lines = ["Content-Length: 0"] if status.startswith("302") else ["Content-Length: 0", "Location: /y"]
    assert str(refusal(opened(), pieces(answer(*lines, status=status)))) == f"ws://h/x answered {status}"


def test_a_body_cannot_smuggle_control_characters_into_the_text(pieces):
    error = refusal(opened(), pieces(answer(status="400 Bad", body=b"a\x1b[31m\r\n b\x00\xff")))
    assert str(error) == "ws://h/x answered 400 Bad: a?[31m b?\N{REPLACEMENT CHARACTER}"


def test_a_plain_request_to_a_tls_port(pieces):
    body = b"The plain HTTP request was sent to HTTPS port"
    error = refusal(opened(), pieces(answer(status="400 Bad Request", body=body)))
    assert str(error) == f"ws://h/x answered 400 Bad Request: {body.decode()}; try wss://h/x"


# No answer at all.


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 101 Swi"])
def test_closed_before_the_upgrade(data):
    request = opened()
    assert request.receive(data) is None
    error = request.eof()
    assert str(error) == "ws://h/x closed before the upgrade; try wss://h/x"
    assert error.status_code is None
    assert str(opened("wss://h/x").eof()) == "wss://h/x closed before the upgrade"


def test_a_tls_port(pieces):
    error = refusal(opened(), pieces(b"\x15\x03\x03\x00\x02\x02\x16"))
    assert str(error) == "ws://h/x answered with TLS; try wss://h/x"


def test_another_protocol(pieces):
    error = refusal(opened(), pieces(b"SSH-2.0-OpenSSH_9.6\r\n"))
    assert str(error).startswith("ws://h/x did not answer with HTTP; it began with b'S")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3000,
    ],
    ids=["one header", "endless interim responses"],
)
def test_a_head_without_an_end(head):
    error = refusal(opened(), [head[i : i + 4096] for i in range(0, len(head), 4096)])
    assert str(error) == "ws://h/x answered with more than 65,536 bytes of headers"


@pytest.mark.parametrize("size", [64 * 1024, 200_000])
def test_a_head_that_is_too_long_and_whole(size):
    """The limit does not hang on how much one read brings."""
    error = refusal(opened(), [answer("X: " + "x" * size)])
    assert str(error) == "ws://h/x answered with more than 65,536 bytes of headers"
    assert opened().receive(answer("X: " + "x" * 60_000) + bytes(size)).accepted


def test_too_many_headers():
    assert opened().receive(answer(*["a:b"] * (MAX_FIELDS - 3))).accepted
    error = refusal(opened(), [answer(*["a:b"] * (MAX_FIELDS - 2))])
    assert str(error) == "ws://h/x answered with more than 256 headers"


def test_http_1_0_has_no_upgrade(pieces):
    error = refusal(opened(), pieces(answer().replace(b"HTTP/1.1", b"HTTP/1.0")))
    assert str(error) == "ws://h/x answered 101, but with HTTP/1.0, which has no upgrade"


def test_a_malformed_head():
    error = refusal(opened(), [b"HTTP/1.1 banana\r\n\r\n"])
    assert str(error).startswith("ws://h/x did not answer with HTTP (illegal status line")
    assert str(error).endswith("; it began with b'HTTP/1.1 banana\\r\\n\\r\\n'")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nX: a\r\n b: c\r\n: x\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\x81\x05hello",
        bytes(range(256)),
    ],
)
def test_malformed_answers(data, pieces):
    assert str(refusal(opened(), pieces(data))).startswith("ws://h/x ")
