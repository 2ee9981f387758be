"""Connections through a proxy: HTTP CONNECT, and SOCKS by python-socks."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from .errors import ConnectionError
from .protocol.tunnel import ProxyAddress, Tunnel, check_proxy, refused
from .racing import connect_to_any

if TYPE_CHECKING:
    from .dial import Progress
    from .protocol.uri import Address

# connect_timeout is the limit; python-socks insists on one of its own.
_NO_LIMIT = 86400.0
# The replies of a SOCKS 5 proxy (RFC 1928 §6) that asking again does not change: forbidden by its rules, and what it
# does not do at all.
_FATAL_REPLIES = frozenset({0x02, 0x07, 0x08})
# python-socks has no codes for these two.
_BAD_CREDENTIALS = ("authentication failure", "No acceptable authentication")


def proxy_for(address: Address, option: str | bool | None) -> ProxyAddress | None:
    """The proxy to use: the `option` where it is an address; where it is True, what the environment says."""
    if isinstance(option, str):
        return check_proxy(option)
    if not option:
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # slow to import

    if proxy_bypass(address.host if ":" in address.host else f"{address.host}:{address.port}"):
        return None
    known = getproxies()
    names = ("wss", "https", "all") if address.secure else ("ws", "http", "all")
    name = next((name for name in names if known.get(name)), None)
    if name is None:
        return None
    # As elsewhere, an address without a scheme is that of an HTTP proxy.
    proxy = known[name] if "://" in known[name] else f"http://{known[name]}"
    try:
        return check_proxy(proxy)
    except ValueError as error:
        text = f"{address}: {name}_proxy of the environment cannot be used: {error}"
        raise ConnectionError(text, uri=address.safe, phase="proxy", retryable=False) from None


async def connect_through(proxy: ProxyAddress, address: Address, progress: Progress) -> socket.socket:
    """A socket that the proxy has connected to `address`."""
    try:
        return await (_by_socks if proxy.is_socks else _by_http)(proxy, address)
    except ConnectionError as error:
        error.elapsed = progress.elapsed
        raise
    except OSError as error:
        refusal = refused(proxy, address, _reason(proxy, error))
        refusal.elapsed = progress.elapsed
        raise refusal from error


def _reason(proxy: ProxyAddress, error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "it refused the connection; is it running?"
    if isinstance(error, socket.gaierror):
        return f"cannot resolve {proxy.host!r} ({error.strerror})"
    return error.strerror or str(error) or type(error).__name__


async def _by_http(proxy: ProxyAddress, address: Address) -> socket.socket:
    loop = asyncio.get_running_loop()
    sock = await connect_to_any(await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM))
    try:
        tunnel = Tunnel(proxy, address)
        await loop.sock_sendall(sock, tunnel.request())
        while not tunnel.receive(await loop.sock_recv(sock, 4096)):
            pass
    except BaseException:
        sock.close()
        raise
    return sock


async def _by_socks(proxy: ProxyAddress, address: Address) -> socket.socket:
    from python_socks import ProxyError, ProxyType  # noqa: PLC0415  # an extra
    from python_socks.async_.asyncio import Proxy  # noqa: PLC0415

    through = Proxy(
        proxy_type=ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5,
        host=proxy.host,
        port=proxy.port,
        username=proxy.user,
        password=proxy.password,
        # Names are resolved by the proxy: it may be the only one that can. SOCKS 4 cannot, 4a and 5 can.
        rdns=proxy.scheme != "socks4",
    )
    try:
        return await through.connect(address.host, address.port, timeout=_NO_LIMIT)
    except ProxyError as error:
        text = str(error)
        bad = error.error_code in _FATAL_REPLIES or any(words in text for words in _BAD_CREDENTIALS)
        raise refused(proxy, address, text, retryable=not bad) from error
