"""Scripts for `serving()` that do not open a WebSocket."""

from __future__ import annotations

from .scripted import Reader, Script, Writer, request_of


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A complete HTTP response; `_` in the names of headers stands for `-`."""
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def answering(response: bytes) -> Script:
    """Answers the upgrade with these bytes, and waits until the client is gone."""

    async def script(reader: Reader, writer: Writer) -> None:
        await request_of(reader)
        writer.write(response)
        await reader.read()

    return script


async def mute(reader: Reader, writer: Writer) -> None:
    """Reads, and never says anything."""
    await reader.read()


async def hang_up(reader: Reader, writer: Writer) -> None:
    """Ends the stream in place of an answer."""
    await request_of(reader)
