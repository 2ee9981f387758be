"""What compressed messages mean, by zlib used plainly, written apart from the library: for the fuzzer to hold
`jetsocket.protocol.deflate` against."""

from __future__ import annotations

import zlib
from typing import Any

TAIL = b"\x00\x00\xff\xff"
INVALID, TOO_BIG = 1007, 1009
MOST_FINAL_BLOCKS = 8
# What zlib may have made of one byte before it raises, which loses it: eight times a length of 258 in a single bit.
LOST = 8 * 258


class Refused(Exception):
    """A message that cannot be had; `codes`: the close codes that may say so. Where there is more wrong than one thing,
    which one is met first depends on where zlib stops."""

    def __init__(self, *codes: int) -> None:
        super().__init__(*codes)
        self.codes = codes


class PlainInflater:
    """One context, `takeover`: kept from message to message."""

    def __init__(self, *, takeover: bool) -> None:
        self._takeover = takeover
        self._context: Any = zlib.decompressobj(wbits=-15)
        self._before = b""

    def inflate(self, message: bytes, limit: int) -> bytes:
        """The message, at most `limit` bytes; Refused."""
        if len(message) > limit:
            raise Refused(TOO_BIG)  # a decoder refuses the frame already
        if not message:
            return b""
        if not self._takeover:
            self._context, self._before = zlib.decompressobj(wbits=-15), b""
        payload = bytearray()
        left = self._run(message, payload, limit)
        if left is None:
            self._end()
        final_blocks = 0
        while left is not None:
            # A final block: DEFLATE begins anew behind it, with what came before as its dictionary (RFC 7692 §7.2.3.5).
            final_blocks += 1
            if final_blocks > MOST_FINAL_BLOCKS:
                raise Refused(INVALID)
            if final_blocks == 1:
                left += TAIL
            if left == TAIL:
                break  # the octet that should begin another block is missing
            left = self._run(left, payload, limit)
        self._before = (self._before + payload)[-32768:]
        return bytes(payload)

    def _run(self, data: bytes, payload: bytearray, limit: int) -> bytes | None:
        """Inflate up to the end of a final block; what stands behind it, None if there was none."""
        saved = self._context.copy()
        try:
            payload += self._context.decompress(data, limit + 2 - len(payload))
        except zlib.error:
            raise Refused(*_codes(saved, data, len(payload), limit)) from None
        if len(payload) > limit:
            raise Refused(TOO_BIG)
        if not self._context.eof:
            return None
        behind: bytes = self._context.unused_data
        self._context = zlib.decompressobj(wbits=-15, zdict=(self._before + payload)[-32768:])
        return behind

    def _end(self) -> None:
        """The tail must be one, and no part of a block that lacks its end."""
        try:
            made = self._context.decompress(TAIL)
        except zlib.error:
            raise Refused(INVALID) from None
        if made or self._context.eof:
            raise Refused(INVALID)


def _codes(context: Any, data: bytes, made: int, limit: int) -> tuple[int, ...]:
    """Why data is refused that is not valid: for that, unless too much of it comes before that is noticed."""
    for at in range(len(data)):
        try:
            made += len(context.decompress(data[at : at + 1]))
        except zlib.error:
            break
    if made + LOST <= limit:
        return (INVALID,)
    return (INVALID, TOO_BIG) if made < limit + 2 else (TOO_BIG,)
