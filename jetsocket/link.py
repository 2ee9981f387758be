"""One open connection on asyncio: reads go straight into the decoder's buffer, answers go out, and it ends once."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .hot import OP_PONG, pending, routing_wave
from .protocol import failures
from .protocol.connection import CloseReceived, Connection, Event, Failed, Pong, State, Write
from .protocol.timing import Heartbeat

if TYPE_CHECKING:
    from .errors import JetSocketError
    from .outgoing import Outgoing
    from .protocol.timing import HeartbeatConfig
    from .protocol.uri import Address

# How long the server may take to end the stream once close frames went both ways (RFC 6455 section 7.1.1 leaves that
# to it), before the client does.
LINGER = 1.0

# Answers to pings, in bytes, that may pile up behind what the server does not read; then it is read from no more. A few
# must not stop the reading: a server that waits for its own messages to be taken would never read again.
MOST_ANSWERS = 64 * 1024

# What is read in one turn of the event loop, in bytes; and the seconds, after which no read begins. An event loop may
# read on and on as long as the socket has more, with all that it read waiting in memory that is cold by the time its
# consumers run. Only reads that fill most of a buffer count: with a shorter one the socket was empty.
MOST_A_TURN = 512 * 1024
LONGEST_TURN = 0.001
LARGE_READ = 48 * 1024
# Turns of the event loop that the reading then waits, at most, for consumers that wait for theirs: some always do.
LONGEST_REST = 16

# Turns of the event loop between a fault of the server's and the end of the connection. They are for the messages that
# came whole before it, often in the same read: who waits for them can take and answer them.
GRACE = 8


class Link(asyncio.BufferedProtocol):
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
        self.address = address
        self.connection = connection
        self.subprotocol = subprotocol
        self.headers = headers
        self.ended: asyncio.Future[JetSocketError] = loop.create_future()
        # Not the loop's clock: uvloop's stands still within a turn, and counts milliseconds.
        self._clock = time.monotonic
        self.opened_at = self._clock()
        self.last_read = self.opened_at
        # Where what is sent has to keep a pace, pongs and pings ask it.
        self.outgoing: Outgoing | None = None
        # Those sent before there was that to ask.
        self.pongs = 0
        self.latency: float | None = None
        self.latencies = 0
        self.latency_sum = 0.0
        # The transport asks the decoder itself for its buffer: nothing stands between the socket and it.
        self.get_buffer = connection.decoder.get_buffer  # type: ignore[method-assign]
        self._decoder = connection.decoder
        self._receive = connection.receive
        self._transport = transport
        self._limit = max_message_size
        self._count = count_messages
        self._loop = loop
        self._cause: JetSocketError | None = None
        self._reading = True
        # Over TLS event loops throw away what lies undeciphered when the peer ends the stream while reading is paused.
        self._may_rest = transport.get_extra_info("sslcontext") is None
        self._wave = routing_wave(loop)
        self._burst = 0
        self._burst_began = 0.0
        self._resting = False
        self._full = False
        self._unread_answers = 0
        self._drained: list[asyncio.Future[None]] = []
        self._pings: dict[bytes, tuple[float, asyncio.Future[float]]] = {}
        self._ping_number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._heartbeat: Heartbeat | None = None
        self._suspected = False
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
        if not self._decoder.blocked and not self._full:
            self.last_read = self._clock()
            self._go_on_reading()

    def _go_on_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            if not self._resting:
                self._transport.resume_reading()

    def _pause(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            if not self._resting:
                self._transport.pause_reading()

    def _count_burst(self, nbytes: int) -> None:
        """Read no more in this turn of the loop when it has been enough."""
        if not self._burst:
            self._burst_began = self.last_read
        self._burst += nbytes
        enough = self._burst >= MOST_A_TURN or self.last_read - self._burst_began > LONGEST_TURN
        if enough and self._reading and not self._resting and not self._transport.is_closing():
            self._burst = 0
            self._resting = True
            self._transport.pause_reading()
            # Behind the tasks that this turn's messages wake: they run first.
            self._loop.call_soon(self._rest, LONGEST_REST)

    def _rest(self, turns: int) -> None:
        # Messages that lie in queues do not count: a slow consumer's may always do.
        if turns and pending(self._loop):
            self._loop.call_soon(self._rest, turns - 1)
            return
        self._resting = False
        if self._reading and not self._transport.is_closing():
            self._transport.resume_reading()

    def _act(self, events: list[Event]) -> None:
        if self._decoder.fault is not None and not self._failing:
            self._failing = True
            self._loop.call_soon(self._fail, GRACE)
        for event in events:
            if isinstance(event, Write):
                self._answer(event.data)
                if self._full:
                    self._unread_answers += len(event.data)
                    if self._unread_answers > MOST_ANSWERS:
                        self._pause()
            elif isinstance(event, Pong):
                self._on_pong(event.payload)
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
        self._stop_timers()
        if self._linger is not None:
            self._linger.cancel()
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        error = self._reason(exc)
        for _, ping in self._pings.values():
            if not ping.done():
                ping.set_exception(error)
        self._pings.clear()
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
        while self._end is None and (self._full or self._transport.is_closing()):
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._drained.append(waiter)
            try:
                await waiter
            finally:
                self._drained.remove(waiter)

    def pause_writing(self) -> None:
        """The transport holds more than it likes to."""
        self._full = True

    def resume_writing(self) -> None:
        """The transport can take more."""
        self._full = False
        self._unread_answers = 0
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        if not self._decoder.blocked:
            self._go_on_reading()

    async def close(self, code: int, reason: str, timeout: float) -> None:
        """The closing handshake (RFC 6455 section 7.1.2), `timeout` seconds of it at most; then the socket ends."""
        frame = self.connection.close(code, reason)
        self._stop_timers()
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
        self._stop_timers()
        if self._linger is None:
            self._linger = self._loop.call_later(LINGER, self._stop_lingering)

    def _stop_lingering(self) -> None:
        self._linger = None
        if self._decoder.blocked:
            # The server's last messages, and its close frame behind them, wait for a slow consumer.
            self._abort_soon()
        else:
            self._transport.abort()

    # Liveness.

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

    def ping(self) -> asyncio.Future[float]:
        """Send a ping; the future's result is its round trip in seconds."""
        self._ping_number += 1
        payload = b"p" + self._ping_number.to_bytes(8, "big")
        pong: asyncio.Future[float] = self._loop.create_future()
        self._transport.write(self.connection.ping(payload))
        self._pings[payload] = (self._clock(), pong)
        pong.add_done_callback(lambda _: self._pings.pop(payload, None))
        return pong

    def _on_pong(self, payload: bytes) -> None:
        now = self._clock()
        asked = self._pings.pop(payload, None)
        if asked is not None:
            sent, pong = asked
            self._measured(now - sent)
            if not pong.done():
                pong.set_result(now - sent)
        elif self._heartbeat is not None:
            self._measured(self._heartbeat.on_pong(now, payload))

    def on_application_pong(self) -> None:
        """A message came that answers an application ping."""
        if self._heartbeat is not None:
            self._measured(self._heartbeat.on_application_pong(self._clock()))

    def _measured(self, seconds: float | None) -> None:
        if seconds is not None:
            self.latency = seconds
            self.latencies += 1
            self.latency_sum += seconds

    def start_heartbeat(self, config: HeartbeatConfig) -> None:
        """Ping as `config` says, and end the connection when the server shows no life."""
        self._heartbeat = Heartbeat(config, self._clock())
        self._beat_at(self._heartbeat.next_wakeup())

    def _beat_at(self, when: float) -> None:
        self._timer = self._loop.call_later(max(when - self._clock(), 0), self._beat)

    def _beat(self) -> None:
        heartbeat = self._heartbeat
        if heartbeat is None or not self.is_open:
            return
        now = self._clock()
        # While the consumer is slow nothing is read, and the server cannot show life: that is no dead server.
        heartbeat.on_bytes(now if self._decoder.blocked else self.last_read)
        verdict = heartbeat.due(now)
        if verdict == "dead":
            if self._suspected:
                self.abort(failures.no_pong(self.address, heartbeat.unanswered_for(now), now - self.last_read))
                return
            # The loop may have been held up with the answer waiting in the socket: let it read once more.
            self._suspected = True
            self._timer = self._loop.call_later(0.001, self._beat)
            return
        self._suspected = False
        if verdict == "ping":
            wait = 0.0 if self.outgoing is None else self.outgoing.ping_delay()
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._beat)
                return
            payload = heartbeat.ping(now)
            # Behind what the server does not read it would get nowhere, and pings would pile up.
            if not self._full:
                self._send_ping(heartbeat.config, payload)
        self._beat_at(heartbeat.next_wakeup())

    def _send_ping(self, config: HeartbeatConfig, payload: bytes) -> None:
        if config.use_ws_ping:
            self._transport.write(self.connection.ping(payload))
        if config.use_application_ping:
            message = config.payload
            self._transport.write(self.connection.message(message, isinstance(message, bytes)))

    def _stop_timers(self) -> None:
        self._heartbeat = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
