"""The other end of a connection, played by the tests, and what they all say to it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl as ssl_module
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from jetsocket import BackoffConfig, Multiplex, WebSocket

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# Reconnects that take no time.
AT_ONCE = BackoffConfig(base=0.0, jitter=False)


def subscribe_msg(channel: str) -> dict[str, Any]:
    """Asks the embedded exchange for `channel`."""
    return {"method": "SUBSCRIBE", "params": [channel], "id": 1}


def unsubscribe_msg(channel: str) -> dict[str, Any]:
    """Asks the embedded exchange to stop `channel`."""
    return {"method": "UNSUBSCRIBE", "params": [channel], "id": 2}


def multiplex(uri: str, **options: Any) -> Multiplex[Any]:
    """A Multiplex that speaks the embedded exchange's protocol, and reconnects without waiting."""
    given: dict[str, Any] = {
        "subscribe_msg": subscribe_msg,
        "unsubscribe_msg": unsubscribe_msg,
        "backoff": AT_ONCE,
        **options,
    }
    if not given.keys() & {"channel_extractor", "channel_key"}:
        given["channel_key"] = "stream"
    return Multiplex(uri, **given)


def told(source: WebSocket[Any] | Multiplex[Any], event: str) -> asyncio.Queue[Any]:
    """A queue of what the handlers of `event` are given: its one fact, or None where it has none."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    source.on(event, lambda fact=None: queue.put_nowait(fact))
    return queue


async def turns(count: int) -> None:
    """Lets the event loop run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def frame(opcode: int, payload: bytes | str = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A server's frame (RFC 6455 section 5.2), encoded independently of the library."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    size = len(data)
    if size < 126:
        return bytes([first, size]) + data
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + data
    return bytes([first, 127]) + size.to_bytes(8, "big") + data


def text(payload: bytes | str) -> bytes:
    """A whole text message."""
    return frame(TEXT, payload)


def close_frame(code: int | None = 1000, reason: str = "") -> bytes:
    """A close frame; without a code, an empty one."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


class Received(NamedTuple):
    """A frame from the client, unmasked."""

    opcode: int
    payload: bytes
    rsv1: bool = False


class Conversation:
    """One client's connection to a scripted server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request = b""

    async def read_request(self) -> bytes:
        """The upgrade request, up to its empty line."""
        self.request = await self.reader.readuntil(b"\r\n\r\n")
        return self.request

    def header(self, name: str) -> str | None:
        """The request's header of that name."""
        for line in self.request.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None

    def acceptance(self, *headers: str) -> bytes:
        """The answer that opens the connection, with more header lines."""
        key = self.header("Sec-WebSocket-Key") or ""
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
            *headers,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def accept(self, *headers: str, then: bytes = b"") -> None:
        """Read the request and open the connection, `then` in the same write."""
        await self.read_request()
        await self.send(self.acceptance(*headers) + then)

    async def send(self, data: bytes) -> None:
        """Write bytes as they are. ConnectionError once the client is gone."""
        if self.writer.is_closing():
            # uvloop would raise a RuntimeError.
            raise ConnectionResetError("the client is gone")
        self.writer.write(data)
        await self.writer.drain()

    async def read_frame(self) -> Received:
        """The client's next frame. IncompleteReadError at the end of the stream."""
        first, second = await self.reader.readexactly(2)
        assert first & 0x80, "a client of this library sends whole messages"
        assert second & 0x80, "a client's frame is masked"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        key = (mask * (size // 4 + 1))[:size]
        plain = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        return Received(first & 0x0F, plain, bool(first & 0x40))

    async def ended(self) -> None:
        """Wait until the client is gone, whatever it says until then."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            # A reset is an end, too.
            return

    async def answer_close(self) -> Received:
        """Read up to the client's close frame, and answer it; the frame."""
        while (received := await self.read_frame()).opcode != CLOSE:
            pass
        await self.send(frame(CLOSE, received.payload))
        return received

    def reset(self) -> None:
        """Cut the connection by a reset."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Script = Callable[[Conversation], Awaitable[object]]


class ScriptedServer:
    """A TCP server whose clients are told what `scripts` say, one a connection; the last goes for all further ones."""

    def __init__(self, *scripts: Script, ssl: ssl_module.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.accepted = 0
        self.port = 0
        self._ssl = ssl
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"{'ws' if self._ssl is None else 'wss'}://127.0.0.1:{self.port}/"

    async def open(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            # A TLS handshake that was going on while the server was closed.
            writer.transport.abort()
            return
        self.accepted += 1
        script = self.scripts[min(self.accepted, len(self.scripts)) - 1]
        task = asyncio.get_running_loop().create_task(self._play(script, Conversation(reader, writer)))
        self._tasks.add(task)
        # Not at the end of the task's own code: one that is cancelled at once never runs any.
        task.add_done_callback(lambda _: writer.close())

    async def _play(self, script: Script, conversation: Conversation) -> None:
        try:
            await script(conversation)
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client hung up: what it saw is what the test asserts on.
            return
        except Exception as error:  # noqa: BLE001  # raised by close()
            self._errors.append(error)

    async def close(self) -> None:
        """Hang up on everybody. Raises what a script failed with."""
        assert self._server is not None
        server, self._server = self._server, None
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()
        if self._errors:
            raise self._errors[0]
