"""What RFC 6455 makes of a server's bytes, worked out plainly from the whole of them: to hold decoders against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

CONT, TEXT, BINARY, CLOSE = 0, 1, 2, 8
# One of these completes whatever a character can begin with.
ENDS = (b"", b"\x80", b"\x80\x80", b"\xa0\x80", b"\x80\x80\x80", b"\x90\x80\x80")


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def unfinished(data: bytes) -> bytes | None:
    """What of `data` begins a character that it does not end; None where no text can begin so."""
    for size in range(min(len(data), 3) + 1):
        rest = data[len(data) - size :]
        if is_text(data[: len(data) - size]):
            return rest if any(is_text(rest + end) for end in ENDS) else None
    return None


class RefusedError(Exception):
    """Inflating failed so that the connection is to be closed with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Outcome:
    """What became of some bytes."""

    messages: list[tuple[bytes, bool]] = field(default_factory=list)
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    fault: int | None = None
    closed: bool = False
    in_message: bool = False
    frames: int = 0


@dataclass
class Reader:
    """Reads frames from `data` one after another. `inflate(message)` raises RefusedError; None: not negotiated."""

    data: bytes
    limit: int
    inflate: Callable[[bytes], bytes] | None
    told: Outcome = field(default_factory=Outcome)
    at: int = 0
    # The message that has begun: its opcode or 0, whether it is compressed, its fragments, a character that they cut.
    opcode: int = 0
    packed: bool = False
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    cut: bytes = b""

    def read(self) -> Outcome:
        told = self.told
        try:
            while self.at < len(self.data) and not told.closed and self._frame():
                pass
        except RefusedError as error:
            told.fault = error.code
            told.in_message = self.opcode != 0
        else:
            told.in_message = self.opcode != 0 or (self.at < len(self.data) and not told.closed)
        return told

    def _frame(self) -> bool:
        """One frame; False where it has not all arrived."""
        first = self.data[self.at]
        kind = first & 15
        self._check_first(first, kind)
        head = self._length(kind)
        if head is None:
            return False
        start, size = head
        body = self.data[start : start + size]
        if kind >= 8:
            if len(body) == size:
                self.told.controls.append((kind, body))
                self.told.closed = kind == CLOSE
        else:
            self._data(first, kind, size, body)
        if len(body) < size:
            return False
        self.at = start + size
        self.told.frames += 1
        if kind < 8 and first & 0x80:
            self._end()
        return True

    def _check_first(self, first: int, kind: int) -> None:
        compressible = self.inflate is not None and kind in (TEXT, BINARY)
        if first & 0x30 or (first & 0x40 and not compressible) or kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            raise RefusedError(1002)
        if kind >= 8 and not first & 0x80:
            raise RefusedError(1002)
        if (kind == CONT and not self.opcode) or (kind in (TEXT, BINARY) and self.opcode):
            raise RefusedError(1002)

    def _length(self, kind: int) -> tuple[int, int] | None:
        """Where the payload begins, and its length; None where the header has not all arrived."""
        head = self.data[self.at + 1 : self.at + 10]
        if not head:
            return None
        short = head[0]
        if short >= 128 or (kind >= 8 and short > 125):
            raise RefusedError(1002)
        if short < 126:
            return self.at + 2, short
        width, least = (2, 126) if short == 126 else (8, 65536)
        if len(head) < 1 + width:
            return None
        size = int.from_bytes(head[1 : 1 + width], "big")
        if not least <= size < 2**63:
            raise RefusedError(1002)
        return self.at + 2 + width, size

    def _data(self, first: int, kind: int, size: int, body: bytes) -> None:
        """A data frame of which `body` has arrived."""
        if self.size + size > self.limit:
            raise RefusedError(1009)
        packed = self.packed or bool(first & 0x40)
        whole = len(body) == size
        if TEXT in (kind, self.opcode) and not packed:
            cut = unfinished(self.cut + body)
            if cut is None or (cut and whole and first & 0x80):
                raise RefusedError(1007)
            if whole:
                self.cut = cut
        if whole:
            self.opcode, self.packed = self.opcode or kind, packed
            self.parts.append(body)
            self.size += size

    def _end(self) -> None:
        payload, binary, packed = b"".join(self.parts), self.opcode == BINARY, self.packed
        self.opcode, self.packed, self.parts, self.size, self.cut = 0, False, [], 0, b""
        if packed:
            assert self.inflate is not None
            payload = self.inflate(payload)
            if not binary and not is_text(payload):
                raise RefusedError(1007)
        self.told.messages.append((payload, binary))
