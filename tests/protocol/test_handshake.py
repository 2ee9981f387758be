from __future__ import annotations

import base64

import pytest

from jetsocket.protocol.deflate import DeflateOffer, DeflateParameters
from jetsocket.protocol.handshake import Upgrade, accept_value
from jetsocket.protocol.uri import parse_uri

from .upgrades import ACCEPT, KEY, answer, feed, opened, refusal, upgrade

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
