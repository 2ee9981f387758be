"""Proxies: their addresses, and HTTP CONNECT (RFC 9110 §9.3.6). HTTP/1.1 is h11's work."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jetsocket.errors import (
    FATAL_STATUS_CODES,
    ConnectionError,
    HandshakeError,
    InvalidURIError,
    MissingExtraError,
)
from jetsocket.protocol.failures import quoted
from jetsocket.protocol.headers import parse_retry_after
from jetsocket.protocol.uri import parse_authority, quotable, unfit_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jetsocket.protocol.uri import Address

MAX_HEAD = 16 * 1024
"""Bytes that a proxy may answer with before the tunnel is open."""
PORTS = {"http": 80, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
"""The schemes, with the ports that they have where none is given."""
_WHY_NOT = {
    "": "it has no scheme",
    "https": "TLS to a proxy is not supported; does it speak http:// too?",
}
# What no second attempt changes: who asks, what for, and whether the proxy does this at all.
FATAL = FATAL_STATUS_CODES | {405, 407, 501}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HTTP = b"HTTP/1."


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A parsed address of a proxy. `safe`: as it was given, without user information; the one to show."""

    scheme: str
    host: str
    port: int
    safe: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.safe

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, not HTTP."""
        return self.scheme != "http"

    @property
    def authorization(self) -> str | None:
        """What Proxy-Authorization says; None without user information."""
        if not self.user and not self.password:
            return None
        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def check_proxy(proxy: str) -> ProxyAddress:
    """As `parse_proxy`; MissingExtraError for a proxy that needs an extra which is not installed."""
    from importlib.util import find_spec  # noqa: PLC0415  # few connections need it

    parsed = parse_proxy(proxy)
    if parsed.is_socks and find_spec("python_socks") is None:
        raise MissingExtraError.needed_by(f"a {parsed.scheme}:// proxy", "proxy")
    return parsed


def parse_proxy(proxy: str) -> ProxyAddress:
    """ValueError for what is no proxy's address; its text shows no password."""
    odd = unfit_at(proxy)
    if odd is not None:
        raise _refusal(proxy, f"{proxy[odd]!a} cannot stand in an address (at position {odd})")
    matched = _SCHEME.match(proxy)
    scheme = matched[1].lower() if matched else ""
    if matched is None or scheme not in PORTS:
        raise _refusal(proxy, _WHY_NOT.get(scheme, ""))
    authority, _, rest = proxy[matched.end() :].partition("/")
    try:
        parsed = parse_authority(proxy, authority, PORTS[scheme])
    except InvalidURIError as error:
        # Not as its cause: a sentence about WebSocket addresses would only mislead.
        problem = str(error).removeprefix(f"{error.uri}: ").replace("ws://", f"{scheme}://")
    else:
        problem = "it has no path" if rest or "?" in authority or "#" in authority else ""
        user, password = (part.decode(errors="surrogateescape") for part in parsed.credentials or (b"", b""))
        problem = problem or _unusable(scheme, user, password)
        if not problem:
            return ProxyAddress(scheme, parsed.host, parsed.port, quotable(proxy), user, password)
    raise _refusal(proxy, problem)


def _refusal(proxy: str, problem: str) -> ValueError:
    text = f"proxy must be an http://, socks4:// or socks5:// address, got {quotable(proxy)!r}"
    return ValueError(f"{text}: {problem}" if problem else text)


def _unusable(scheme: str, user: str, password: str) -> str:
    """What is wrong with the user information; nothing of it is told."""
    if not (user + password).isprintable():
        return "the user information is no UTF-8, or holds unprintable characters"
    if scheme == "http" or not (user or password):
        return ""
    if not (user + password).isascii() or len(user) > 255 or len(password) > 255:
        # RFC 1929 §2 has one byte for each length, and names no character set.
        return "SOCKS takes ASCII user information alone, at most 255 characters each"
    if scheme.startswith("socks4"):
        return "SOCKS 4 has no password" if password else ""
    return "" if user and password else "SOCKS 5 needs both a user name and a password"


class Tunnel:
    """One CONNECT to `address` and its answer. The proxy resolves the name."""

    def __init__(self, proxy: ProxyAddress, address: Address) -> None:
        import h11  # noqa: PLC0415  # half of what importing jetsocket would cost

        self._proxy = proxy
        self._address = address
        self._h11 = h11
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._first = b""
        self._size = 0

    def request(self) -> bytes:
        """The bytes to send, once."""
        host = self._address.host.partition("%")[0]  # an IPv6 zone means nothing to another machine
        target = f"{f'[{host}]' if ':' in host else host}:{self._address.port}"
        headers = [("Host", target), ("User-Agent", "jetsocket")]
        if self._proxy.authorization is not None:
            headers.append(("Proxy-Authorization", self._proxy.authorization))
        request = self._http.send(self._h11.Request(method="CONNECT", target=target, headers=headers))
        end = self._http.send(self._h11.EndOfMessage())
        return (request or b"") + (end or b"")

    def receive(self, data: bytes) -> bool:
        """Bytes that were read, b"" at the end of the stream; True once the tunnel is open.

        ConnectionError, or HandshakeError with the status code, where the proxy answers anything else.
        """
        if not data:
            raise refused(self._proxy, self._address, "it closed the connection before its answer")
        if len(self._first) < len(_HTTP):
            self._first += data[: len(_HTTP)]
            if not self._first.startswith(_HTTP[: len(self._first)]):
                raise refused(self._proxy, self._address, f"it did not answer with HTTP, but {self._first[:16]!r}")
        self._size += len(data)
        self._http.receive_data(data)
        try:
            event = self._http.next_event()
            while isinstance(event, self._h11.InformationalResponse):
                event = self._http.next_event()
        except self._h11.RemoteProtocolError as error:
            raise refused(self._proxy, self._address, f"its answer is no valid HTTP ({error})") from error
        if isinstance(event, self._h11.Response):
            return self._answered(event.status_code, bytes(event.reason), event.headers.raw_items())
        if self._size > MAX_HEAD:
            raise refused(self._proxy, self._address, f"it answered with more than {MAX_HEAD:,} bytes of headers")
        return False

    def _answered(self, code: int, reason: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        if 200 <= code < 300:
            if self._http.trailing_data[0]:
                # Nobody has asked the server for anything yet.
                raise refused(self._proxy, self._address, "it sent more than its answer")
            return True
        fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers]
        said = f"it answered {code} {reason.decode('latin-1')}".rstrip()
        raise refused(self._proxy, self._address, said, status_code=code, headers=fields)


def refused(
    proxy: ProxyAddress,
    address: Address,
    reason: str,
    *,
    status_code: int | None = None,
    headers: Sequence[tuple[str, str]] = (),
    retryable: bool = True,
) -> ConnectionError:
    """The proxy gave no connection, for `reason`; a HandshakeError where it answered with a status code."""
    retryable = retryable and status_code not in FATAL
    text = f"{address}: the proxy {proxy} gave no connection: {quoted(reason)}"
    hint = "check the proxy's address and credentials"
    if not retryable:
        text += " (not retried)"
    if status_code is None:
        return ConnectionError(text, uri=address.safe, phase="proxy", hint=hint, retryable=retryable)
    asked = next((value for name, value in headers if name.lower() == "retry-after"), None)
    return HandshakeError(
        text,
        status_code=status_code,
        headers=headers,
        retry_after=None if asked is None else parse_retry_after(asked, None),
        uri=address.safe,
        phase="proxy",
        hint=hint,
        retryable=retryable,
    )
