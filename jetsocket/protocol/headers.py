"""Header fields: the user's checked before they are sent, the server's taken apart (RFC 9110 §5, RFC 6455 §9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

MAX_EXTENSIONS = 4096
"""Characters of Sec-WebSocket-Extensions that are looked at; no server needs as many."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')

# What the upgrade says itself, and what would tell of a body that is not there.
_RESERVED = frozenset({"upgrade", "connection", "content-length", "transfer-encoding", "te", "trailer", "expect"})
_SINGLE = frozenset({"host", "origin", "user-agent", "authorization"})
_PORTABLE = frozenset({"origin", "user-agent"})
_OPTION_INSTEAD = {"sec-websocket-protocol": "subprotocols", "sec-websocket-extensions": "compress"}


def is_token(text: str) -> bool:
    """Whether `text` is a token of RFC 9110 §5.6.2."""
    return _TOKEN.fullmatch(text) is not None


def check_headers(headers: Headers | None) -> list[tuple[str, str]]:
    """The user's extra headers as pairs, values stripped of outer blanks.

    TypeError or ValueError, naming the header and never its value, which may be a secret.
    """
    if headers is None:
        return []
    pairs: object = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise TypeError(f"extra_headers must be a mapping or pairs of str, got {type(pairs).__name__}")
    checked: list[tuple[str, str]] = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"extra_headers must be a mapping or pairs of str, got {type(pair).__name__} in it")
        checked.append(_check_header(*pair))
    names = [name.lower() for name, _ in checked]
    for name in _SINGLE:
        if names.count(name) > 1:
            raise ValueError(f"header {checked[names.index(name)][0]!r} is given more than once")
    return checked


def _check_header(name: object, value: object) -> tuple[str, str]:
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be a str, got {type(name).__name__}")
    if not is_token(name):
        raise ValueError(_bad_name(name))
    if not isinstance(value, str):
        raise TypeError(f"header {name!r} must be a str, got {type(value).__name__}")
    forbidden = _VALUE_FORBIDDEN.search(value)
    if forbidden:
        raise ValueError(f"header {name!r} must not contain {forbidden[0]!r} (at position {forbidden.start()})")
    lower = name.lower()
    if lower in _OPTION_INSTEAD:
        raise ValueError(f"header {name!r} is set by the upgrade itself; use {_OPTION_INSTEAD[lower]}=")
    if lower in _RESERVED or lower.startswith("sec-websocket-"):
        raise ValueError(f"header {name!r} is set by the upgrade itself and cannot be given")
    if _SURROGATE.search(value):
        # Asked for, and not left to the encoding: its error, as the cause of this one, would show the value.
        raise ValueError(f"header {name!r} holds characters that UTF-8 cannot encode")
    return name, value.strip(" \t")


def _bad_name(name: str) -> str:
    """What is wrong with it; not all of it: who writes 'Authorization: Bearer …' as a name has put the value there."""
    begin = _TOKEN.match(name)
    sound = begin[0] if begin else ""
    if not name:
        return "the name of a header is empty"
    return f"the name of a header cannot hold {name[len(sound)]!a} (after {sound[:40]!r})"


def portable(headers: Headers | None) -> list[tuple[str, str]]:
    """Those of the user's extra headers that may follow a redirect to another origin.

    An API key goes by any name: what is not known to be harmless stays behind. So does Host, which would be wrong.
    """
    return [(name, value) for name, value in check_headers(headers) if name.lower() in _PORTABLE]


def check_subprotocols(subprotocols: Iterable[str] | None) -> list[str]:
    """The subprotocols to offer, in order of preference; TypeError or ValueError for what is no list of tokens."""
    if subprotocols is None:
        return []
    given: object = subprotocols
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"subprotocols must be a list of str, got {type(given).__name__} {given!r}")
    checked: list[str] = []
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"subprotocols must be a list of str, got {type(name).__name__} {name!r} in it")
        if not is_token(name):
            raise ValueError(f"subprotocol {name!r} is not a valid token")
        if name in checked:
            raise ValueError(f"subprotocol {name!r} is given more than once")
        checked.append(name)
    return checked


def tokens(values: Iterable[str]) -> set[str]:
    """The comma-separated tokens of all these values, in lower case."""
    return {token.strip(" \t").lower() for value in values for token in value.split(",")} - {""}


def parse_extensions(value: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """The value of Sec-WebSocket-Extensions: names with their parameters. ValueError where the grammar is broken."""
    if len(value) > MAX_EXTENSIONS:
        raise ValueError(f"extensions of {len(value)} characters, more than {MAX_EXTENSIONS}")
    extensions: list[tuple[str, list[tuple[str, str | None]]]] = []
    while rest := value.lstrip(", \t"):  # empty elements are allowed (RFC 9110 §5.6.1.2)
        name, rest = _take_token(rest, value)
        parameters: list[tuple[str, str | None]] = []
        while rest.startswith(";"):
            parameter, rest = _take_token(rest[1:].lstrip(" \t"), value)
            content: str | None = None
            if rest.startswith("="):
                content, rest = _take_value(rest[1:].lstrip(" \t"), value)
            parameters.append((parameter, content))
        if rest and not rest.startswith(","):
            raise ValueError(f"malformed extensions {value!r}")
        extensions.append((name, parameters))
        value = rest
    return extensions


def _take_token(text: str, whole: str) -> tuple[str, str]:
    matched = _TOKEN.match(text)
    if not matched:
        raise ValueError(f"malformed extensions {whole!r}")
    return matched[0], text[matched.end() :].lstrip(" \t")


def _take_value(text: str, whole: str) -> tuple[str, str]:
    quoted = _QUOTED.match(text)
    if not quoted:
        return _take_token(text, whole)
    content = re.sub(r"\\(.)", r"\1", quoted[1])
    if not is_token(content):
        # RFC 6455 §9.1: what the quotes hold must be a token too.
        raise ValueError(f"malformed extensions {whole!r}")
    return content, text[quoted.end() :].lstrip(" \t")


def parse_retry_after(value: str, now: float | None) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or a date compared with `now` (seconds since the epoch).

    None where it is neither, or is a date and `now` is unknown. More than 15 digits stand for the largest such number.
    """
    value = value.strip()
    if re.fullmatch(r"[0-9]+", value):
        return float(value if len(value) <= 15 else "9" * 15)
    at = parse_http_date(value)
    return None if at is None or now is None else max(0.0, at - now)


def parse_http_date(value: str) -> float | None:
    """Seconds since the epoch, None for what is no date (RFC 9110 §5.6.7)."""
    from datetime import UTC  # noqa: PLC0415  # as below
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # a slow import that few answers need

    try:
        at = parsedate_to_datetime(value)
        # "-0000" is a date without a zone; this machine's has nothing to do with it.
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
