"""ws:// and wss:// addresses (RFC 6455 §3, RFC 3986), checked before anything is resolved or connected."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field, replace

from jetsocket.errors import HandshakeError, InvalidURIError, without_userinfo

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_AUTHORITY = re.compile(r"[^/?#]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?")
_PORT = re.compile(r"[0-9]+")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")

# Everything but what RFC 3986 lets stand in a path or query, and the percent sign: what is encoded already stays.
_TO_ENCODE = re.compile(rb"[^A-Za-z0-9/?:@!$&'()*+,;=._~%\[\]-]")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_COUNTERPARTS = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address: what to connect to, and what to say in the upgrade request.

    `host`: to resolve and to verify the certificate against (ASCII, lower case, IPv6 without brackets). `resource`: the
    request target, path and query. `authorization`: the value of the header that the user information asks for. `safe`:
    the address as the user wrote it, without user information; the one to show.
    """

    scheme: str
    secure: bool
    host: str
    port: int
    resource: str
    host_header: str
    safe: str
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.safe

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: credentials must not follow a redirect that changes it."""
        return self.scheme, self.host, self.port


def parse_uri(uri: str) -> Address:
    """TypeError for what is no str, InvalidURIError for what is no WebSocket address."""
    if not isinstance(uri, str):
        raise TypeError(f"uri must be a str, got {type(uri).__name__} {uri!r}")
    if not uri.strip():
        raise InvalidURIError("the address is empty", uri=uri)
    found = _FORBIDDEN.search(uri)
    if found:
        raise _refusal(uri, f"{found[0]!a} cannot stand in an address (at position {found.start()})")
    scheme, rest = _split_scheme(uri)
    if "#" in rest:
        raise _refusal(uri, "a WebSocket address has no fragment; write '#' as %23")
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # the pattern matches everything, at least ""
    userinfo, at, hostport = authority.rpartition("@")
    host_text, port_text = _split_port(uri, hostport)
    port = _port(uri, port_text, 443 if scheme == "wss" else 80)
    host, host_header = _host(uri, host_text)
    if port != (443 if scheme == "wss" else 80):
        host_header = f"{host_header}:{port}"
    return Address(
        scheme=scheme,
        secure=scheme == "wss",
        host=host,
        port=port,
        resource=_resource(uri, rest[len(authority) :]),
        host_header=host_header,
        safe=without_userinfo(uri),
        authorization=_basic(uri, userinfo) if at and userinfo else None,
    )


def redirected(address: Address, location: str) -> Address:
    """Where a redirect's Location leads: relative ones are resolved, http stands for ws and https for wss. Credentials
    go along to the same origin alone.

    HandshakeError for a Location that is no WebSocket address, and for one that leads from wss to ws.
    """
    from urllib.parse import urljoin  # noqa: PLC0415  # a slow import that few connections need

    # urljoin resolves relative references for the schemes that it knows alone: http is one, ws is none.
    base = f"{'https' if address.secure else 'http'}://{address.host_header}{address.resource}"
    target = urljoin(base, location)
    scheme, separator, rest = target.partition("://")
    target = _COUNTERPARTS.get(scheme.lower(), scheme) + separator + rest.partition("#")[0]
    try:
        following = parse_uri(target)
    except InvalidURIError as error:
        raise HandshakeError(
            f"{address} redirects to an address that cannot be used: {error}", uri=address.safe, phase="upgrade"
        ) from error
    if address.secure and not following.secure:
        raise HandshakeError(
            f"{address} redirects to {following}, which is not encrypted: not followed",
            uri=address.safe,
            phase="upgrade",
            retryable=False,
        )
    if following.authorization is None and following.origin == address.origin:
        return replace(following, authorization=address.authorization)
    return following


def _refusal(uri: str, problem: str, suggestion: str = "") -> InvalidURIError:
    hint = f"did you mean {suggestion}?" if suggestion else None
    text = f"{_shown(uri)}: {problem}"
    return InvalidURIError(f"{text}; {hint}" if hint else text, uri=_shown(uri), hint=hint)


def _shown(uri: str) -> str:
    """`uri` fit to be quoted: nothing that could be a password, nothing unprintable."""
    matched = _SCHEME.match(uri)
    scheme, rest = (matched[0], uri[matched.end() :]) if matched else ("", uri)
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # as above
    port = authority.rpartition("@")[2].rpartition(":")[2]
    if "@" in rest and ":" in authority and not _PORT.fullmatch(port.rstrip("]")):
        # What looks like a port is none: it may well be the beginning of a password with a '/' or '#' in it.
        rest = rest.rpartition("@")[2]
    else:
        rest = without_userinfo(rest)
    shown = scheme + rest
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")


def _split_scheme(uri: str) -> tuple[str, str]:
    matched = _SCHEME.match(uri)
    if matched:
        scheme, rest = matched[1].lower(), uri[matched.end() :]
        if scheme in ("ws", "wss"):
            return scheme, rest
        counterpart = _COUNTERPARTS.get(scheme)
        hint = f"did you mean {counterpart}://{_shown(rest)}?" if counterpart else None
        text = f"scheme must be ws or wss, got {matched[1]!r}"
        raise InvalidURIError(f"{text}; {hint}" if hint else text, uri=_shown(uri), hint=hint)
    misspelt = re.match(r"(wss?):/*(?![0-9]+(?:[/?#]|$))", uri, re.IGNORECASE)
    if misspelt:
        raise _refusal(uri, "no '//' after the scheme", f"{misspelt[1].lower()}://{_shown(uri[misspelt.end() :])}")
    shown = _shown(uri)
    hint = f"did you mean wss://{shown.lstrip('/')}?"
    raise InvalidURIError(f"{shown!r} has no scheme; {hint}", uri=shown, hint=hint)


def _split_port(uri: str, hostport: str) -> tuple[str, str]:
    if hostport.startswith("["):
        host, bracket, rest = hostport.partition("]")
        if not bracket:
            raise _refusal(uri, "the bracket of the IPv6 address is not closed")
        if rest and not rest.startswith(":"):
            raise _refusal(uri, f"{rest!r} cannot follow the IPv6 address; a port needs a colon")
        return host + "]", rest[1:]
    host, _, port = hostport.partition(":")
    if ":" in port:
        raise _refusal(uri, f"an IPv6 address stands in brackets, as in ws://[{hostport}]/")
    return host, port


def _port(uri: str, text: str, default: int) -> int:
    if not text:
        return default
    if not text.isascii() or not _PORT.fullmatch(text):
        shown = f"port must be a number, got {text!r}" if text in _shown(uri) else "port must be a number"
        raise _refusal(uri, shown)
    # Bounded before it is converted: int() of a very long text is slow, and refused with another error.
    digits = text.lstrip("0")
    if not digits or len(digits) > 5 or int(digits) > 65535:
        raise _refusal(uri, f"port must be 1 to 65535, got {text[:20]}")
    return int(digits)


def _host(uri: str, text: str) -> tuple[str, str]:
    """The host to connect to, and what the Host header says."""
    if not text:
        raise _refusal(uri, "no host after the scheme")
    if text.startswith("["):
        return _ipv6(uri, text[1:-1])
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise _refusal(uri, f"{text!r} is not a valid international host name") from error
    if not _HOST.fullmatch(text):
        raise _refusal(uri, f"{text!r} is not a valid host name")
    if any(not 1 <= len(label) <= 63 for label in text.rstrip(".").split(".")) or len(text) > 254:
        raise _refusal(uri, "a host name has 1 to 63 characters between its dots and 253 in all")
    host = text.lower()
    return host, host


def _ipv6(uri: str, text: str) -> tuple[str, str]:
    import ipaddress  # noqa: PLC0415  # a slow import that few addresses need

    literal, percent, zone = text.partition("%25")
    try:
        host = str(ipaddress.IPv6Address(literal))
    except ValueError as error:
        raise _refusal(uri, f"'[{text}]' is not a valid IPv6 address") from error
    if percent and not _ZONE.fullmatch(zone):
        raise _refusal(uri, f"{zone!r} is not a valid IPv6 zone")
    # The zone means something on this machine only: it is for connect(), not for the server (RFC 6874 §4).
    return (f"{host}%{zone}" if percent else host), f"[{host}]"


def _resource(uri: str, text: str) -> str:
    if not text.startswith("/"):
        text = "/" + text
    try:
        return _TO_ENCODE.sub(lambda found: b"%%%02X" % ord(found[0]), text.encode()).decode("ascii")
    except UnicodeEncodeError as error:
        raise _refusal(uri, "the path holds characters that UTF-8 cannot encode") from error


def _basic(uri: str, userinfo: str) -> str:
    try:
        user, _, password = userinfo.encode().partition(b":")
    except UnicodeEncodeError as error:
        raise _refusal(uri, "the user information holds characters that UTF-8 cannot encode") from error
    user, password = (_ENCODED.sub(lambda found: bytes((int(found[1], 16),)), part) for part in (user, password))
    if b":" in user or any(byte < 0x20 or byte == 0x7F for byte in user + password):
        # RFC 7617 §2. What is wrong is named, the value is not.
        raise _refusal(uri, "the user information holds a colon in the user name, or a control character")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")
