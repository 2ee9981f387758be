"""Connections through a proxy: HTTP CONNECT and SOCKS, by python-socks."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from .errors import ConnectionError, MissingExtraError, without_userinfo

if TYPE_CHECKING:
    from .dial import Progress
    from .protocol.uri import Address


def proxy_for(address: Address, option: str | bool | None) -> str | None:
    """The proxy to use: the `option` where it is an address; where it is True, what the environment says."""
    if isinstance(option, str):
        return option
    if not option:
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # slow to import

    if proxy_bypass(address.host):
        return None
    known = getproxies()
    names = ("wss", "https", "all") if address.secure else ("ws", "http", "all")
    proxy = next((known[name] for name in names if known.get(name)), None)
    # As elsewhere, an address without a scheme is that of an HTTP proxy.
    return f"http://{proxy}" if proxy is not None and "://" not in proxy else proxy


async def connect_through(proxy: str, address: Address, progress: Progress) -> socket.socket:
    """A socket that the proxy has connected to `address`."""
    try:
        from python_socks import ProxyError, parse_proxy_url  # noqa: PLC0415  # an extra
        from python_socks.async_.asyncio import Proxy  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError.needed_by("proxy", "proxy") from error
    shown = without_userinfo(proxy)
    try:
        parse_proxy_url(proxy)
    except ValueError as error:
        raise ValueError(f"proxy must be an http://, socks4:// or socks5:// address, got {shown!r}") from error
    try:
        return await Proxy.from_url(proxy).connect(address.host, address.port)
    except (ProxyError, OSError) as error:
        raise ConnectionError(
            f"{address}: the proxy {shown} gave no connection: {error}",
            uri=address.safe,
            phase="proxy",
            elapsed=progress.elapsed,
            hint="check the proxy's address and credentials",
        ) from error
