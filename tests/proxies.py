"""Small proxies, as scripts for a `ScriptedServer`."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import IPv6Address

from .peers import Conversation, Script

Targets = Mapping[str, int]
"""Host names that only the proxy knows, and the port on loopback that they stand for."""


async def _relay(peer: Conversation, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    directions = [
        asyncio.ensure_future(pump(peer.reader, writer)),
        asyncio.ensure_future(pump(reader, peer.writer)),
    ]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # First, as the waiting below may be cancelled.
        writer.transport.abort()
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


async def _say(peer: Conversation, data: bytes, bytewise: bool) -> None:
    """Send `data`; `bytewise`: each byte on its own, after the client has had the time to read the one before."""
    for at in range(len(data) if bytewise else 0):
        await peer.send(data[at : at + 1])
        await asyncio.sleep(0.001)
    if not bytewise:
        await peer.send(data)


def connect_proxy(
    log: list[str], known: Targets | None = None, credentials: str = "", *, bytewise: bool = False
) -> Script:
    """HTTP CONNECT (RFC 9110 section 9.3.6); `credentials` as "user:password". `log` gets each target."""

    async def script(peer: Conversation) -> None:
        request = (await peer.read_request()).decode().split("\r\n")
        method, target, _ = request[0].split()
        assert method == "CONNECT"
        log.append(target)
        if credentials and peer.header("Proxy-Authorization") != f"Basic {b64encode(credentials.encode()).decode()}":
            await peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = target.rpartition(":")
        await _say(peer, b"HTTP/1.1 200 Connection established\r\nVia: a test\r\n\r\n", bytewise)
        await _relay(peer, (known or {}).get(host, int(port)))

    return script


def socks5_proxy(
    log: list[str], known: Targets | None = None, credentials: str = "", *, bytewise: bool = False
) -> Script:
    """SOCKS 5 (RFC 1928), with a user name and password (RFC 1929) if `credentials` are given."""

    async def script(peer: Conversation) -> None:
        read = peer.reader.readexactly
        _, count = await read(2)
        methods = await read(count)
        if not credentials:
            await peer.send(b"\x05\x00")
        elif 2 not in methods:
            await peer.send(b"\x05\xff")
            return
        else:
            await peer.send(b"\x05\x02")
            _, size = await read(2)
            user = await read(size)
            password = await read((await read(1))[0])
            right = b":".join((user, password)).decode() == credentials
            await peer.send(bytes([1, not right]))
            if not right:
                return
        _, command, _, kind = await read(4)
        assert command == 1
        if kind == 3:
            host = (await read((await read(1))[0])).decode()
        elif kind == 4:
            host = f"[{IPv6Address(await read(16))}]"
        else:
            assert kind == 1
            host = ".".join(map(str, await read(4)))
        port = int.from_bytes(await read(2), "big")
        log.append(f"{host}:{port}")
        await _say(peer, b"\x05\x00\x00\x01" + bytes(6), bytewise)
        await _relay(peer, (known or {}).get(host, port))

    return script
