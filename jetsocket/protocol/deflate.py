"""permessage-deflate (RFC 7692): the offer, the answer's parameters, and the two contexts.

`zlib_module` is whatever has zlib's `compressobj`, `decompressobj`, `error` and constants: `zlib`, `isal.isal_zlib`,
`zlib_ng.zlib_ng`.

Which one inflates was found by measurement, on recorded and made-up market data. Up to 300 bytes (compressed; some 800
of JSON) zlib is the fastest, of 30 bytes it makes 2.5 times as many as isal, which has to lay out large tables for each
block. From there on isal is ahead, at 1 KB by 1.6 and from 5 KB on by more than twice. zlib-ng lies between the two on
either side. So both are used, where isal is installed: each for the sizes that it is good at.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from jetsocket.hot import InflateError

EXTENSION = "permessage-deflate"

INVALID_DATA = 1007
TOO_BIG = 1009

WINDOW = 32768
_TAIL = b"\x00\x00\xff\xff"  # ends every flushed block, and is left out on the wire (§7.2.1)
_MAX_FINAL_BLOCKS = 8
# zlib takes no number beyond sys.maxsize, and is asked for one byte more than the limit.
_NO_LIMIT = sys.maxsize - 1

# Compressed bytes from which on isal is the better one. With no context kept there is one more to make for each
# message, which is dearer with isal.
_LARGE = 300
_LARGE_ALONE = 800
# To move a context costs as much as isal saves (zlib saves) with about this many bytes beyond (short of) `_LARGE`.
_MOVE = 1000
_BITS = re.compile(r"[89]|1[0-5]")

Parameters = Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class DeflateOffer:
    """What the client offers. `server_max_window_bits` (8 to 15): asks for a smaller window, for less memory here."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None

    def __post_init__(self) -> None:
        bits = self.server_max_window_bits
        if bits is not None and not 8 <= bits <= 15:
            raise ValueError(f"server_max_window_bits must be 8 to 15, got {bits!r}")

    def header(self) -> str:
        """The value for Sec-WebSocket-Extensions."""
        parts = [EXTENSION]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if self.server_max_window_bits is not None:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        # Without a value: the server may choose any (§7.1.2.2).
        parts.append("client_max_window_bits")
        return "; ".join(parts)

    def accept(self, parameters: Parameters) -> DeflateParameters:
        """The server's answer to this offer; ValueError if RFC 7692 §7.1 does not allow it."""
        flags: dict[str, bool] = {}
        bits: dict[str, int] = {}
        for name, value in parameters:
            if name in flags or name in bits:
                raise ValueError(f"{EXTENSION} parameter {name} is given twice")
            if name in ("server_no_context_takeover", "client_no_context_takeover"):
                if value is not None:
                    raise ValueError(f"{EXTENSION} parameter {name} takes no value, got {value!r}")
                flags[name] = True
            elif name in ("server_max_window_bits", "client_max_window_bits"):
                if value is None or not _BITS.fullmatch(value):
                    raise ValueError(f"{EXTENSION} parameter {name} must be 8 to 15, got {value!r}")
                bits[name] = int(value)
            else:
                raise ValueError(f"{EXTENSION} has no parameter {name!r}")
        if self.server_no_context_takeover and not flags.get("server_no_context_takeover"):
            raise ValueError(f"{EXTENSION} without server_no_context_takeover, which was asked for")
        if self.server_max_window_bits is not None:
            granted = bits.get("server_max_window_bits", 15)
            if granted > self.server_max_window_bits:
                wanted = f"{self.server_max_window_bits} was asked for"
                raise ValueError(f"{EXTENSION} with server_max_window_bits {granted}, {wanted}")
        return DeflateParameters(
            server_no_context_takeover=flags.get("server_no_context_takeover", False),
            client_no_context_takeover=self.client_no_context_takeover
            or flags.get("client_no_context_takeover", False),
            server_max_window_bits=bits.get("server_max_window_bits", 15),
            client_max_window_bits=bits.get("client_max_window_bits", 15),
        )


class DeflateParameters(NamedTuple):
    """What was agreed on; both contexts are made from it."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def inflater(self, zlib_module: Any = None) -> Inflater:
        """A context for what the server sends; `zlib_module` as `Inflater` has it."""
        return Inflater(no_context_takeover=self.server_no_context_takeover, zlib_module=zlib_module)

    def deflater(self, zlib_module: Any = zlib) -> Deflater | None:
        """A context for what the client sends; None where zlib has no such window: messages then go uncompressed."""
        if self.client_max_window_bits < 9:
            return None
        return Deflater(
            window_bits=self.client_max_window_bits,
            no_context_takeover=self.client_no_context_takeover,
            zlib_module=zlib_module,
        )


@cache
def for_large_messages() -> Any:
    """The library that inflates large messages; zlib where there is none better. Imported when it is first needed."""
    try:
        from isal import isal_zlib  # noqa: PLC0415
    except ImportError:
        return zlib
    return isal_zlib


class Inflater:
    """Inflates one message after another, with the context kept or not as agreed.

    `zlib_module` inflates, `for_large` the messages that are large; the first alone where the other is not given.
    """

    def __init__(self, *, no_context_takeover: bool = False, zlib_module: Any = None, for_large: Any = None) -> None:
        self._keep = not no_context_takeover
        self._small = zlib_module or zlib
        self._large = for_large or zlib_module or for_large_messages()
        # Of the messages of late: compressed bytes beyond `_LARGE` each, between `_MOVE` and its negative.
        self._balance = -_MOVE
        # The last messages, 32 KiB of them or more: a final block ends zlib's stream but not RFC 7692's window.
        self._recent: deque[bytes] = deque()
        self._recent_size = 0
        self._use(self._small)

    def _use(self, zlib_module: Any, window: bytes = b"") -> None:
        """A new context, behind `window`."""
        # The largest window serves every smaller one.
        options = {"zdict": window[-WINDOW:]} if window else {}
        self._context = zlib_module.decompressobj(wbits=-15, **options)
        self._decompress = self._context.decompress
        self._zlib = zlib_module
        self._error = zlib_module.error

    def inflate(self, message: bytes, limit: int) -> bytes:
        """`message` inflated. InflateError with 1009 if that is more than `limit` bytes (no more are made), with 1007
        if it is no valid DEFLATE data; the context is of no use afterwards."""
        size = len(message)
        if self._keep:
            # The usual case, small messages after small ones, is decided here.
            if size > _LARGE or self._balance > -_MOVE:
                self._weigh(size)
        elif size:
            self._use(self._small if size < _LARGE_ALONE else self._large)
        if not size:
            return b""  # not even the octet of §7.2.3.6; the tail alone would leave zlib amid a block
        if limit > _NO_LIMIT:
            limit = _NO_LIMIT
        try:
            payload: bytes = self._decompress(message, limit + 1)
            if len(payload) > limit or self._context.eof:
                payload = self._after_final_block(payload, limit)
            # The tail is no data, except to a block that lacks its end: what the message says is then not known. Where
            # such a block gives nothing for the tail it goes unseen: Python's zlib tells no more.
            elif self._decompress(_TAIL, 1) or self._context.eof:
                raise InflateError(INVALID_DATA, "a compressed message that breaks off")
        except self._error as error:
            raise InflateError(INVALID_DATA, f"a compressed message that does not inflate ({error})") from error
        if self._keep:
            recent = self._recent
            kept = payload if len(payload) <= WINDOW else payload[-WINDOW:]
            recent.append(kept)
            size = self._recent_size + len(kept)
            while size - len(recent[0]) >= WINDOW:
                size -= len(recent.popleft())
            self._recent_size = size
        return payload

    def _after_final_block(self, payload: bytes, limit: int) -> bytes:
        """The whole message of which `payload` came first."""
        blocks, tail = 0, _TAIL
        while self._context.eof and len(payload) <= limit:
            # A final block (§7.2.3.5). zlib's stream ends with it; what follows goes on in a new one, same window.
            blocks += 1
            if blocks > _MAX_FINAL_BLOCKS:
                raise InflateError(INVALID_DATA, f"a compressed message with over {_MAX_FINAL_BLOCKS} final blocks")
            rest, tail = self._context.unused_data + tail, b""
            self._use(self._zlib, (b"".join(self._recent) if self._keep else b"") + payload)
            if rest == _TAIL:
                break  # the sender left out the octet that §7.2.3.5 asks for; the message is complete all the same
            payload += self._decompress(rest, limit + 1 - len(payload))
        if len(payload) > limit:
            raise InflateError(TOO_BIG, f"a compressed message that inflates to more than {limit} bytes")
        return payload

    def _weigh(self, size: int) -> None:
        """Move the context to the other library once that would have saved what the move costs."""
        self._balance = max(-_MOVE, min(_MOVE, self._balance + size - _LARGE))
        better = self._large if self._balance == _MOVE else self._small if self._balance == -_MOVE else self._zlib
        if better is not self._zlib:
            self._use(better, b"".join(self._recent))


class Deflater:
    """Deflates one message after another, with the context kept or not as agreed."""

    def __init__(
        self,
        *,
        window_bits: int = 15,
        no_context_takeover: bool = False,
        level: int = 6,
        zlib_module: Any = zlib,
    ) -> None:
        if not 9 <= window_bits <= 15:
            raise ValueError(f"window_bits must be 9 to 15, got {window_bits}")
        self._zlib = zlib_module
        self._level = level
        self._bits = window_bits
        self._keep = not no_context_takeover
        self._context = self._fresh()

    def _fresh(self) -> Any:
        return self._zlib.compressobj(self._level, self._zlib.DEFLATED, -self._bits)

    def deflate(self, payload: bytes) -> bytes:
        """`payload` as the payload of a frame with RSV1 set."""
        if not payload:
            return b"\x00"  # §7.2.3.6; a second flush in a row would give nothing at all
        if not self._keep:
            self._context = self._fresh()
        data: bytes = self._context.compress(payload) + self._context.flush(self._zlib.Z_SYNC_FLUSH)
        return data.removesuffix(_TAIL)
