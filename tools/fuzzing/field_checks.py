"""Holds the readers of header values and addresses against what they promise, for `tools/fuzz_handshake.py`."""

from __future__ import annotations

import calendar
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace

from jetsocket.errors import HandshakeError, InvalidURIError
from jetsocket.protocol.handshake import Upgrade
from jetsocket.protocol.headers import MAX_EXTENSIONS, parse_extensions, parse_http_date, parse_retry_after
from jetsocket.protocol.uri import Address, parse_uri, redirected

from .drawing import Draw
from .strict_response import extensions

SECRET = "sw0rdfish"
SCHEMES = ("ws://", "wss://", "WS://", "http://", "https://", "ftp://", "ws:", "//", "")
LOCATIONS = (
    "ws://h/",
    "wss://h:8443/x",
    "http://h",
    "https://h",
    "/x?y",
    "//h",
    "?z",
    "#f",
    "ftp://h",
    "../..",
    "wss:x",
)
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (0[1-9]|[12][0-9]|3[01]) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"([0-9]{4}) ([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]) GMT",
    re.ASCII,
)
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_FORBIDDEN_IN_HOST = re.compile(r"[^\x21-\x7e]|[/?#@\[\]\\A-Z]")
_LONGEST_ERROR = 3000


def check_extensions(data: bytes) -> None:
    value = data.decode("latin-1")
    expected = extensions(value) if len(value) <= MAX_EXTENSIONS else None
    try:
        found = parse_extensions(value)
    except ValueError:
        assert expected is None, f"{value!r} is refused, which means {expected}"
        return
    assert found == expected, f"{value!r} is {found}, not {expected}"


def check_dates(draw: Draw) -> None:
    now = (None, 0.0, 1_700_000_000.0, 1e18)[draw.below(4)]
    value = draw.rest().decode("latin-1")
    at = parse_http_date(value)
    expected = _date(value)
    assert at is None or math.isfinite(at), f"{value!r} is {at}"
    assert expected is None or at == expected, f"{value!r} is {at}, not {expected}"
    wait = parse_retry_after(value, now)
    digits = value.strip()
    if re.fullmatch("[0-9]{1,15}", digits):
        assert wait == int(digits), f"{value!r} is {wait}"
    elif re.fullmatch("[0-9]+", digits):
        assert wait is not None
        assert math.isfinite(wait)
    elif wait is not None:
        assert math.isfinite(wait)
        assert wait >= 0
        assert now is not None


def _date(value: str) -> float | None:
    """The one form that a sender may write (RFC 9110 §5.6.7), None for any other and for days that are not."""
    found = _DATE.fullmatch(value)
    if found is None or int(found[3]) < 100:
        return None
    day, year = int(found[1]), int(found[3])
    month = list(calendar.month_abbr).index(found[2])
    if day > calendar.monthrange(year, month)[1]:
        return None
    parts = time.struct_time((year, month, day, int(found[4]), int(found[5]), int(found[6]), 0, 0, 0))
    return float(calendar.timegm(parts))


def check_addresses(draw: Draw, here: Address) -> None:
    kind = draw.below(4)
    if kind == 0:
        _check_uri(draw.rest().decode("utf-8", "surrogateescape"))
    elif kind == 1:
        _check_secret(draw)
    else:
        known = replace(here, authorization="Basic eDp5")
        start = draw.chosen(LOCATIONS) if kind == 3 else ""
        _check_redirect(known, start + draw.rest().decode("latin-1"))


def _check_uri(uri: str) -> None:
    try:
        address = parse_uri(uri)
    except InvalidURIError as error:
        said = str(error)
    else:
        _check_address(address, uri)
        again = parse_uri(address.safe)
        assert again == replace(address, authorization=None), f"{uri!r} is {address}, and that is {again}"
        return
    assert said.isprintable(), f"{uri!r} is refused by {said!r}"


def _check_address(address: Address, uri: str) -> None:
    told = f"{uri!r} is {address!r}"
    assert address.scheme == ("wss" if address.secure else "ws"), told
    assert 1 <= address.port <= 65535, told
    assert address.host, told
    assert not _FORBIDDEN_IN_HOST.search(address.host.partition("%")[0]), told
    assert address.resource.startswith("/"), told
    assert _VISIBLE.fullmatch(address.resource), told
    assert "#" not in address.resource, told
    assert _VISIBLE.fullmatch(address.host_header), told
    assert address.safe.isprintable(), told
    request = Upgrade(address, key=bytes(16), user_agent=None).request()
    # A blank line at the end, and nothing that ends a line before its time.
    lines = request.split(b"\r\n")
    assert len(lines) == (8 if address.authorization is None else 9), f"{told}, and asks {request!r}"
    assert not re.search(rb"[\r\n\0]", b"".join(lines)), f"{told}, and asks {request!r}"


def _check_secret(draw: Draw) -> None:
    """A password is shown nowhere, whatever stands around it."""
    scheme = draw.chosen(SCHEMES[:5])
    around = draw.rest().decode("latin-1")
    before, _, behind = around.partition("\0")
    before = re.sub(r"[/?#]", "", before)
    uri = f"{scheme}{before}:{SECRET}@{behind}"
    try:
        address = parse_uri(uri)
    except InvalidURIError as error:
        shown = (str(error), repr(error), repr(error.uri), repr(error.hint), repr(error.__cause__))
    else:
        _check_address(address, uri)
        shown = (str(address), repr(address), address.safe, address.resource, address.host_header)
    assert not any(SECRET in text for text in shown), f"{uri!r} shows its password: {shown}"


def _check_redirect(here: Address, location: str) -> None:
    try:
        there = redirected(here, location)
    except HandshakeError as raised:
        error = raised
    else:
        _check_leading(here, there, location)
        return
    text = str(error)
    assert error.phase == "upgrade"
    assert len(text) <= _LONGEST_ERROR, f"{location!r}: an error of {len(text)} characters"
    assert text.isprintable(), f"{location!r} is refused by {text!r}"


def _check_leading(here: Address, there: Address, location: str) -> None:
    _check_address(there, location)
    assert there.secure or not here.secure, f"{location!r} leads from {here} to {there}"
    same = (there.scheme, there.host, there.port) == (here.scheme, here.host, here.port)
    assert there.authorization == (here.authorization if same else None), f"{location!r}: credentials for {there}"


def seeds() -> Iterator[bytes]:
    for value in (
        b"7",
        b"Fri, 31 Dec 1999 23:59:59 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ):
        yield b"\x06\x02" + value
    yield b"\x06\x01Thu, 29 Feb 2024 12:00:00 -0000"
    for uri in (
        "ws://h",
        "wss://u:p@h:1/x?y",
        "ws://[::1%25eth0]:8",
        "wss://bücher.example/ü%41[]",
        "ws:h",
        "http://h",
    ):
        yield b"\x07\x00" + uri.encode()
    yield from (bytes((0x07, 1, which)) + b"user\0host:80/x@y" for which in range(5))
    for location in LOCATIONS:
        yield from (bytes((options, 2)) + location.encode() for options in (0x07, 0x87))
