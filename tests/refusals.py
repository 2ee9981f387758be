"""Scripts for a `ScriptedServer` that does not open a WebSocket."""

from __future__ import annotations

from .peers import Conversation, Script


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A complete HTTP response; `_` in the names of headers stands for `-`."""
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def answering(response: bytes) -> Script:
    """Answers the upgrade with these bytes, and waits until the client is gone."""

    async def script(peer: Conversation) -> None:
        await peer.read_request()
        await peer.send(response)
        await peer.ended()

    return script


async def mute(peer: Conversation) -> None:
    """Reads, and never says anything."""
    await peer.ended()


async def hang_up(peer: Conversation) -> None:
    """Ends the stream in place of an answer."""
    await peer.read_request()
