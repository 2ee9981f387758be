"""One open connection on asyncio: reads go straight into the decoder's buffer, answers go out, and it ends once."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .heartbeat import Pulse
from .hot import OP_PONG, routing_wave
from .protocol import failures
from .protocol.connection import CloseReceived, Connection, Event, Failed, Pong, State, Write
from .reading import LARGE_READ, Reading

if TYPE_CHECKING:
    from .errors import JetSocketError
    from .outgoing import Outgoing
    from .protocol.uri import Address

# How long the server may take to end the stream once close frames went both ways (RFC 6455 section 7.1.1 leaves that
# to it), before the client does.
LINGER = 1.0

# Answers to pings, in bytes, that may pile up behind what the server does not read; then it is read from no more. A few
# must not stop the reading: a server that waits for its own messages to be taken would never read again.
MOST_ANSWERS = 64 * 1024

# Turns of the event loop between a fault of the server's and the end of the connection. They are for the messages that
# came whole before it, often in the same read: who waits for them can take and answer them.
GRACE = 8


class Link(Reading):
    """The open connection. `ended` is done when the socket is gone; its result is the error that says why.

    `count_messages()` gives the number of messages so far, for that sentence.
    """

    def __init__(
        self,
        address: Address,
        connection: Connection,
        transport: asyncio.Transport,
        *,
        subprotocol: str | None,
        headers: list[tuple[str, str]],
        max_message_size: int,
        count_messages: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, loop)
        self.opened_at = self.last_read
        self.address = address
        self.connection = connection
        self.subprotocol = subprotocol
        self.headers = headers
        self.ended: asyncio.Future[JetSocketError] = loop.create_future()
        # Where what is sent has to keep a pace, pongs and pings ask it.
        self.outgoing: Outgoing | None = None
        # Those sent before there was that to ask.
        self.pongs = 0
        self.pulse = Pulse(connection, transport, loop)
        # The transport asks the decoder itself for its buffer: nothing stands between the socket and it.
        self.get_buffer = connection.decoder.get_buffer  # type: ignore[method-assign]
        self._decoder = connection.decoder
        self._receive = connection.receive
        self._limit = max_message_size
        self._count = count_messages
        self._cause: JetSocketError | None = None
        self._wave = routing_wave(loop)
        # Whether the transport holds more than it likes to.
        self.is_full = False
        self._unread_answers = 0
        self._drained: list[asyncio.Future[None]] = []
        self._linger: asyncio.TimerHandle | None = None
        self._failing = False
        self._end: JetSocketError | None = None

    # In.

    def buffer_updated(self, nbytes: int) -> None:
        """The transport has read `nbytes` into the decoder's buffer."""
        self.last_read = self._clock()
        if nbytes < LARGE_READ:
            self._burst = 0
        elif self._may_rest:
            self._count_burst(nbytes)
        self._wave.hold()
        try:
            try:
                events = self._receive(nbytes, time.time_ns())
            except MemoryError as error:
                self.abort(failures.lost(self.address, self.age, self.since_message(), reset=False, detail=str(error)))
                return
            if events is not None:
                self._act(events)
            if self._decoder.blocked:
                self._pause()
        finally:
            # After a small read nobody waits for the loop's next round. After a large one more may be read first.
            self._wave.release(nbytes < LARGE_READ)

    def feed(self, data: bytes) -> None:
        """Bytes that were read together with the answer to the upgrade."""
        events = self.connection.feed(data, time.time_ns())
        if events is not None:
            self._act(events)
        if self._decoder.blocked:
            self._pause()

    def make_room(self) -> None:
        """The sink that was full has room again: go on with what was read, then with reading."""
        if self.ended.done() or self._reading:
            return
        events = self.connection.resume()
        if self._end is not None:
            self._finish()
            return
        if events is not None:
            self._act(events)
        if not self._decoder.blocked and not self.is_full:
            self.last_read = self._clock()
            self._go_on_reading()

    def _act(self, events: list[Event]) -> None:
        if self._decoder.fault is not None and not self._failing:
            self._failing = True
            self._loop.call_soon(self._fail, GRACE)
        for event in events:
            if isinstance(event, Write):
                self._answer(event.data)
                if self.is_full:
                    self._unread_answers += len(event.data)
                    if self._unread_answers > MOST_ANSWERS:
                        self._pause()
            elif isinstance(event, Pong):
                self.pulse.on_pong(event.payload)
            elif isinstance(event, CloseReceived):
                self._abort_soon()
            elif isinstance(event, Failed):
                self._cause = failures.violated(self.address, event.code, event.reason, self._limit)
                self._transport.close()
                # What the server never reads must not keep the socket.
                self._abort_soon()

    def _answer(self, frames: bytes) -> None:
        """Send what the protocol answers by itself, pongs and a close frame: pongs in their turn, where they count."""
        if self.outgoing is None or not self.outgoing.counts_control:
            self.pongs += sum(_opcode(frame) == OP_PONG for frame in _each(frames))
            self._transport.write(frames)
            return
        pong = None
        for frame in _each(frames):
            if _opcode(frame) == OP_PONG:
                # One answers all that came before it (RFC 6455 section 5.5.3).
                pong = frame
            else:
                self._transport.write(frame)
        if pong is not None:
            self.outgoing.pong(pong, self._write_pong)

    def _write_pong(self, frame: bytes) -> None:
        if self.is_open:
            self._transport.write(frame)

    def _fail(self, turns: int) -> None:
        if turns:
            self._loop.call_soon(self._fail, turns - 1)
        elif not self._transport.is_closing():
            self._act(self.connection.fail())

    def eof_received(self) -> None:
        """The server has ended the stream: the transport closes, but what is still unsent must not keep the socket."""
        self._abort_soon()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is gone: say why, once."""
        self.pulse.stop()
        if self._linger is not None:
            self._linger.cancel()
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        error = self._reason(exc)
        self.pulse.fail(error)
        self._end = error
        self._finish()

    def _finish(self) -> None:
        """The socket is gone. What was read from it and waits for room is delivered first: it is not lost with it."""
        if self._end is not None and not self._decoder.blocked and not self.ended.done():
            self.ended.set_result(self._end)

    def _reason(self, exc: BaseException | None) -> JetSocketError:
        connection = self.connection
        end = connection.eof()
        if self._cause is not None:
            return self._cause
        if self._decoder.fault is not None:
            # The stream ended before the connection was failed for it.
            return failures.violated(self.address, *self._decoder.fault, self._limit)
        if connection.closed_by is not None:
            return failures.closed(self.address, end.code, end.reason, connection.closed_by, self.age, self._count())
        reset = isinstance(exc, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError))
        detail = "" if exc is None or reset else str(exc)
        if isinstance(exc, ssl.SSLError):
            detail = f"TLS: {detail}"
        return failures.lost(
            self.address, self.age, self.since_message(), reset=reset, in_message=end.in_message, detail=detail
        )

    # Out.

    def write(self, data: bytes) -> None:
        """Send `data` now, or as soon as the socket takes it."""
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait while more is unsent than the transport's high-water mark; where the socket is ending, until it has."""
        while self._end is None and (self.is_full or self._transport.is_closing()):
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._drained.append(waiter)
            try:
                await waiter
            finally:
                self._drained.remove(waiter)

    def pause_writing(self) -> None:
        """The transport holds more than it likes to."""
        self.is_full = True

    def resume_writing(self) -> None:
        """The transport can take more."""
        self.is_full = False
        self._unread_answers = 0
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        if not self._decoder.blocked:
            self._go_on_reading()

    async def close(self, code: int, reason: str, timeout: float) -> None:
        """The closing handshake (RFC 6455 section 7.1.2), `timeout` seconds of it at most; then the socket ends."""
        frame = self.connection.close(code, reason)
        self.pulse.stop()
        if frame:
            self._transport.write(frame)
        # The server's close frame may stand behind messages that wait for room, or for the socket to be read again.
        self.make_room()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self.ended)
        except TimeoutError:
            # The server's answer is not worth more time; `ended` then says who closed.
            pass
        finally:
            self._transport.abort()
        await asyncio.shield(self.ended)

    def abort(self, cause: JetSocketError) -> None:
        """End the socket at once, for `cause`."""
        if self._cause is None:
            self._cause = cause
        self._transport.abort()

    def retire(self, cause: JetSocketError) -> None:
        """Close for `cause` without waiting for it; what still comes is still delivered."""
        self._cause = cause
        self._transport.write(self.connection.close())
        self._abort_soon()

    def _abort_soon(self) -> None:
        self.pulse.stop()
        if self._linger is None:
            self._linger = self._loop.call_later(LINGER, self._stop_lingering)

    def _stop_lingering(self) -> None:
        self._linger = None
        if self._decoder.blocked:
            # The server's last messages, and its close frame behind them, wait for a slow consumer.
            self._abort_soon()
        else:
            self._transport.abort()

    # How it stands.

    @property
    def lost(self) -> JetSocketError | None:
        """Why the socket is gone, once it is: `ended` may still wait for a slow consumer then."""
        # Raised by everyone who waited, its traceback would grow with each.
        return None if self._end is None else self._end.with_traceback(None)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.connection.state is State.OPEN and not self._transport.is_closing()

    @property
    def age(self) -> float:
        """Seconds since the upgrade."""
        return self._clock() - self.opened_at

    def since_message(self) -> float | None:
        """Seconds since anything was read; None where nothing was."""
        return self._clock() - self.last_read if self._decoder.bytes_received else None

    def call_at_age(self, seconds: float, callback: Callable[[], Any]) -> None:
        """Call `callback` when the connection is `seconds` old, unless it has ended by then."""
        timer = self._loop.call_later(seconds - self.age, callback)
        self.ended.add_done_callback(lambda _: timer.cancel())


def _each(frames: bytes) -> Iterator[bytes]:
    """Control frames, masked, one by one."""
    begin = 0
    while begin < len(frames):
        end = begin + 6 + (frames[begin + 1] & 0x7F)
        yield frames[begin:end]
        begin = end


def _opcode(frame: bytes) -> int:
    return frame[0] & 0x0F
