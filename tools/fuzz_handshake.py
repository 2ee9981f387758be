"""Fuzzes what a server says before a connection is open: its answer to the upgrade, header values, addresses.

The answer, read whole, in pieces and byte by byte, must lead to the same outcome and raise nothing but HandshakeError.
It is accepted only where `strict_response.py`, a reading of the RFCs apart from the library's, says so, and with what
that found; what follows it is handed on. An answer without end takes no more memory than the limits say.

An input is, byte by byte:

    options     bits 0 to 2, what is fuzzed:  0, 1: an answer, as it is     2, 3: an answer drawn from bytes
                                              4: an answer without end      5: Sec-WebSocket-Extensions
                                              6: Retry-After and dates      7: an address, or a redirect's
                bits 3 and 4: what was said about compression    bit 5: whether subprotocols were offered
                bit 6: byte by byte, too    bit 7: over TLS
    cuts        of an answer alone: how many bytes follow here (modulo 8) that are the sizes of its pieces
    the rest    the answer, the value, or the address
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import NamedTuple

from jetsocket.errors import HandshakeError
from jetsocket.protocol.deflate import DeflateOffer, DeflateParameters
from jetsocket.protocol.handshake import MAX_BODY, MAX_HEAD, Response, Upgrade
from jetsocket.protocol.uri import parse_uri

from .fuzzing import field_checks, strict_response
from .fuzzing.answer_drawing import ACCEPT, EXTENSIONS, INTERIM, KEY, STATUS, drawn_answer
from .fuzzing.drawing import Draw, cut
from .fuzzing.runner import Target, main

NOW = 1_700_000_000.0
OFFERS = (
    None,
    DeflateOffer(),
    DeflateOffer(server_no_context_takeover=True, client_no_context_takeover=True),
    DeflateOffer(server_max_window_bits=10),
)
SUBPROTOCOLS = ("a", "chat")
PLAIN, SECURE = parse_uri("ws://example.org/x?y"), parse_uri("wss://example.org/x?y")
LONGEST_ERROR = 2000
FLOOD = 40
READ = 16 * 1024
# What an Upgrade may hold beside its limits: its own objects, and the copies that growing buffers leave room for.
OVERHEAD = 4 * (MAX_HEAD + READ)


class Outcome(NamedTuple):
    """What an answer came to, and by what facts."""

    kind: str
    facts: tuple[object, ...]


def one_input(data: bytes) -> None:
    draw = Draw(data)
    options = draw.byte()
    kind = options & 7
    if kind == 5:
        field_checks.check_extensions(draw.rest())
    elif kind == 6:
        field_checks.check_dates(draw)
    elif kind == 7:
        field_checks.check_addresses(draw, SECURE if options & 0x80 else PLAIN)
    else:
        sizes = draw.taken(draw.below(8))
        if kind == 4:
            _check_flood(options, draw.rest())
        else:
            _check_answer(options, sizes, draw.rest() if kind < 2 else drawn_answer(draw))


def _asked(options: int) -> Upgrade:
    """An upgrade whose request went out."""
    upgrade = Upgrade(
        SECURE if options & 0x80 else PLAIN,
        key=KEY,
        subprotocols=SUBPROTOCOLS if options & 0x20 else None,
        compression=OFFERS[options >> 3 & 3],
    )
    upgrade.request()
    return upgrade


def _check_answer(options: int, sizes: bytes, answer: bytes) -> None:
    ways = {"whole": [answer], "in pieces": list(cut(answer, sizes))}
    if options & 0x40:
        ways["byte by byte"] = list(cut(answer, b"\1"))
    outcomes = {way: _outcome(_asked(options), pieces, len(answer)) for way, pieces in ways.items()}
    if len(answer) > MAX_HEAD and all(outcome.kind == "failed" for outcome in outcomes.values()):
        return  # what is wrong with a head that is too big may be noticed before its size, or after
    first = outcomes["whole"]
    for way, outcome in outcomes.items():
        assert outcome == first, f"{answer!r} {way} is {outcome}, whole {first}"
    _check_verdict(options, answer, first)


def _outcome(upgrade: Upgrade, pieces: Iterable[bytes], size: int) -> Outcome:
    read = 0
    try:
        for piece in pieces:
            read += len(piece)
            response = upgrade.receive(piece, NOW)
            if response is not None:
                return _answered(response, size - read)
        error = upgrade.eof(NOW)
    except HandshakeError as raised:
        error = raised
    return _failed(error)


def _answered(response: Response, unread: int) -> Outcome:
    if not response.accepted:
        assert response.status_code in (301, 302, 303, 307, 308)
        return Outcome("redirect", (response.status_code, response.headers, response.redirect))
    assert response.status_code == 101
    # What had been read beyond the answer, and what had not: the same frames in the end.
    facts = (response.headers, response.subprotocol, response.deflate, len(response.trailing) + unread)
    return Outcome("accepted", facts)


def _failed(error: HandshakeError) -> Outcome:
    text = str(error)
    assert error.phase == "upgrade"
    assert len(text) <= LONGEST_ERROR, f"an error of {len(text)} characters: {text}"
    assert text.isprintable(), f"an error that cannot be printed: {text!r}"
    assert len(error.body) <= MAX_BODY
    # What is no HTTP is told with the words of a parser who has seen some of it, or all.
    said = text if error.status_code is not None else re.sub(r"did not answer with HTTP.*", "did not", text)
    return Outcome("failed", (said, error.status_code, error.headers, error.body, error.retry_after, error.hint))


def _check_verdict(options: int, answer: bytes, outcome: Outcome) -> None:
    offered = OFFERS[options >> 3 & 3]
    offer = strict_response.Offer(
        ACCEPT,
        SUBPROTOCOLS if options & 0x20 else (),
        offered is not None,
        offered is not None and offered.server_no_context_takeover,
        None if offered is None else offered.server_max_window_bits,
    )
    expected = strict_response.opened(answer, offer)
    if outcome.kind != "accepted":
        assert expected is None or not expected.plain, f"{answer!r} is {outcome}, which is an upgrade: {expected}"
        return
    assert expected is not None, f"{answer!r} is accepted, which is no upgrade"
    _, subprotocol, deflate, behind = outcome.facts
    assert subprotocol == expected.subprotocol, f"{answer!r}: {subprotocol!r}, not {expected.subprotocol!r}"
    assert behind == len(expected.trailing), f"{answer!r}: {behind} bytes follow it, not {len(expected.trailing)}"
    parameters = None
    if expected.deflate is not None:
        ours = offered is not None and offered.client_no_context_takeover
        server_fresh, client_fresh, server_bits, client_bits = expected.deflate
        parameters = DeflateParameters(server_fresh, client_fresh or ours, server_bits, client_bits)
    assert deflate == parameters, f"{answer!r}: {deflate}, not {parameters}"
    # Byte for byte, too, where all of it had come in one read.
    whole = _asked(options).receive(answer, NOW)
    assert whole is not None
    assert whole.trailing == expected.trailing


def _check_flood(options: int, data: bytes) -> None:
    """The answer, and its second half again and again."""
    upgrade = _asked(options)
    half = data[len(data) // 2 :] or b"x"
    flood = (half * (READ // len(half) + 1))[:READ]
    try:
        for piece in (data, *[flood] * FLOOD):
            if upgrade.receive(piece, NOW) is not None:
                return
            held = _held(upgrade)
            assert held <= OVERHEAD, f"an upgrade that holds {held:,} bytes"
        assert upgrade.status_code is not None, f"a head of {FLOOD * READ:,} bytes, and still no error: {data!r}"
        upgrade.eof(NOW)
    except HandshakeError as error:
        _failed(error)


def _held(root: object) -> int:
    """The bytes that an object holds, itself and by others."""
    seen: set[int] = set()
    left = [root]
    size = 0
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, (type, FunctionType, ModuleType)):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        left.extend(gc.get_referents(one))
    return size


def seeds() -> Iterator[bytes]:
    fields = b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT.encode()
    for status in STATUS:
        yield b"\x40\x02\x07\x30" + status + fields + b"\r\n\r\n\x81\x02hi"
    for extension in EXTENSIONS:
        yield b"\x08\x00" + STATUS[0] + fields + b"\r\nSec-WebSocket-Extensions: " + extension.encode() + b"\r\n\r\n"
        yield b"\x05" + extension.encode("latin-1")
    for name, value in ((b"Location", b"/y"), (b"Retry-After", b"7"), (b"Content-Length", b"5"), (b"X", b"a\r\n b")):
        for status in STATUS[8:]:
            yield b"\x00\x01\x20" + b"".join((status, b"\r\n", name, b": ", value, b"\r\n\r\nabcde"))
    chunked = STATUS[8] + b"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield from (bytes((options, 0)) + INTERIM[0] + chunked for options in (0x00, 0x40, 0x04))
    yield from (bytes((0x42 | offer << 3, 1, 9)) + bytes(20) for offer in range(4))
    yield from (bytes((0x22, 0, 0, which, 0, 0, 0, 0, 3)) + bytes(range(which, 60, 3)) for which in range(len(STATUS)))
    yield from (b"\x04\x00" + start for start in (b"H", STATUS[0] + b"\r\nX: ", STATUS[8] + b"\r\n\r\n", chunked))
    yield from field_checks.seeds()


WORDS = (
    *(b"HTTP/1.1 101 X\r\n", b"\r\n\r\n", b"\r\n ", b"Sec-WebSocket-Accept: ", ACCEPT.encode(), b"Content-Length: "),
    *(
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"; server_max_window_bits=",
        b"Sec-WebSocket-Protocol: chat\r\n",
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Retry-After: ",
        b"Location: ",
        b" GMT",
        b"Nov",
        b"@",
        b"://",
        b"%2",
        b"[::1]",
    ),
)
INSTRUMENTED = ("handshake", "headers", "uri", "deflate")
TARGET = Target(
    "handshake",
    one_input,
    seeds,
    instrument=tuple(f"jetsocket.protocol.{name}" for name in INSTRUMENTED),
    words=WORDS,
    max_len=2048,
)

if __name__ == "__main__":
    sys.exit(main(TARGET))
