"""What a certificate says of itself, read from its DER form (X.690, RFC 5280 §4.1).

`ssl` tells it only of certificates that verify, and an error message needs it of one that does not. Nothing here judges
a certificate; that is OpenSSL's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_BMP_STRING = 0x1E

_ATTRIBUTES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU", b"\x55\x04\x06": "C"}
_SUBJECT_ALT_NAME = b"\x55\x1d\x11"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """`subject` and `issuer` as "CN=…, O=…". `names`: the host names and addresses that it is for."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


def read_certificate(der: bytes) -> CertificateFacts:
    """ValueError for what is no certificate."""
    (certificate,) = _children(der, 1)
    (body,) = _children(_expect(certificate, _SEQUENCE), 1)
    fields = list(_elements(_expect(body, _SEQUENCE)))
    if fields and fields[0][0] == _VERSION:
        del fields[0]
    if len(fields) < 6:
        raise ValueError("a certificate with too few fields")
    _, _, issuer, validity, subject = fields[:5]
    not_before, not_after = (_time(*element) for element in _children(_expect(validity, _SEQUENCE), 2))
    names = [name for tag, content in fields[6:] if tag == _EXTENSIONS for name in _alternative_names(content)]
    return CertificateFacts(
        _name(_expect(subject, _SEQUENCE)), _name(_expect(issuer, _SEQUENCE)), tuple(names), not_before, not_after
    )


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, content) of each element that follows another in `data`."""
    position = 0
    while position < len(data):
        if position + 2 > len(data):
            raise ValueError("DER data that ends too early")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 4 or position + width > len(data):
                raise ValueError("a malformed length in DER data")
            length = int.from_bytes(data[position : position + width], "big")
            position += width
        if length > len(data) - position:
            raise ValueError("DER data that ends too early")
        yield tag, data[position : position + length]
        position += length


def _children(data: bytes, count: int) -> list[tuple[int, bytes]]:
    """The first `count` elements."""
    elements = [element for element, _ in zip(_elements(data), range(count), strict=False)]
    if len(elements) < count:
        raise ValueError("DER data with too few elements")
    return elements


def _expect(element: tuple[int, bytes], tag: int) -> bytes:
    if element[0] != tag:
        raise ValueError(f"DER element with tag {element[0]:#x}, not {tag:#x}")
    return element[1]


def _name(data: bytes) -> str:
    parts = []
    for relative in _elements(data):
        for attribute in _elements(_expect(relative, _SET)):
            kind, (tag, value) = _children(_expect(attribute, _SEQUENCE), 2)
            label = _ATTRIBUTES.get(_expect(kind, _OID))
            if label:
                text = value.decode("utf-16-be" if tag == _BMP_STRING else "utf-8", errors="replace")
                parts.append(f"{label}={_printable(text)}")
    return ", ".join(parts)


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii", errors="replace")
    if tag == _UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text  # RFC 5280 §4.1.2.5.1
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"a certificate with a time of tag {tag:#x}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _alternative_names(data: bytes) -> Iterator[str]:
    (extensions,) = _children(data, 1)
    for extension in _elements(_expect(extensions, _SEQUENCE)):
        fields = list(_elements(_expect(extension, _SEQUENCE)))
        if len(fields) < 2 or _expect(fields[0], _OID) != _SUBJECT_ALT_NAME:
            continue
        (names,) = _children(_expect(fields[-1], _OCTETS), 1)
        for tag, content in _elements(_expect(names, _SEQUENCE)):
            if tag == _DNS_NAME:
                yield _printable(content.decode("ascii", errors="replace"))
            elif tag == _IP_ADDRESS and len(content) in (4, 16):
                yield str(ip_address(content))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
