"""Frames of RFC 6455, client side: bytes in, whole messages out. How messages go out is in frames_out_py.py.

The decoder owns the receive buffer. A transport reads into `get_buffer()` and says how much with `commit()`, which runs
every complete message through the sink and returns only what is rare: control frames, in their order. A violation of
the protocol ends the decoder: `fault` then holds the close code (RFC 6455 section 7.4.1) and the reason, and whatever
follows is ignored, as is whatever follows a close frame.

Judgement falls as early as the bytes allow: a reserved opcode at a frame's first byte, a length over the limit at its
header, invalid UTF-8 at the offending byte, even in the middle of a fragment that has not arrived whole.

This is the Python twin of `frames_c.pyx`, and its specification.
"""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from .receiving_py import ReceiveBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ring_py import Sink

OP_CONT: Final = 0x0
OP_TEXT: Final = 0x1
OP_BINARY: Final = 0x2
OP_CLOSE: Final = 0x8
OP_PING: Final = 0x9
OP_PONG: Final = 0xA

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009


class Control(NamedTuple):
    """A control frame: its opcode (8 close, 9 ping, 10 pong) and payload."""

    opcode: int
    payload: bytes


class Fault(NamedTuple):
    """Why the connection must be failed: the close code to send, and the reason in words."""

    code: int
    reason: str


class InflateError(Exception):
    """A compressed message that cannot be inflated; `code` is the close code to answer with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameDecoder(ReceiveBuffer):
    """Decodes what a server sends and hands each whole message to `sink`.

    `max_message_size` (bytes, 0 = none) bounds a message after reassembly and inflation. `inflate(message, limit)`
    inflates a compressed message (RFC 7692) or raises `InflateError`; without it RSV1 is a protocol error.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        max_message_size: int = 64 * 2**20,
        inflate: Callable[[bytes, int], bytes] | None = None,
    ) -> None:
        if max_message_size < 0:
            raise ValueError(f"max_message_size must be non-negative, got {max_message_size}")
        super().__init__()
        self._sink = sink
        self._limit = max_message_size or sys.maxsize
        self._inflate = inflate
        # The message being assembled: its opcode (0 when there is none), whether it is compressed, what came so far.
        self._opcode = 0
        self._compressed = False
        self._parts = bytearray()
        # Text is checked as it arrives; `_checked` counts the bytes of the unfinished frame that were.
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._checked = 0
        self._held: tuple[bytes, bool, int] | None = None
        self._received_ns = 0
        # While messages are handed on: what takes them must find the buffer as it is.
        self._busy = False
        self.fault: Fault | None = None
        self.blocked = False
        self.closed = False
        self.bytes_received = 0
        self.frames_received = 0

    @property
    def in_message(self) -> bool:
        """Whether a message or a frame has begun that has not ended."""
        return self._opcode != 0 or self._end > self._pos or self._held is not None

    def get_buffer(self, sizehint: int = -1) -> memoryview:  # noqa: ARG002
        """Free space to read into; valid until `commit()`. `sizehint` is of no account (asyncio gives one)."""
        if self._busy:
            raise _reentered()
        return self._space(at_rest=not self._opcode)

    def feed(self, data: bytes, received_ns: int) -> list[Control] | None:
        """Take `data` as if it had been read from the socket."""
        view, events = memoryview(data), None
        while True:
            space = self.get_buffer()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            view = view[count:]
            found = self.commit(count, received_ns)
            if found is not None:
                events = found if events is None else events + found
            if not view:
                return events

    def commit(self, nbytes: int, received_ns: int) -> list[Control] | None:
        """Decode `nbytes` that were read into `get_buffer()` at `received_ns` (nanoseconds since the epoch).

        Returns the control frames among them, or None where there were none; a list, perhaps empty, when `fault` was
        set. Raises ValueError when `nbytes` is negative or more than the buffer has room for.
        """
        if self._busy:
            raise _reentered()
        if not 0 <= nbytes <= len(self._buffer) - self._end:
            raise ValueError(f"commit() of {nbytes} bytes into {len(self._buffer) - self._end} bytes of space")
        if self.fault is not None or self.closed:
            return None
        self.bytes_received += nbytes
        self._fill(nbytes)
        self._received_ns = received_ns
        if self.blocked:
            return None
        return self._run()

    def resume(self) -> list[Control] | None:
        """Go on after the sink had no room; returns what `commit()` does, `blocked` tells whether it has room now."""
        if self._busy:
            raise _reentered()
        if not self.blocked or self.fault is not None:
            return None
        if self._held is not None:
            self._busy = True
            try:
                taken = self._sink.accept(*self._held)
            finally:
                self._busy = False
            if not taken:
                return None
            self._held = None
        self.blocked = False
        return self._run()

    def _run(self) -> list[Control] | None:
        events: list[Control] = []
        self._busy = True
        try:
            while self._pos < self._end:
                if not self._opcode and not self._checked:
                    self._scan()
                    if self.blocked or self._pos == self._end:
                        break
                before = self._pos
                self._pos = self._step(before, self._end, events)
                if self._pos == before or self.blocked or self.closed or self.fault is not None:
                    break
        finally:
            self._busy = False
            self._sink.wake()
        if self.fault is not None or self.closed:
            self._pos = self._end = 0
        return events if events or self.fault is not None else None

    def _scan(self) -> None:
        """Deliver whole messages, each in one frame with a length of 7 or 16 bits, up to the first that is not."""
        buffer, view, accept, now, limit = self._buffer, self._view, self._sink.accept, self._received_ns, self._limit
        pos, end, frames = self._pos, self._end, 0
        try:
            while end - pos >= 4:
                first = buffer[pos]
                binary = first == 0x82
                if not binary and first != 0x81:
                    break
                length = buffer[pos + 1]
                start = pos + 2
                if length >= 126:
                    if length != 126:
                        break
                    length = buffer[pos + 2] << 8 | buffer[pos + 3]
                    start = pos + 4
                    if length < 126:
                        break
                stop = start + length
                if stop > end or length > limit:
                    break
                payload = bytes(view[start:stop])
                if not binary and not payload.isascii() and not self._is_text(payload):
                    break
                frames += 1
                # What was consumed stays consumed, also where the sink raises.
                pos = stop
                if not accept(payload, binary, now):
                    self._held = (payload, binary, now)
                    self.blocked = True
                    break
        finally:
            self._pos = pos
            self.frames_received += frames

    @staticmethod
    def _is_text(payload: bytes) -> bool:
        try:
            payload.decode()
        except UnicodeDecodeError:
            return False
        return True

    def _fail(self, code: int, reason: str) -> None:
        self.fault = Fault(code, reason)

    def _step(self, pos: int, end: int, events: list[Control]) -> int:
        """One frame of any kind. Returns where the next begins; `pos` itself when it is not complete, or at fault."""
        buffer = self._buffer
        first = buffer[pos]
        opcode = first & 0x0F
        final = first & 0x80
        problem = self._judge(first, opcode, final)
        if problem:
            self._fail(PROTOCOL_ERROR, problem)
            return pos
        if end - pos < 2:
            return pos
        length = buffer[pos + 1]
        if length & 0x80:
            self._fail(PROTOCOL_ERROR, "a masked frame from the server")
            return pos
        start = pos + 2
        if length >= 126:
            if opcode >= 8:
                self._fail(PROTOCOL_ERROR, "a control frame longer than 125 bytes")
                return pos
            width, least = (2, 126) if length == 126 else (8, 65536)
            start += width
            if end < start:
                return pos
            length = int.from_bytes(buffer[start - width : start], "big")
            if length >> 63:
                self._fail(PROTOCOL_ERROR, "a frame length with the highest bit set")
                return pos
            if length < least:
                self._fail(PROTOCOL_ERROR, "a frame length not in its shortest form")
                return pos
        stop = start + length
        if opcode >= 8:
            if stop > end:
                return pos
            self.frames_received += 1
            events.append(Control(opcode, bytes(buffer[start:stop])))
            if opcode == OP_CLOSE:
                self.closed = True
            return stop
        if len(self._parts) + length > self._limit:
            self._fail(TOO_BIG, f"a message of at least {len(self._parts) + length} bytes, over {self._limit}")
            return pos
        compressed = bool(first & 0x40) or self._compressed
        if not compressed and OP_TEXT in (opcode, self._opcode):
            arrived = min(stop, end)
            whole = bool(final) and stop <= end
            if not self._check_text(self._view[start + self._checked : arrived], whole):
                return pos
            self._checked = arrived - start
        if stop > end:
            return pos
        # First: where there is no memory for it, the fragment is not consumed, and the message has no gap.
        self._parts += self._view[start:stop]
        self.frames_received += 1
        self._checked = 0
        if opcode:
            self._opcode = opcode
            self._compressed = compressed
        if final:
            self._pos = stop
            self._finish()
        return stop

    def _judge(self, first: int, opcode: int, final: int) -> str | None:
        """What is wrong with a frame's first byte (RFC 6455 sections 5.2, 5.4 and 5.5; RFC 7692 section 6)."""
        if first & 0x30 or (first & 0x40 and (self._inflate is None or opcode not in (OP_TEXT, OP_BINARY))):
            return "reserved bits set in a frame's header"
        if 3 <= opcode <= 7 or opcode >= 0xB:
            return f"a frame with the reserved opcode {opcode}"
        if opcode >= 8:
            return None if final else "a fragmented control frame"
        if opcode == OP_CONT and not self._opcode:
            return "a continuation frame with nothing to continue"
        if opcode != OP_CONT and self._opcode:
            return "a new message before the last one ended"
        return None

    def _check_text(self, data: memoryview, final: bool) -> bool:
        try:
            self._utf8.decode(data, final)
            # Python waits for the third byte of a surrogate, though the second settles it.
            pending = self._utf8.getstate()[0]
            valid = pending[:1] != b"\xed" or pending[1:] < b"\xa0"
        except UnicodeDecodeError:
            valid = False
        if not valid:
            self._fail(INVALID_DATA, "a text message that is not valid UTF-8")
        elif final:
            self._utf8.reset()
        return valid

    def _finish(self) -> None:
        """The message is complete: inflate it where it is compressed, and deliver it."""
        payload, binary = bytes(self._parts), self._opcode == OP_BINARY
        compressed = self._compressed
        self._parts = bytearray()
        self._opcode = 0
        self._compressed = False
        if compressed:
            assert self._inflate is not None
            try:
                payload = self._inflate(payload, self._limit)
            except InflateError as error:
                self._fail(error.code, error.reason)
                return
            if not isinstance(payload, bytes):
                raise TypeError(f"inflate() must give bytes, got {type(payload).__name__}")
            if not binary and not self._check_text(memoryview(payload), True):
                return
        if not self._sink.accept(payload, binary, self._received_ns):
            self._held = (payload, binary, self._received_ns)
            self.blocked = True


def _reentered() -> RuntimeError:
    return RuntimeError("a FrameDecoder cannot be used by what takes its messages, while it does")
