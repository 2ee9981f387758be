"""The messages of a ring as a stream's consumers take them: what there is, decoded, or what to wait on; until the end.

How they ask for it is in stream_py.py. The Python twin of `taking_c.pyx`, and its specification.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from ..errors import DecodeError, InvalidStateError, TimeoutError
from .key_grammar import NOT_PARSED
from .stream_marks_py import NOTHING, Marks
from .waiting_py import NOBODYS, wave_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .ring_py import MessageRing
    from .stream_marks_py import Make

# A batch is not cut off before, unless its messages are slow to decode.
FEWEST: Final = 256
# Bytes of a message that count as much as one message does.
WEIGHT_SHIFT: Final = 8


def undecodable(error: BaseException, payload: bytes, name: str | None) -> DecodeError:
    """The error for a payload that its decoder refused."""
    of = "a message" if name is None else f"a message of {name!r}"
    return DecodeError(f"cannot decode {of} ({len(payload)} bytes): {error}", raw=payload, channel=name)


def listened_to(operation: str) -> InvalidStateError:
    """The error for taking from a stream whose messages go to a callback."""
    hint = "its messages go to a callback; stop that first"
    return InvalidStateError("listened to", (), operation, f"cannot {operation}: {hint}")


def waited_for() -> InvalidStateError:
    """The error for listening to a stream that a task waits for messages of."""
    return InvalidStateError("waited for", (), "listen", "cannot listen: a task waits for its messages")


def _expire(waiter: asyncio.Future[None], timeout: float, operation: str) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError(timeout, operation))


class Message:
    """One message with what is known of it."""

    __slots__ = ("_stream", "binary", "data", "received_ns")

    def __init__(self, data: bytes, binary: bool, received_ns: int, stream: Taking) -> None:
        self.data: bytes = data
        self.binary: bool = binary
        self.received_ns: int = received_ns
        self._stream = stream

    def decode(self) -> Any:
        """What plain iteration would have given for this message. Raises DecodeError where that cannot be decoded."""
        return self._stream.decode_payload(self.data)

    def __repr__(self) -> str:
        kind = "binary" if self.binary else "text"
        return f"Message({kind}, {len(self.data)} bytes, received_ns={self.received_ns})"


class Taking:
    """The consuming side of a ring, but for how it is asked: see `MessageStream`."""

    def __init__(
        self, ring: MessageRing, decode: Callable[[bytes], Any], name: str | None = None, *, json: bool = False
    ) -> None:
        self.ring = ring
        self.name = name
        self._decode = decode
        self._json = json
        self._waiters: list[asyncio.Future[None]] = []
        # Of the loop that was seen last.
        self._wave = NOBODYS
        self._listener: Callable[[Any], object] | None = None
        self._on_trouble: Callable[[BaseException], object] | None = None
        self._on_end: Callable[[], object] | None = None
        # The listener is being called; it will go on when it is its turn.
        self._busy = False
        self._resuming = False
        self._deferred: DecodeError | None = None
        self._marks: Marks | None = None
        self._watching = False
        # When the last message was received that was taken since there were marks, or losses were watched.
        self._taken_ns = 0
        # Something may come before the next message.
        self._careful = False
        self.ended = False
        self.error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self.quiet = False
        ring.waker = self._wake

    def end(self, error: BaseException | None = None, *, quiet: bool = False) -> None:
        """No more messages will come. What is queued can still be read; then iteration ends, or raises `error`.

        `quiet`: iteration ends all the same, and only `recv()` raises the error.
        """
        if not self.ended:
            self.ended = True
            self.error = error
            self._traceback = None if error is None else error.__traceback__
            self.quiet = quiet
            self._wake()
            # Nobody waits any more; and so the queue's memory goes with its last user, not when the collector runs.
            self.ring.waker = None

    def reopen(self) -> None:
        """After `end()`: messages will come again."""
        self.ended = False
        self.error = None
        self._traceback = None
        self.ring.waker = self._wake

    def _wake(self) -> None:
        if self._listener is not None:
            self._deliver()
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _deliver(self, turn: bool = False) -> None:
        """Call the listener: see `MessageStream`."""

    def decode_payload(self, payload: bytes) -> Any:
        """`payload` in the type that this stream delivers. Raises DecodeError."""
        return self._decoded(payload, self.name)

    def _decoded(self, payload: bytes, name: str | None, parsed: Any = NOT_PARSED) -> Any:
        if parsed is not NOT_PARSED and self._json:
            return parsed
        decode = self._decode
        if decode is bytes:
            return payload
        try:
            if decode is str:
                return payload.decode()
            return decode(payload)
        except Exception as error:
            raise undecodable(error, payload, name) from error

    def mark(self, item: Any) -> None:
        """Give the consumer `item`, as it is, behind all that is queued now; an exception is raised instead.

        It comes in its place however the messages are taken; to a listener's `on_trouble` if it is an exception.
        """
        self._look_for_losses()
        if self._marks is None:
            self._marks = Marks()
        self._marks.put(self.ring.tail, item)
        self._careful = True
        if self.ring.waiting:
            self.ring.waiting = False
            self._wake()

    def watch_losses(self, make: Make | None) -> None:
        """From now on the consumer is given `make(kind, count, since_ns, until_ns)` in the place of lost messages.

        `kind` "overflow": the ring dropped `count` messages. They lay between what was received at these times: the
        message that was taken last, and the one that comes next (0: there is none); or, of messages for which there was
        no room, they are those of the first and the last. "sequence": `count` messages, -1 if unknown, are missing
        between those. What `make` raises is raised in its place. None: no more.
        """
        if self._marks is None:
            self._marks = Marks()
        self._marks.watch(self.ring, make)
        self._watching = make is not None
        self._recheck()

    def _recheck(self) -> None:
        self._careful = self._deferred is not None or self._watching or bool(self._marks)

    def _look_for_losses(self) -> None:
        if self._watching and self._marks is not None:
            self._marks.look(self.ring, self._taken_ns)

    def _some(self) -> bool:
        """Whether there is something to take."""
        return len(self.ring) > 0 or (self._careful and self._due())

    def _due(self) -> bool:
        if self._deferred is not None:
            return True
        self._look_for_losses()
        return self._marks is not None and self._marks.at <= self.ring.head

    def _between(self) -> Any:
        """What comes before the next message, NOTHING where there is none. Raises what is an exception."""
        if not self._due():
            return NOTHING
        if self._deferred is not None:
            error, self._deferred = self._deferred, None
            self._recheck()
            raise error
        assert self._marks is not None
        self._wave.run += 1
        item = self._marks.pop()
        self._recheck()
        if isinstance(item, BaseException):
            raise item
        return item

    def _next(self) -> Any:
        if self._careful and (item := self._between()) is not NOTHING:
            return item
        payload, _, self._taken_ns, parsed = self.ring.take_parsed()
        self._wave.run += 1 + (len(payload) >> WEIGHT_SHIFT)
        return self._decoded(payload, self.name, parsed)

    def _next_message(self) -> Any:
        if self._careful and (item := self._between()) is not NOTHING:
            return item
        payload, binary, received_ns = self.ring.take()
        self._taken_ns = received_ns
        self._wave.run += 1 + (len(payload) >> WEIGHT_SHIFT)
        return Message(payload, binary, received_ns, self)

    async def _ready(self, timeout: float | None, operation: str) -> bool:
        """Wait until a message is queued; False when none will come any more. Raises TimeoutError."""
        deadline = None
        while not self._some():
            if self.ended:
                return False
            if timeout is not None and timeout <= 0:
                raise TimeoutError(timeout, operation)
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            timer = None
            if timeout is not None:
                # Of all waits together: another consumer may be the faster one, time and again.
                deadline = loop.time() + timeout if deadline is None else deadline
                timer = loop.call_at(deadline, _expire, waiter, timeout, operation)
            self._waiters.append(waiter)
            self.ring.waiting = True
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
                if self._listener is None:
                    self.ring.waiting = bool(self._waiters)
                if timer is not None:
                    timer.cancel()
            if self._listener is not None:
                raise listened_to(operation)
        return True

    def _in_time(self) -> bool:
        """Whether consumers have time left in this turn of the loop."""
        wave = self._wave
        if wave.run < wave.look:
            return True
        loop = asyncio._get_running_loop()
        if loop is not wave.loop or wave is NOBODYS:
            wave = self._wave = wave_of(loop)
        return wave.in_time()

    async def _turn(self, timeout: float | None, operation: str) -> bool:
        """As `_ready()`; where there is no time left for consumers in this turn of the loop, it waits for its turn."""
        if self._listener is not None:
            raise listened_to(operation)
        if self._some():
            if self._in_time():
                return True
            await self._wave.turn()
            if self._listener is not None:
                raise listened_to(operation)
            if self._some():
                return True
        return await self._ready(timeout, operation)

    def _over(self, operation: str) -> BaseException:
        if self.error is not None:
            return self._afresh(self.error)
        return InvalidStateError("closed", ("open",), operation)

    def _stop(self) -> BaseException:
        return StopAsyncIteration() if self.error is None or self.quiet else self._afresh(self.error)

    def _afresh(self, error: BaseException) -> BaseException:
        # Raised again and again, its traceback would grow without end.
        return error.with_traceback(self._traceback)

    def _short(self, batch: list[Any]) -> bool:
        """Whether a batch is not worth what it costs to begin another, and it is not too late for more."""
        return len(batch) < FEWEST and self._wave.in_overtime()

    def _take_batch(self, max_messages: int | None) -> list[Any]:
        most = max_messages or sys.maxsize
        if self._careful:
            return self._take_batch_with_marks(most)
        return self._take_plain_batch(most)

    def _take_plain_batch(self, most: int) -> list[Any]:
        count = min(len(self.ring), most)
        batch = [self._next()]
        try:
            # A decoder is foreign code: it may have taken from the ring itself, or put a mark behind its messages.
            while count > 1 and len(self.ring) and not self._careful and (self._in_time() or self._short(batch)):
                batch.append(self._next())
                count -= 1
        except DecodeError as error:
            self._defer(error)
        return batch

    def _take_batch_with_marks(self, most: int) -> list[Any]:
        batch = [self._next()]
        end = self.ring.tail
        try:
            while len(batch) < most and self._goes_on(end) and (self._in_time() or self._short(batch)):
                batch.append(self._next())
        except DecodeError as error:
            self._defer(error)
        return batch

    def _goes_on(self, end: int) -> bool:
        """Whether there is more, up to the index `end`, that does not raise."""
        if self._careful and self._due():
            return self._deferred is None and not (self._marks and isinstance(self._marks.first, BaseException))
        return len(self.ring) > 0 and self.ring.head < end

    def _defer(self, error: DecodeError) -> None:
        self._deferred = error
        self._careful = True
