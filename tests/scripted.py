"""TCP servers that follow a script: what no well-behaved WebSocket server would do, byte for byte."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Script = Callable[[Reader, Writer], Awaitable[object]]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Runs `script` for each connection; gives the port. A connection ends with its script.

    Whatever a script raises is raised at the end, except that the client hung up.
    """
    tasks: set[asyncio.Task[None]] = set()
    failed: list[Exception] = []

    async def run(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client hung up, or the test is over. asyncio's streams complain of a cancelled handler.
            return
        except Exception as error:  # noqa: BLE001  # raised below
            failed.append(error)
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(run, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await server.wait_closed()
    if failed:
        raise failed[0]


async def request_of(reader: Reader) -> dict[str, str]:
    """The upgrade request: its header fields by lower-case name, and the request line as ""."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return {"": line} | {name.lower(): value.strip() for name, _, value in pairs}


async def accept(reader: Reader, writer: Writer) -> dict[str, str]:
    """Answers the upgrade with 101, as RFC 6455 section 4.2.2 asks; the request."""
    request = await request_of(reader)
    digest = sha1((request["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + b64encode(digest) + b"\r\n\r\n"
    )
    return request


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A server's frame."""
    first = opcode | (0x80 if fin else 0)
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


async def frame_of(reader: Reader) -> tuple[int, bytes]:
    """The client's next frame: opcode and unmasked payload."""
    first, second = await reader.readexactly(2)
    assert second & 0x80, "a client's frame is masked"
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    mask = await reader.readexactly(4)
    body = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
