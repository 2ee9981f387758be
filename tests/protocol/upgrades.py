"""Upgrades of one client, and what a server answers to them."""

from __future__ import annotations

import base64

from jetsocket.errors import HandshakeError
from jetsocket.protocol.handshake import Upgrade
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
