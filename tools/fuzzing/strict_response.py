"""What a server must answer for an upgrade to be one, worked out from the bytes of the whole answer: RFC 6455 §4.1, RFC
7692 §7.1 and RFC 9112, written apart from the library, for the fuzzer to hold it against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_PARAMETER = rf"[ \t]*+;[ \t]*+({TOKEN})(?:[ \t]*+=[ \t]*+({TOKEN}|{_QUOTED}))?"
_EXTENSION = re.compile(rf"({TOKEN})((?:{_PARAMETER})*+)[ \t]*+(?:,|\Z)", re.DOTALL)
_PARAMETERS = re.compile(_PARAMETER, re.DOTALL)
_STATUS = re.compile(rb"HTTP/([0-9])\.([0-9]) ([0-9]{3})(?: ([^\0\r\n]*))?")
_FIELD = re.compile(rf"({TOKEN}):([^\0\r\n]*)".encode())
_PLAIN_HEAD = re.compile(rb"(?:[\x20-\x7e\x80-\xff]*\r\n)*")

Extensions = list[tuple[str, list[tuple[str, str | None]]]]


class Offer(NamedTuple):
    """What the request said. `takeover`: whether server_no_context_takeover was asked for; `bits`: the same of
    server_max_window_bits."""

    accept: str
    subprotocols: Sequence[str] = ()
    compression: bool = False
    no_takeover: bool = False
    bits: int | None = None


class Opened(NamedTuple):
    """An upgrade as it should be. `deflate`: (server_no_context_takeover, client_no_context_takeover,
    server_max_window_bits, client_max_window_bits), None without compression. `plain`: nobody could have a doubt about
    how the answer is written."""

    subprotocol: str | None
    deflate: tuple[bool, bool, int, int] | None
    trailing: bytes
    plain: bool


def opened(data: bytes, offer: Offer) -> Opened | None:
    """None for what is no upgrade, or not all of one."""
    start = 0
    while True:
        # As RFC 9112 §2.2 allows, a line may end without a carriage return.
        blank = re.compile(rb"\n\r?\n").search(data, start)
        if blank is None:
            return None
        head = data[start : blank.start() + 1]
        lines = re.split(rb"\r?\n", head)[:-1]
        status = _STATUS.fullmatch(lines[0])
        fields = None if status is None else _fields(lines[1:])
        if status is None or fields is None:
            return None
        if status[3] != b"101" and status[3].startswith(b"1"):
            start = blank.end()
            continue
        if status[3] != b"101" or status[1] != b"1" or status[2] == b"0":
            return None
        plain = blank[0] == b"\n\r\n" and _PLAIN_HEAD.fullmatch(head) is not None and start == 0
        return _judged(fields, offer, data[blank.end() :], plain)


def _fields(lines: list[bytes]) -> list[tuple[str, str]] | None:
    """Names in lower case, and values; None where one is malformed."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            # A folded line (§5.2): it belongs to the value before.
            if not fields or b"\0" in line or b"\r" in line:
                return None
            name, value = fields.pop()
            fields.append((name, (value + " " + line.decode("latin-1").strip(" \t")).strip(" \t")))
            continue
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        fields.append((field[1].decode("ascii").lower(), field[2].decode("latin-1").strip(" \t")))
    return fields


def _judged(fields: list[tuple[str, str]], offer: Offer, trailing: bytes, plain: bool) -> Opened | None:
    def values(name: str) -> list[str]:
        return [value for other, value in fields if other == name]

    if not _names(values("upgrade"), "websocket") or not _names(values("connection"), "upgrade"):
        return None
    if values("sec-websocket-accept") != [offer.accept]:
        return None
    subprotocols = values("sec-websocket-protocol")
    if len(subprotocols) > 1 or not set(subprotocols) <= set(offer.subprotocols):
        return None
    answered = extensions(",".join(values("sec-websocket-extensions")))
    if answered is None or len(answered) > 1 or (answered and not offer.compression):
        return None
    deflate = None
    if answered:
        name, parameters = answered[0]
        deflate = _deflate(parameters, offer) if name == "permessage-deflate" else None
        if deflate is None:
            return None
    plain = plain and len(fields) <= 200 and not values("content-length") and not values("transfer-encoding")
    return Opened(subprotocols[0] if subprotocols else None, deflate, trailing, plain)


def _names(values: list[str], wanted: str) -> bool:
    return any(re.search(rf"(?:\A|,)[ \t]*{wanted}[ \t]*(?:,|\Z)", value, re.IGNORECASE | re.ASCII) for value in values)


def extensions(value: str) -> Extensions | None:
    """Sec-WebSocket-Extensions taken apart, None where it is malformed."""
    found: Extensions = []
    at = 0
    while True:
        at += len(value[at:]) - len(value[at:].lstrip(" \t,"))
        if at == len(value):
            return found
        extension = _EXTENSION.match(value, at)
        if extension is None:
            return None
        parameters = []
        for parameter in _PARAMETERS.finditer(extension[2]):
            content: str | None = parameter[2]
            if content is not None and content.startswith('"'):
                content = re.sub(r"\\(.)", r"\1", content[1:-1], flags=re.DOTALL)
                if not re.fullmatch(TOKEN, content):
                    return None
            parameters.append((parameter[1], content))
        found.append((extension[1], parameters))
        at = extension.end()


def _deflate(parameters: list[tuple[str, str | None]], offer: Offer) -> tuple[bool, bool, int, int] | None:
    given = dict(parameters)
    flags = {"server_no_context_takeover", "client_no_context_takeover"}
    numbers = {"server_max_window_bits", "client_max_window_bits"}
    if len(given) < len(parameters) or not given.keys() <= flags | numbers:
        return None
    if any(value is not None for name, value in given.items() if name in flags):
        return None
    windows = [str(bits) for bits in range(8, 16)]
    if any(value not in windows for name, value in given.items() if name in numbers):
        return None
    server_bits, client_bits = (int(given.get(f"{side}_max_window_bits") or 15) for side in ("server", "client"))
    if offer.no_takeover and "server_no_context_takeover" not in given:
        return None
    if offer.bits is not None and server_bits > offer.bits:
        return None
    return "server_no_context_takeover" in given, "client_no_context_takeover" in given, server_bits, client_bits
