from __future__ import annotations

import base64

import pytest

from jetsocket.errors import HandshakeError
from jetsocket.protocol.deflate import DeflateOffer, DeflateParameters
from jetsocket.protocol.handshake import MAX_BODY, MAX_FIELDS, Upgrade, accept_value
from jetsocket.protocol.uri import parse_uri

KEY = base64.b64decode("dGhlIHNhbXBsZSBub25jZQ==")  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade(uri="ws://h/x", **options):
    return Upgrade(parse_uri(uri), key=KEY, **options)


def opened(uri="ws://h/x", **options):
    """One whose request is sent."""
    request = upgrade(uri, **options)
    request.request()
    return request


def answer(
    *lines, status="101 Switching Protocols", accept=ACCEPT, upgrade="websocket", connection="Upgrade", body=b""
):
    head = [f"HTTP/1.1 {status}"]
    if status.startswith("101"):
        fields = {"Upgrade": upgrade, "Connection": connection, "Sec-WebSocket-Accept": accept}
        head += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


def feed(request, reads, now=None):
    """The response, or None; the response must come with the last read."""
    for data in reads[:-1]:
        assert request.receive(data, now) is None
    return request.receive(reads[-1], now)


def refusal(request, reads, now=None):
    """The error that these reads, and the end of the stream after them, lead to."""
    error = None
    for data in reads:
        try:
            assert request.receive(data, now) is None
        except HandshakeError as raised:
            error = raised
            break
    error = error or request.eof(now)
    assert error.phase == "upgrade"
    return error


# The request.


def test_the_request():
    assert upgrade("ws://h:8080/x?y").request() == (
        b"GET /x?y HTTP/1.1\r\n"
        b"Host: h:8080\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"User-Agent: jetsocket\r\n"
        b"\r\n"
    )


def test_the_request_with_everything():
    request = upgrade(
        "ws://user:secret@h",
        subprotocols=["a", "b"],
        origin="https://o",
        compression=DeflateOffer(),
        user_agent="me/1",
        extra_headers={"X-Key": "ü"},
    ).request()
    lines = request.split(b"\r\n")
    assert b"Sec-WebSocket-Protocol: a, b" in lines
    assert b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits" in lines
    assert b"Origin: https://o" in lines
    assert b"User-Agent: me/1" in lines
    assert b"Authorization: Basic " + base64.b64encode(b"user:secret") in lines
    assert "X-Key: ü".encode() in lines


def test_some_headers_may_be_replaced():
    given = {"host": "other", "ORIGIN": "o", "User-Agent": "me", "Authorization": "Bearer x"}
    lines = upgrade("ws://user:secret@h", origin="https://p", extra_headers=given).request().split(b"\r\n")
    assert lines[1] == b"host: other"
    for name in (b"host", b"origin", b"user-agent", b"authorization"):
        assert len([line for line in lines if line.lower().startswith(name + b":")]) == 1
    assert b"Authorization: Bearer x" in lines


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"extra_headers": {"X-Key": 5}}, TypeError, "header 'X-Key' must be a str, got int"),
        ({"extra_headers": {"X-Key": "a\r\nb"}}, ValueError, r"header 'X-Key' must not contain '\\r'"),
        ({"origin": "a\r\nb"}, ValueError, r"header 'Origin' must not contain '\\r'"),
        ({"user_agent": "a\nb"}, ValueError, r"header 'User-Agent' must not contain '\\n'"),
        ({"subprotocols": "chat"}, TypeError, "subprotocols must be a list of str"),
    ],
)
def test_nothing_is_made_of_bad_input(options, error, text):
    with pytest.raises(error, match=text):
        upgrade(**options)


def test_a_key_has_sixteen_bytes():
    with pytest.raises(ValueError, match="key must be 16 bytes, got 3"):
        Upgrade(parse_uri("ws://h"), key=b"abc")


def test_the_accept_value_of_the_rfc():
    assert accept_value(KEY) == ACCEPT


# Acceptance.


def test_accepted(pieces):
    response = feed(opened(), pieces(answer("X-Key: a"), b"\x81\x01a"))
    assert response.accepted
    assert response.status_code == 101
    assert ("X-Key", "a") in response.headers
    assert (response.subprotocol, response.deflate, response.redirect) == (None, None, None)
    assert response.trailing in (b"", b"\x81\x01a")


def test_what_follows_the_response_is_handed_on():
    assert opened().receive(answer() + b"\x81\x01a").trailing == b"\x81\x01a"
    frames = bytes(200_000)
    assert opened().receive(answer() + frames).trailing == frames


@pytest.mark.parametrize(
    "options",
    [
        {"upgrade": "WebSocket"},
        {"connection": "keep-alive, upgrade"},
        {"connection": "UPGRADE"},
        {"status": "101 "},
        {"status": "101 Whatever"},
    ],
)
def test_what_servers_write_differently(options, pieces):
    assert feed(opened(), pieces(answer(**options))).accepted


def test_interim_responses_are_passed_over(pieces):
    assert feed(opened(), pieces(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer())).accepted


@pytest.mark.parametrize(
    "response, problem",
    [
        (answer(upgrade=None), "without 'Upgrade: websocket'"),
        (answer(upgrade="h2c"), "without 'Upgrade: websocket'"),
        (answer(connection=None), "without 'Connection: Upgrade'"),
        (answer(connection="close"), "without 'Connection: Upgrade'"),
        (answer(accept=None), "without Sec-WebSocket-Accept: not a WebSocket server"),
        (
            answer(accept="x" + ACCEPT[1:]),
            "its Sec-WebSocket-Accept does not match: not a WebSocket server, or a cache's answer",
        ),
        (
            answer(accept=ACCEPT.lower()),
            "its Sec-WebSocket-Accept does not match: not a WebSocket server, or a cache's answer",
        ),
        (answer("Sec-WebSocket-Protocol: a"), "with the subprotocol 'a'; offered: none"),
        (
            answer("Sec-WebSocket-Extensions: permessage-deflate"),
            "with the extension 'permessage-deflate', which was not offered",
        ),
        (answer("Sec-WebSocket-Extensions: ;"), "malformed extensions ';'"),
    ],
)
def test_an_acceptance_that_is_none(response, problem, pieces):
    error = refusal(opened(), pieces(response))
    assert str(error) == f"ws://h/x answered 101, but {problem}"
    assert error.status_code == 101
    assert error.uri == "ws://h/x"


def test_no_other_version_of_http_has_an_upgrade_behind_an_interim_response_either(pieces):
    response = b"HTTP/1.1 100 Continue\r\n\r\n" + answer().replace(b"HTTP/1.1", b"HTTP/2.0")
    assert "answered 101, but with HTTP/2.0, which has no upgrade" in str(refusal(opened(), pieces(response)))


# Subprotocols and extensions.


def test_the_chosen_subprotocol(pieces):
    reads = pieces(answer("Sec-WebSocket-Protocol: b"))
    assert feed(opened(subprotocols=["a", "b"]), reads).subprotocol == "b"


def test_no_subprotocol_is_chosen(pieces):
    assert feed(opened(subprotocols=["a"]), pieces(answer())).subprotocol is None


@pytest.mark.parametrize(
    "lines, shown",
    [
        (["Sec-WebSocket-Protocol: c"], "c"),
        (["Sec-WebSocket-Protocol: a, b"], "a, b"),
        (["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"], "a, b"),
    ],
)
def test_a_subprotocol_that_was_not_offered(lines, shown, pieces):
    error = refusal(opened(subprotocols=["a", "b"]), pieces(answer(*lines)))
    assert str(error) == f"ws://h/x answered 101, but with the subprotocol {shown!r}; offered: a, b"


def test_compression(pieces):
    lines = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=10"
    response = feed(opened(compression=DeflateOffer()), pieces(answer(lines)))
    assert response.deflate == DeflateParameters(server_no_context_takeover=True, client_max_window_bits=10)


def test_compression_declined(pieces):
    assert feed(opened(compression=DeflateOffer()), pieces(answer())).deflate is None


@pytest.mark.parametrize(
    "value, problem",
    [
        ("x", "with the extension 'x', which was not offered"),
        ("permessage-deflate, permessage-deflate", "with permessage-deflate twice"),
        ("permessage-deflate; x", "permessage-deflate has no parameter 'x'"),
        ("permessage-deflate; server_max_window_bits=7", "permessage-deflate parameter server_max_window_bits must be"),
    ],
)
def test_compression_that_was_not_offered(value, problem, pieces):
    error = refusal(opened(compression=DeflateOffer()), pieces(answer(f"Sec-WebSocket-Extensions: {value}")))
    assert str(error).startswith(f"ws://h/x answered 101, but {problem}")


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
