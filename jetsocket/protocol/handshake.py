"""The opening handshake, client side (RFC 6455 §4.1): an upgrade request out, a response in. HTTP/1.1 is h11's work."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha1

import h11

from jetsocket.errors import HandshakeError
from jetsocket.protocol import failures
from jetsocket.protocol.deflate import EXTENSION, DeflateOffer, DeflateParameters
from jetsocket.protocol.headers import (
    Headers,
    check_headers,
    check_subprotocols,
    parse_extensions,
    parse_http_date,
    parse_retry_after,
    tokens,
)
from jetsocket.protocol.uri import Address

MAX_HEAD = 64 * 1024
"""Bytes that may come before the response's body, interim responses included."""
MAX_FIELDS = 256
"""Header fields that a response may have; a limit on bytes alone lets in more than ten thousand."""
MAX_BODY = 4 * 1024
"""Bytes that are kept of a refusal's body."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_HTTP = b"HTTP/1."
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class Response:
    """How the server answered: it `accepted`, or it sends elsewhere (`redirect`, the Location as it came).

    `deflate`: what was agreed on compression, None for none. `trailing`: bytes that followed the response; they are the
    first frames.
    """

    status_code: int
    # Cookies, an address with a password, the first messages: none of this is for a repr.
    headers: list[tuple[str, str]] = field(repr=False)
    subprotocol: str | None = None
    deflate: DeflateParameters | None = None
    redirect: str | None = field(default=None, repr=False)
    trailing: bytes = field(default=b"", repr=False)

    @property
    def accepted(self) -> bool:
        return self.redirect is None


def accept_value(key: bytes) -> str:
    """The Sec-WebSocket-Accept that answers the Sec-WebSocket-Key made of these 16 bytes."""
    return b64encode(sha1(b64encode(key) + _GUID, usedforsecurity=False).digest()).decode("ascii")


class Upgrade:
    """One request and its response.

    `key`: 16 random bytes, new for each request. `extra_headers`: the user's; Host, Origin, User-Agent and
    Authorization among them replace ours. `compression`: None offers none. TypeError or ValueError, naming the header,
    for what must not be sent.
    """

    def __init__(
        self,
        address: Address,
        *,
        key: bytes,
        extra_headers: Headers | None = None,
        subprotocols: Iterable[str] | None = None,
        origin: str | None = None,
        user_agent: str | None = "jetsocket",
        compression: DeflateOffer | None = None,
    ) -> None:
        if len(key) != 16:
            raise ValueError(f"key must be 16 bytes, got {len(key)}")
        self.status_code: int | None = None
        """Set once the response's head has come."""
        self._address = address
        self._accept = accept_value(key)
        self._subprotocols = check_subprotocols(subprotocols)
        self._compression = compression
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._head_size = 0
        self._first = b""
        self._reason = ""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        headers = self._request_headers(key, check_headers(extra_headers), origin, user_agent)
        self._request = h11.Request(
            method="GET",
            target=address.resource,
            headers=[(name.encode("ascii"), value.encode()) for name, value in headers],
        )

    def _request_headers(
        self, key: bytes, extra: list[tuple[str, str]], origin: str | None, user_agent: str | None
    ) -> list[tuple[str, str]]:
        headers = [("Host", self._address.host_header)]
        headers += [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        headers += [("Sec-WebSocket-Key", b64encode(key).decode("ascii")), ("Sec-WebSocket-Version", "13")]
        if self._subprotocols:
            headers.append(("Sec-WebSocket-Protocol", ", ".join(self._subprotocols)))
        if self._compression is not None:
            headers.append(("Sec-WebSocket-Extensions", self._compression.header()))
        optional = {"Origin": origin, "User-Agent": user_agent, "Authorization": self._address.authorization}
        headers += check_headers([(name, value) for name, value in optional.items() if value is not None])
        given = {name.lower() for name, _ in extra}
        host = [pair for pair in extra if pair[0].lower() == "host"]
        others = [pair for pair in extra if pair[0].lower() != "host"]
        return host + [pair for pair in headers if pair[0].lower() not in given] + others

    def request(self) -> bytes:
        """The bytes to send, once."""
        data = self._http.send(self._request)
        end = self._http.send(h11.EndOfMessage())
        return (data or b"") + (end or b"")

    def receive(self, data: bytes, now: float | None = None) -> Response | None:
        """Bytes that were read; None: more are needed. Not to be called again after an answer.

        `now`: seconds since the epoch, for a Retry-After that is a date where the server's own clock is not told.
        HandshakeError when the server refuses, or answers what is no valid upgrade.
        """
        if not data:
            return None
        if len(self._first) < 64:
            self._first += data[: 64 - len(self._first)]
            if not self._first.startswith(_HTTP[: len(self._first)]):
                # h11 waits for a whole head, which another protocol never sends.
                raise failures.not_http(self._address, self._first)
        if self.status_code is None:
            self._head_size += len(data)
        try:
            self._http.receive_data(data)
            return self._events(now)
        except h11.RemoteProtocolError as error:
            raise self._malformed(error, now) from error

    def eof(self, now: float | None = None) -> HandshakeError:
        """The stream ended, or no more time is left: the error to raise, with as much as is known by then."""
        if self.status_code is not None:
            return self._refusal(now)
        return failures.closed_before_upgrade(self._address)

    def _malformed(self, error: h11.RemoteProtocolError, now: float | None) -> HandshakeError:
        if self.status_code is not None:
            return self._refusal(now)  # the head was sound: it says more than the body's fault
        if error.error_status_hint == 431:
            return self._head_too_big()
        return failures.not_http(self._address, self._first, str(error))

    def _head_too_big(self, limit: str = f"{MAX_HEAD:,} bytes of headers") -> HandshakeError:
        return HandshakeError(
            f"{self._address} answered with more than {limit}", uri=self._address.safe, phase="upgrade"
        )

    def _events(self, now: float | None) -> Response | None:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self.status_code is None and self._head_size > MAX_HEAD:
                    raise self._head_too_big()
                return None
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return self._accepted(event)
            if isinstance(event, h11.Response):
                self._keep_head(event)
                location = self._header("location")
                if event.status_code in REDIRECTS and location:
                    return Response(event.status_code, self._headers, redirect=location)
            elif isinstance(event, h11.Data):
                self._body += event.data[: MAX_BODY - len(self._body)]
                if len(self._body) >= MAX_BODY:
                    raise self._refusal(now)
            elif isinstance(event, h11.EndOfMessage):
                raise self._refusal(now)

    def _keep_head(self, event: h11.Response | h11.InformationalResponse) -> None:
        # Also where all of it came in one read, of which h11 makes an answer at once.
        if self._head_size - len(self._http.trailing_data[0]) > MAX_HEAD:
            raise self._head_too_big()
        if len(event.headers) > MAX_FIELDS:
            raise self._head_too_big(f"{MAX_FIELDS} headers")
        self.status_code = event.status_code
        self._reason = bytes(event.reason).decode("latin-1")
        self._headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers.raw_items()]

    def _values(self, name: str) -> list[str]:
        return [value for other, value in self._headers if other.lower() == name]

    def _header(self, name: str) -> str | None:
        return next(iter(self._values(name)), None)

    def _refusal(self, now: float | None) -> HandshakeError:
        assert self.status_code is not None
        date, wait = self._header("date"), self._header("retry-after")
        retry_after = None
        if wait is not None:
            # The server's own clock is the one that a date of its was made by.
            clock = parse_http_date(date) if date else None
            retry_after = parse_retry_after(wait, now if clock is None else clock)
        return failures.upgrade_refused(
            self._address, self.status_code, self._reason, self._headers, bytes(self._body), retry_after
        )

    def _accepted(self, event: h11.InformationalResponse) -> Response:
        self._keep_head(event)
        try:
            if not b"1.1" <= event.http_version < b"2":
                raise ValueError(f"with HTTP/{event.http_version.decode('ascii')}, which has no upgrade")
            self._check_upgraded()
            subprotocol = self._chosen_subprotocol()
            deflate = self._agreed_compression()
        except ValueError as error:
            raise failures.upgrade_invalid(self._address, self._headers, str(error)) from error
        return Response(101, self._headers, subprotocol, deflate, trailing=self._http.trailing_data[0])

    def _check_upgraded(self) -> None:
        if "websocket" not in tokens(self._values("upgrade")):
            raise ValueError("without 'Upgrade: websocket'")
        if "upgrade" not in tokens(self._values("connection")):
            raise ValueError("without 'Connection: Upgrade'")
        accepts = self._values("sec-websocket-accept")
        if not accepts:
            raise ValueError("without Sec-WebSocket-Accept: not a WebSocket server")
        if accepts != [self._accept]:
            raise ValueError("its Sec-WebSocket-Accept does not match: not a WebSocket server, or a cache's answer")

    def _chosen_subprotocol(self) -> str | None:
        chosen = self._values("sec-websocket-protocol")
        if not chosen:
            return None
        if len(chosen) > 1 or chosen[0] not in self._subprotocols:
            offered = ", ".join(self._subprotocols) or "none"
            raise ValueError(f"with the subprotocol {', '.join(chosen)!r}; offered: {offered}")
        return chosen[0]

    def _agreed_compression(self) -> DeflateParameters | None:
        extensions = parse_extensions(", ".join(self._values("sec-websocket-extensions")))
        agreed = None
        for name, parameters in extensions:
            if name != EXTENSION or self._compression is None:
                raise ValueError(f"with the extension {name!r}, which was not offered")
            if agreed is not None:
                raise ValueError(f"with {EXTENSION} twice")
            agreed = self._compression.accept(parameters)
        return agreed
