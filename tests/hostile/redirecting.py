"""Servers that redirect, and those that are redirected to."""

from __future__ import annotations

from typing import Any

from jetsocket import WebSocket

from ..peers import Conversation, Script, text
from ..refusals import http
from .attempts import SOON, sending

REASONS = {
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
}


def to(location: str, status: int = 302, body: bytes = b"") -> Script:
    """Redirects there."""
    return sending(http(f"{status} {REASONS[status]}", body, Location=location))


def noting(requests: list[bytes]) -> Script:
    """Opens the connection, and keeps the request."""

    async def script(peer: Conversation) -> None:
        requests.append(await peer.read_request())
        await peer.send(peer.acceptance() + text("1"))
        await peer.answer_close()

    return script


async def receives(uri: str, **options: Any) -> None:
    """A WebSocket at `uri` opens, and gets the server's message."""
    async with WebSocket(uri, **options) as ws:
        assert await ws.recv(SOON) == 1
