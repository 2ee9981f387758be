"""ws:// and wss:// addresses (RFC 6455 §3, RFC 3986), checked before anything is resolved or connected."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field, replace

from jetsocket.errors import HandshakeError, InvalidURIError, without_userinfo

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PREFIX = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//+")
_AUTHORITY = re.compile(r"[^/?#]*")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?")
_PORT = re.compile(r"[0-9]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")

# Everything but what RFC 3986 lets stand in a path or query, and the percent sign: what is encoded already stays.
_TO_ENCODE = re.compile(rb"[^A-Za-z0-9/?:@!$&'()*+,;=._~%\[\]-]")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_SHOWN = 300  # characters about a Location that go into an error's text; a server may send very many
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
        # Not what it is: the bytes of an address hold its password, too.
        raise TypeError(f"uri must be a str, got {type(uri).__name__}")
    if not uri.strip():
        raise InvalidURIError("the address is empty", uri=uri)
    odd = unfit_at(uri)
    if odd is not None:
        raise _refusal(uri, f"{uri[odd]!a} cannot stand in an address (at position {odd})")
    scheme, rest = _split_scheme(uri)
    if "#" in rest:
        raise _refusal(uri, "a WebSocket address has no fragment; write '#' as %23")
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # the pattern matches everything, at least ""
    parsed = parse_authority(uri, authority, 443 if scheme == "wss" else 80)
    return Address(
        scheme=scheme,
        secure=scheme == "wss",
        host=parsed.host,
        port=parsed.port,
        resource=_resource(uri, rest[len(authority) :]),
        host_header=parsed.host_header,
        safe=without_userinfo(uri),
        authorization=None if parsed.credentials is None else _basic(*parsed.credentials),
    )


@dataclass(frozen=True, slots=True)
class Authority:
    """What stands between the scheme and the path. `credentials`: user name and password, percent-decoded."""

    host: str
    port: int
    host_header: str
    credentials: tuple[bytes, bytes] | None = field(repr=False)


def parse_authority(uri: str, authority: str, default_port: int) -> Authority:
    """InvalidURIError where it is none; `uri` is the whole address, for the error's sentence."""
    userinfo, _, hostport = authority.rpartition("@")
    host_text, port_text = _split_port(uri, hostport)
    port = _port(uri, port_text, default_port)
    host, host_header = _host(uri, host_text)
    if port != default_port:
        host_header = f"{host_header}:{port}"
    return Authority(host, port, host_header, _credentials(uri, userinfo) if userinfo else None)


def redirected(address: Address, location: str) -> Address:
    """Where a redirect's Location leads: relative ones are resolved, http stands for ws and https for wss. Credentials
    go along to the same origin alone; those that a Location brings are not used, the server does not give them to us.

    `location`: the header's bytes as latin-1. HandshakeError for one that is no WebSocket address, and for one that
    leads from wss to ws.
    """
    from urllib.parse import urljoin  # noqa: PLC0415  # a slow import that few connections need

    # urljoin resolves relative references for the schemes that it knows alone: http is one, ws is none.
    base = f"{'https' if address.secure else 'http'}://{address.host_header}{address.resource}"
    # What is not ASCII has no meaning to agree on in a header: it is encoded byte for byte.
    location = "".join(character if character.isascii() else f"%{ord(character):02X}" for character in location)
    try:
        try:
            target = urljoin(base, location)
        except ValueError as error:
            raise _refusal(location, str(error)) from error
        scheme, separator, rest = target.partition("://")
        target = _COUNTERPARTS.get(scheme.lower(), scheme) + separator + rest.partition("#")[0]
        following = parse_uri(target)
    except InvalidURIError as error:
        # Without what it says to who wrote the address: that was not the user.
        problem = str(error).removesuffix(f"; {error.hint}")
        problem = problem if len(problem) <= _SHOWN else problem[: _SHOWN - 1] + "…"
        raise HandshakeError(
            f"{address} redirects to an address that cannot be used: {problem}", uri=address.safe, phase="upgrade"
        ) from error
    if address.secure and not following.secure:
        raise HandshakeError(
            f"{address} redirects to {following}, which is not encrypted: not followed",
            uri=address.safe,
            phase="upgrade",
            retryable=False,
        )
    return replace(following, authorization=address.authorization if following.origin == address.origin else None)


def _refusal(uri: str, problem: str, suggestion: str = "") -> InvalidURIError:
    hint = f"did you mean {suggestion}?" if suggestion else None
    text = f"{quotable(uri)}: {problem}"
    return InvalidURIError(f"{text}; {hint}" if hint else text, uri=quotable(uri), hint=hint)


def unfit_at(uri: str) -> int | None:
    """The position of the first character that is a blank or cannot be printed, which no address needs.

    Of lone surrogates elsewhere is told: they print as an escape, and steer nothing.
    """
    if " " not in uri and uri.isprintable():
        return None
    odd = (at for at, one in enumerate(uri) if one == " " or not (one.isprintable() or "\ud800" <= one <= "\udfff"))
    return next(odd, None)


def quotable(uri: str) -> str:
    """`uri` fit to be quoted: nothing that could be a password, nothing unprintable."""
    matched = _PREFIX.match(uri)
    scheme, rest = (matched[0], uri[matched.end() :]) if matched else ("", uri)
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # as above
    hostport = authority.rpartition("@")[2]
    port = hostport.partition("]:" if hostport.startswith("[") else ":")[2]
    if "@" in rest and ":" in authority and not _PORT.fullmatch(port):
        # What looks like a port is none: it may well be the beginning of a password with a '/' or '#' in it.
        rest = rest.rpartition("@")[2]
    else:
        rest = without_userinfo(rest)
    return _escaped(scheme + rest)


def _escaped(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _split_scheme(uri: str) -> tuple[str, str]:
    matched = _SCHEME.match(uri)
    if matched:
        scheme, rest = matched[1].lower(), uri[matched.end() :]
        if scheme in ("ws", "wss"):
            return scheme, rest
        counterpart = _COUNTERPARTS.get(scheme)
        hint = f"did you mean {counterpart}://{quotable(rest)}?" if counterpart else None
        text = f"scheme must be ws or wss, got {matched[1]!r}"
        raise InvalidURIError(f"{text}; {hint}" if hint else text, uri=quotable(uri), hint=hint)
    misspelt = re.match(r"(wss?):/*(?![0-9]+(?:[/?#]|$))", uri, re.IGNORECASE)
    if misspelt:
        raise _refusal(uri, "no '//' after the scheme", f"{misspelt[1].lower()}://{quotable(uri[misspelt.end() :])}")
    shown = quotable(uri)
    hint = f"did you mean wss://{shown.lstrip('/')}?"
    raise InvalidURIError(f"{shown!r} has no scheme; {hint}", uri=shown, hint=hint)


def _split_port(uri: str, hostport: str) -> tuple[str, str]:
    if hostport.startswith("["):
        host, bracket, rest = hostport.partition("]")
        if not bracket:
            raise _refusal(uri, "the bracket of the IPv6 address is not closed")
        if rest and not rest.startswith(":"):
            raise _refusal(uri, f"{_part(uri, rest)} cannot follow the IPv6 address; a port needs a colon")
        return host + "]", rest[1:]
    host, _, port = hostport.partition(":")
    if ":" in port:
        example = f"[{_escaped(hostport)}]" if _escaped(hostport) in quotable(uri) else "[::1]"
        raise _refusal(uri, f"an IPv6 address stands in brackets, as in ws://{example}/")
    return host, port


def _part(uri: str, text: str) -> str:
    """`text`, of `uri`, in quotes; not where it may be of a password with a delimiter in it."""
    return repr(text) if _escaped(text) in quotable(uri) else "what stands there"


def _port(uri: str, text: str, default: int) -> int:
    if not text:
        return default
    if not text.isascii() or not _PORT.fullmatch(text):
        raise _refusal(uri, f"port must be a number, got {_part(uri, text)}")
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
    given = text
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            text = ""
        if not text:
            # Not as its cause: those of `encode` and of `ipaddress` quote what may not be quoted.
            raise _refusal(uri, f"{_part(uri, given)} is not a valid international host name")
    if not _HOST.fullmatch(text):
        raise _refusal(uri, f"{_part(uri, given)} is not a valid host name")
    if any(not 1 <= len(label) <= 63 for label in text.rstrip(".").split(".")) or len(text) > 254:
        raise _refusal(uri, "a host name has 1 to 63 characters between its dots and 253 in all")
    host = text.lower()
    return host, host


def _ipv6(uri: str, text: str) -> tuple[str, str]:
    import ipaddress  # noqa: PLC0415  # a slow import that few addresses need

    # RFC 6874 wants the percent sign written as %25; people write it as it is.
    literal, percent, zone = text.partition("%")
    zone = zone.removeprefix("25")
    try:
        host = str(ipaddress.IPv6Address(literal))
    except ValueError:
        host = ""
    if not host:
        raise _refusal(uri, f"{_part(uri, f'[{text}]')} is not a valid IPv6 address")
    if percent and not _ZONE.fullmatch(zone):
        raise _refusal(uri, f"{_part(uri, zone)} is not a valid IPv6 zone")
    # The zone means something on this machine only: it is for connect(), not for the server (RFC 6874 §4).
    return (f"{host}%{zone}" if percent else host), f"[{host}]"


def _resource(uri: str, text: str) -> str:
    if not text.startswith("/"):
        text = "/" + text
    if _SURROGATE.search(text):
        raise _refusal(uri, "the path holds characters that UTF-8 cannot encode")
    return _TO_ENCODE.sub(lambda found: b"%%%02X" % ord(found[0]), text.encode()).decode("ascii")


def _credentials(uri: str, userinfo: str) -> tuple[bytes, bytes]:
    if _SURROGATE.search(userinfo):
        # Asked first: the error of encoding it, as the cause of ours, would show all of it.
        raise _refusal(uri, "the user information holds characters that UTF-8 cannot encode")
    user, _, password = userinfo.encode().partition(b":")
    user, password = (_ENCODED.sub(lambda found: bytes((int(found[1], 16),)), part) for part in (user, password))
    if b":" in user or any(byte < 0x20 or byte == 0x7F for byte in user + password):
        # RFC 7617 §2. What is wrong is named, the value is not.
        raise _refusal(uri, "the user information holds a colon in the user name, or a control character")
    return user, password


def _basic(user: bytes, password: bytes) -> str:
    return "Basic " + b64encode(user + b":" + password).decode("ascii")
