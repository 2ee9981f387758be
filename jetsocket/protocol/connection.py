"""One open WebSocket connection, client side: control frames, the closing handshake, what to send (RFC 6455 §5, §7).

Bytes come in through the frame decoder, which puts data messages into its sink and returns what is rare. From that this
module makes *events*, in the order in which they must be acted on:

=====================  ==============================================================================================
`Write(data)`          send these bytes now: answers to pings, then a close frame. At most one, and always the first
`Pong(payload)`        a pong came
`CloseReceived(…)`     the server closed, or answered our close; it is its turn to end the stream, wait for `eof`
`Failed(code, …)`      the server broke the protocol or a limit; a close frame was in `Write`: close the transport
=====================  ==============================================================================================

`eof()` gives the last event, `Ended`. The state moves OPEN → CLOSING → CLOSED and never back: CLOSING begins with the
first close frame in either direction or with a failure, CLOSED is the end of the stream.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple

from jetsocket.errors import InvalidStateError
from jetsocket.hot import OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, OP_TEXT, encode_frame

if TYPE_CHECKING:
    from jetsocket.hot import Control, FrameDecoder
    from jetsocket.protocol.deflate import Deflater

NORMAL_CLOSURE = 1000
PROTOCOL_ERROR = 1002
NO_CODE = 1005  # stands for a close frame without a code; never on the wire
ABNORMAL_CLOSURE = 1006  # stands for an end of stream without a close frame; never on the wire
INVALID_DATA = 1007

MAX_CONTROL_PAYLOAD = 125  # RFC 6455 §5.5
MAX_REASON = MAX_CONTROL_PAYLOAD - 2


class State(Enum):
    """Of one open connection; `states.ConnectionState` is what the user sees."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Write(NamedTuple):
    data: bytes


class Pong(NamedTuple):
    payload: bytes


class CloseReceived(NamedTuple):
    """`code` 1005: the frame carried none."""

    code: int
    reason: str


class Failed(NamedTuple):
    """`code`: the close code that the server is told."""

    code: int
    reason: str


class Ended(NamedTuple):
    """The stream is over. `clean`: after a close frame from the server. `in_message`: amid a message or a frame."""

    clean: bool
    code: int
    reason: str
    in_message: bool


Event = Write | Pong | CloseReceived | Failed | Ended


def random_masks() -> Iterator[bytes]:
    """Masking keys from the operating system's random source, fetched in blocks (RFC 6455 §5.3, §10.3)."""
    while True:
        block = os.urandom(1024)
        for start in range(0, len(block), 4):
            yield block[start : start + 4]


def is_close_code(code: int) -> bool:
    """Whether `code` may stand in a close frame (RFC 6455 §7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a close frame; ValueError where RFC 6455 does not allow it."""
    if not is_close_code(code):
        raise ValueError(f"close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, got {code!r}")
    encoded = reason.encode()
    if len(encoded) > MAX_REASON:
        raise ValueError(f"close reason must be at most {MAX_REASON} bytes of UTF-8, got {len(encoded)}")
    return code.to_bytes(2, "big") + encoded


def parse_close(payload: bytes) -> CloseReceived | Failed:
    """What a close frame's payload says, or what is wrong with it (RFC 6455 §5.5.1, §7.4, §8.1)."""
    if not payload:
        return CloseReceived(NO_CODE, "")
    if len(payload) == 1:
        return Failed(PROTOCOL_ERROR, "a close frame with a payload of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not is_close_code(code):
        return Failed(PROTOCOL_ERROR, f"a close frame with the invalid code {code}")
    try:
        return CloseReceived(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Failed(INVALID_DATA, "a close frame with a reason that is not UTF-8")


class Connection:
    """Made when the upgrade has succeeded; serves one socket, once.

    `decoder`: the frame decoder, with the sink of the data messages. `deflater`: as negotiated, None for no compression
    outwards. `compression_threshold`: messages of fewer bytes are sent as they are. `mask_source`: gives the next
    masking key, 4 bytes. `faults_apart`: what the decoder finds fault with comes from `fail()`, when the caller asks
    for it, and not with the rest: the messages before the fault can then be answered before the connection is failed.
    """

    def __init__(
        self,
        decoder: FrameDecoder,
        *,
        deflater: Deflater | None = None,
        compression_threshold: int = 128,
        mask_source: Callable[[], bytes] | None = None,
        faults_apart: bool = False,
    ) -> None:
        self.decoder = decoder
        self.state = State.OPEN
        self.close_code: int | None = None
        """The code that the connection ended with: the first close frame's, or 1006; None while it is open."""
        self.close_reason = ""
        self.closed_by: Literal["server", "client"] | None = None
        """Who sent the first close frame; None where there was none."""
        self.close_sent = False
        self.close_received = False
        self.failed = False
        self.messages_sent = 0
        self.bytes_sent = 0
        self._deflater = deflater
        self._threshold = compression_threshold
        self._mask = mask_source or random_masks().__next__
        self._faults_apart = faults_apart

    def __repr__(self) -> str:
        return f"Connection(state={self.state.value}, close_code={self.close_code})"

    # In.

    def receive(self, nbytes: int, received_ns: int) -> list[Event] | None:
        """`nbytes` were read into the decoder's buffer. None: only data messages, or parts, came."""
        controls = self.decoder.commit(nbytes, received_ns)
        return None if controls is None else self._events(controls)

    def feed(self, data: bytes, received_ns: int) -> list[Event] | None:
        """The same for bytes that were read elsewhere: those that followed the upgrade's response."""
        controls = self.decoder.feed(data, received_ns)
        return None if controls is None else self._events(controls)

    def resume(self) -> list[Event] | None:
        """Go on where the decoder was blocked by a full sink."""
        controls = self.decoder.resume()
        return None if controls is None else self._events(controls)

    def fail(self) -> list[Event]:
        """With `faults_apart`: fail the connection for the fault that the decoder has found; [] if there is none."""
        answer = bytearray()
        events: list[Event] = []
        if self.state is not State.CLOSED:
            self._add_fault(events, answer)
        return [Write(bytes(answer)), *events] if answer else events

    def eof(self) -> Ended:
        """The stream ended or broke. Asked again, it answers the same."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            if not self.close_received and not self.failed:
                self.close_code, self.close_reason = ABNORMAL_CLOSURE, ""
        clean = self.close_received and not self.failed
        return Ended(clean, self.close_code or ABNORMAL_CLOSURE, self.close_reason, self.decoder.in_message)

    # Out.

    def message(self, data: bytes | str, binary: bool) -> bytes:
        """The frame of one data message. InvalidStateError once a close frame went either way."""
        if self.state is not State.OPEN:
            raise InvalidStateError(self.state, State.OPEN, "send")
        payload = data.encode() if isinstance(data, str) else data
        opcode = OP_BINARY if binary else OP_TEXT
        self.messages_sent += 1
        if self._deflater is not None and len(payload) >= self._threshold:
            return self._frame(opcode, self._deflater.deflate(payload), rsv1=True)
        return self._frame(opcode, payload)

    def ping(self, payload: bytes = b"") -> bytes:
        """A ping frame. ValueError beyond 125 bytes, InvalidStateError once a close frame went either way."""
        return self._control(OP_PING, payload, "ping")

    def pong(self, payload: bytes = b"") -> bytes:
        """An unsolicited pong frame (RFC 6455 §5.5.3); pings are answered without it."""
        return self._control(OP_PONG, payload, "send a pong")

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> bytes:
        """The close frame that begins the closing handshake; b"" if one went either way before (nothing to send).

        ValueError for a code or reason that RFC 6455 does not allow, before anything changes.
        """
        payload = close_payload(code, reason)
        if self.state is not State.OPEN:
            return b""
        self._begin_closing(code, reason, "client")
        self.close_sent = True
        return self._frame(OP_CLOSE, payload)

    # Within.

    def _frame(self, opcode: int, payload: bytes, *, rsv1: bool = False) -> bytes:
        frame = encode_frame(opcode, payload, self._mask(), rsv1=rsv1)
        self.bytes_sent += len(frame)
        return frame

    def _control(self, opcode: int, payload: bytes, operation: str) -> bytes:
        if self.state is not State.OPEN:
            raise InvalidStateError(self.state, State.OPEN, operation)
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a ping or pong carries at most {MAX_CONTROL_PAYLOAD} bytes, got {len(payload)}")
        return self._frame(opcode, payload)

    def _begin_closing(self, code: int, reason: str, by: Literal["server", "client"] | None) -> None:
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self.close_code, self.close_reason, self.closed_by = code, reason, by

    def _events(self, controls: list[Control]) -> list[Event]:
        if self.state is State.CLOSED:
            return []
        answer = bytearray()
        events: list[Event] = []
        for opcode, payload in controls:
            if opcode == OP_PING:
                if not self.close_received:  # RFC 6455 §5.5.2
                    answer += self._frame(OP_PONG, payload)
            elif opcode == OP_PONG:
                events.append(Pong(payload))
            elif opcode == OP_CLOSE:
                events.append(self._on_close(payload, answer))
        if not self._faults_apart:
            self._add_fault(events, answer)
        if answer:
            events.insert(0, Write(bytes(answer)))
        return events

    def _add_fault(self, events: list[Event], answer: bytearray) -> None:
        fault = self.decoder.fault
        if fault is not None and not self.failed:
            events.append(self._fail(Failed(fault.code, fault.reason), answer))

    def _on_close(self, payload: bytes, answer: bytearray) -> CloseReceived | Failed:
        event = parse_close(payload)
        if isinstance(event, Failed):
            return self._fail(event, answer)
        self.close_received = True
        self._begin_closing(event.code, event.reason, "server")
        if not self.close_sent:
            self.close_sent = True
            answer += self._frame(OP_CLOSE, payload[:2])  # the code is echoed, the reason is not (RFC 6455 §5.5.1)
        return event

    def _fail(self, event: Failed, answer: bytearray) -> Failed:
        """Fail the connection (RFC 6455 §7.1.7): tell the code, unless a close frame has gone out already."""
        self.failed = True
        self.state = State.CLOSING
        self.close_code, self.close_reason = event
        if not self.close_sent:
            self.close_sent = True
            reason = event.reason.encode()[:MAX_REASON].decode(errors="ignore")
            answer += self._frame(OP_CLOSE, close_payload(event.code, reason))
        return event
