"""What a server must not send on an open connection, by name: its bytes, the close code that it must be told, and why.

`FAULTS` is the list to check against RFC 6455 sections 5.2 to 5.5, 7.4 and 8.1, and RFC 7692 section 6. Each runs in
`test_open_frames.py`.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from ..conformance.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame, header

# `max_message_size` in these tests.
LIMIT = 100_000
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"

RESERVED_BITS = "reserved bits set in a frame's header"
CONTINUES_NOTHING = "a continuation frame with nothing to continue"
NEW_WITHIN = "a new message before the last one ended"
MASKED = "a masked frame from the server"
FRAGMENTED_CONTROL = "a fragmented control frame"
LONG_CONTROL = "a control frame longer than 125 bytes"
NOT_SHORTEST = "a frame length not in its shortest form"
HIGHEST_BIT = "a frame length with the highest bit set"
NOT_TEXT = "a text message that is not valid UTF-8"
ODD_REASON = "a close frame with a reason that is not UTF-8"

OPCODES = {"continuation": CONT, "text": TEXT, "binary": BINARY, "close": CLOSE, "ping": PING, "pong": PONG}
BEGUN = frame(TEXT, b"begun", fin=False)


class Fault(NamedTuple):
    """`data` in place of a frame; `compressed`: permessage-deflate was negotiated."""

    data: bytes
    code: int
    reason: str
    compressed: bool = False


def deflated(payload: bytes) -> bytes:
    """As the payload of a compressed message (RFC 7692 section 7.2.1)."""
    context = zlib.compressobj(wbits=-15)
    return (context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def announced(first: int, length: int) -> bytes:
    """The header of a frame that announces so much, in 64 bits."""
    return header(first, 127, length.to_bytes(8, "big"))


def _reserved_bits() -> dict[str, Fault]:
    found = {}
    for bit, rsv in (("rsv1", 4), ("rsv2", 2), ("rsv3", 1)):
        for name, opcode in OPCODES.items():
            lead = BEGUN if opcode == CONT else b""
            found[f"{bit} on a {name}"] = Fault(lead + frame(opcode, b"", rsv=rsv), 1002, RESERVED_BITS)
            if rsv != 4 or opcode not in (TEXT, BINARY):
                with_deflate = Fault(lead + frame(opcode, b"", rsv=rsv), 1002, RESERVED_BITS, True)
                found[f"{bit} on a {name}, with compression"] = with_deflate
    # A compressed message carries the bit on its first frame alone.
    first = frame(TEXT, deflated(b"begun"), fin=False, rsv=4)
    found["rsv1 on a compressed message's continuation"] = Fault(first + frame(CONT, rsv=4), 1002, RESERVED_BITS, True)
    found["rsv1 and rsv2, with compression"] = Fault(frame(TEXT, deflated(b"x"), rsv=6), 1002, RESERVED_BITS, True)
    found["all reserved bits"] = Fault(frame(TEXT, b"x", rsv=7), 1002, RESERVED_BITS)
    return found


def _opcodes() -> dict[str, Fault]:
    found = {}
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        reason = f"a frame with the reserved opcode {opcode}"
        found[f"opcode {opcode}"] = Fault(frame(opcode, b"x"), 1002, reason)
        found[f"opcode {opcode} within a message"] = Fault(BEGUN + frame(opcode, b"x"), 1002, reason)
    return found


def _lengths() -> dict[str, Fault]:
    found = {}
    for width, sizes in ((2, (0, 1, 125)), (8, (0, 125, 126, 65535))):
        for size in sizes:
            fault = Fault(frame(TEXT, b"x" * size, width=width), 1002, NOT_SHORTEST)
            found[f"{size} in {8 * width} bits"] = fault
            found[f"{size} in {8 * width} bits, continued"] = Fault(
                BEGUN + frame(CONT, b"x" * size, width=width), 1002, NOT_SHORTEST
            )
    for name, first, lead in (("", 0x82, b""), (", continued", 0x80, BEGUN)):
        found[f"length 2**63{name}"] = Fault(lead + announced(first, 2**63), 1002, HIGHEST_BIT)
        found[f"length 2**64 - 1{name}"] = Fault(lead + announced(first, 2**64 - 1), 1002, HIGHEST_BIT)
        for size in (2**63 - 1, 2**32 + 5, 2**31, LIMIT + 1):
            whole = size + (5 if lead else 0)
            reason = f"a message of at least {whole} bytes, over {LIMIT}"
            found[f"length {size}{name}"] = Fault(lead + announced(first, size), 1009, reason)
    return found


def _control_frames() -> dict[str, Fault]:
    found = {}
    for name in ("close", "ping", "pong"):
        opcode = OPCODES[name]
        found[f"fragmented {name}"] = Fault(frame(opcode, fin=False), 1002, FRAGMENTED_CONTROL)
        found[f"fragmented {name} within a message"] = Fault(BEGUN + frame(opcode, fin=False), 1002, FRAGMENTED_CONTROL)
        for size in (126, 65536):
            payload = b"\x03\xe8" + b"x" * (size - 2)
            found[f"{name} of {size} bytes"] = Fault(frame(opcode, payload), 1002, LONG_CONTROL)
        found[f"{name} of 2 bytes in 16 bits"] = Fault(frame(opcode, b"\x03\xe8", width=2), 1002, LONG_CONTROL)
    return found


def _masked() -> dict[str, Fault]:
    found = {}
    for name, opcode in OPCODES.items():
        lead = BEGUN if opcode == CONT else b""
        found[f"masked {name}"] = Fault(lead + frame(opcode, b"\x03\xe8", masked=True), 1002, MASKED)
    found["masked and empty"] = Fault(frame(TEXT, masked=True), 1002, MASKED)
    found["masked and long"] = Fault(frame(BINARY, b"x" * 70_000, masked=True), 1002, MASKED)
    return found


def _fragments() -> dict[str, Fault]:
    found = {}
    for name, fin in (("", True), (", unfinished", False)):
        found[f"continuation of nothing{name}"] = Fault(frame(CONT, b"x", fin=fin), 1002, CONTINUES_NOTHING)
        whole = frame(TEXT, b'"who', fin=False) + frame(CONT, b'le"')
        after = Fault(whole + frame(CONT, b"x", fin=fin), 1002, CONTINUES_NOTHING)
        found[f"continuation of a message that has ended{name}"] = after
        for kind in ("text", "binary"):
            inner = frame(OPCODES[kind], b"x", fin=fin)
            found[f"{kind} within a message{name}"] = Fault(BEGUN + inner, 1002, NEW_WITHIN)
            later = BEGUN + frame(CONT, b".", fin=False) + frame(PING, b"p") + inner
            found[f"{kind} within a message, later{name}"] = Fault(later, 1002, NEW_WITHIN)
    return found


def _close_frames() -> dict[str, Fault]:
    found = {"close of 1 byte": Fault(frame(CLOSE, b"\x03"), 1002, "a close frame with a payload of one byte")}
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        payload = code.to_bytes(2, "big") + b"bye"
        reason = f"a close frame with the invalid code {code}"
        found[f"close with {code}"] = Fault(frame(CLOSE, payload), 1002, reason)
    for name, bad in BAD_TEXT.items():
        found[f"close with a reason of {name}"] = Fault(frame(CLOSE, b"\x03\xe8bye" + bad), 1007, ODD_REASON)
    return found


BAD_TEXT = {
    "a lone continuation byte": b"\x80",
    "a byte that is never used": b"\xff",
    "an overlong sequence of 2": b"\xc0\xaf",
    "an overlong sequence of 3": b"\xe0\x80\xaf",
    "an overlong sequence of 4": b"\xf0\x80\x80\xaf",
    "the first surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "a code point beyond 10FFFF": b"\xf4\x90\x80\x80",
    "a sequence of 2 cut off": b"\xc3",
    "a sequence of 3 cut off": b"\xe2\x82",
    "a sequence of 4 cut off": b"\xf0\x9f\x98",
}


def _sizes() -> dict[str, Fault]:
    reason = f"a message of at least {LIMIT + 1} bytes, over {LIMIT}"
    half = frame(BINARY, b"x" * (LIMIT // 2), fin=False) + frame(CONT, b"x" * (LIMIT // 2), fin=False)
    inflated = f"a compressed message that inflates to more than {LIMIT} bytes"
    return {
        "a message over the limit": Fault(frame(BINARY, b"x" * (LIMIT + 1)), 1009, reason),
        "a message over the limit in fragments": Fault(half + frame(CONT, b"x"), 1009, reason),
        "a message over the limit, inflated": Fault(
            frame(TEXT, deflated(bytes(LIMIT + 1)), rsv=4), 1009, inflated, True
        ),
        "no deflate": Fault(
            frame(TEXT, b"\x07", rsv=4),
            1007,
            "a compressed message that does not inflate (Error -3 while decompressing data: invalid block type)",
            True,
        ),
        "no text, inflated": Fault(frame(TEXT, deflated(b"\xff"), rsv=4), 1007, NOT_TEXT, True),
    }


FAULTS: dict[str, Fault] = {
    **_reserved_bits(),
    **_opcodes(),
    **_lengths(),
    **_control_frames(),
    **_masked(),
    **_fragments(),
    **_close_frames(),
    **_sizes(),
}
