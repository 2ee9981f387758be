"""Between a client and a server: a relay that passes on so much of what the server says, and a TLS end by hand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from ..peers import Conversation, Script

Cut = Callable[[Conversation], object]


def hang_up(peer: Conversation) -> None:
    """End the stream; within TLS without a close_notify, since a relay knows none."""
    peer.writer.close()


def stall(peer: Conversation) -> None:
    """Say nothing any more."""


def relay(port: int, limit: int | None = None, cut: Cut = hang_up, piece: int = 65536) -> Script:
    """Connects the client with the server at `port`; after `limit` bytes of the server's, `cut`.

    `piece`: bytes that are passed on at a time.
    """

    async def script(peer: Conversation) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def upstream() -> None:
            while data := await peer.reader.read(65536):
                writer.write(data)
            writer.close()

        async def downstream() -> None:
            left = limit
            while (left is None or left > 0) and (data := await reader.read(piece if left is None else left)):
                await peer.send(data)
                left = left if left is None else left - len(data)
                await asyncio.sleep(0)
            cut(peer)

        try:
            await asyncio.gather(upstream(), downstream())
        finally:
            writer.transport.abort()

    return script


class ServerTls:
    """TLS on a plain conversation, step by step: what is to be sent can be held back, cut, or left out."""

    def __init__(self, peer: Conversation, context: ssl.SSLContext) -> None:
        self.peer = peer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    async def flight(self) -> bytes:
        """What the server says next in the handshake, unsent; empty when it has nothing more to say."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                if self._out.pending:
                    return self._out.read()
                self._in.write(await self._read())
            else:
                return self._out.read()

    async def handshake(self) -> None:
        """All of it."""
        while flight := await self.flight():
            await self.peer.send(flight)

    async def read_request(self) -> bytes:
        """The upgrade request, behind the handshake."""
        await self.handshake()
        while not self.peer.request.endswith(b"\r\n\r\n"):
            try:
                self.peer.request += self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._in.write(await self._read())
        return self.peer.request

    async def send(self, data: bytes) -> None:
        """Encrypted."""
        self._tls.write(data)
        await self.flush()

    async def notify_close(self) -> None:
        """TLS's own end, without the TCP connection's."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # The client's answer is not waited for, and its request may come in its place.
            await self.flush()

    async def flush(self) -> None:
        """Send what is to be sent."""
        await self.peer.send(self._out.read())

    async def _read(self) -> bytes:
        data = await self.peer.reader.read(65536)
        if not data:
            raise ConnectionResetError
        return data


def by_hand(context: ssl.SSLContext, play: Callable[[ServerTls], Awaitable[object]]) -> Script:
    """A script that plays with TLS; then it waits until the client is gone.

    A client that fails is told so, by an alert: asyncio's own servers hang up without.
    """

    async def script(peer: Conversation) -> None:
        tls = ServerTls(peer, context)
        try:
            await play(tls)
        except ssl.SSLError:
            await tls.flush()
        await peer.ended()

    return script


def handshake_size(server: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """About how many bytes the server says until the client is done with the handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    size = 0
    while True:
        for end in ends:
            before = to_client.pending
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                size += max(0, to_client.pending - before)
                continue
            if end is ends[0]:
                return size
