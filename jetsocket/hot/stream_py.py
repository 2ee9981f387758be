"""Delivers the messages of a ring to the tasks that wait for them, or to a callback.

The Python twin of `stream_c.pyx`, and its specification.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .taking_py import Message, Taking, listened_to, undecodable, waited_for
from .waiting_py import wave_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["BatchIterator", "Message", "MessageIterator", "MessageStream", "listened_to", "undecodable", "waited_for"]


class MessageStream(Taking):
    """The consuming side of `ring`: waiting, decoding, ending.

    `decode` is `bytes` (the payload as it is), `str` (its text), or any callable of the payload. `json` says that
    `decode` is plain JSON decoding, so that a payload already parsed need not be parsed again. `name` is for errors.
    Any number of tasks may wait; each message goes to one of them. Or one callback is given all of them: `listen()`.
    """

    async def recv(self, timeout: float | None = None) -> Any:
        """The next message. `timeout` in seconds; 0 takes only what is queued.

        Raises TimeoutError, DecodeError, InvalidStateError once ended and drained, or the error that ended it.
        """
        if not await self._turn(timeout, "recv"):
            raise self._over("recv")
        return self._next()

    async def recv_batch(self, max_messages: int | None = None, timeout: float | None = None) -> list[Any]:
        """What is queued, at most `max_messages`, at least one. Raises what `recv()` does.

        A message that cannot be decoded ends the batch before it; the next call raises its DecodeError. Of a long queue
        it is as much as can be taken at a time without holding up the event loop.
        """
        if max_messages is not None and max_messages < 1:
            raise ValueError(f"max_messages must be at least 1, got {max_messages}")
        if not await self._turn(timeout, "recv_batch"):
            raise self._over("recv_batch")
        return self._take_batch(max_messages)

    @property
    def listening(self) -> bool:
        """Whether a callback is given the messages."""
        return self._listener is not None

    def listen(
        self,
        listener: Callable[[Any], object],
        on_trouble: Callable[[BaseException], object],
        on_end: Callable[[], object],
    ) -> None:
        """From now on call `listener` with each message, when it comes; what is queued comes at once.

        What it or the decoding raises goes to `on_trouble(error)`, but KeyboardInterrupt and SystemExit pass.
        `on_end()` is called after the last message. Raises InvalidStateError if there is a listener or a task waits.
        """
        if self._listener is not None:
            raise listened_to("listen")
        if any(not waiter.done() for waiter in self._waiters):
            raise waited_for()
        self._wave = wave_of(asyncio.get_running_loop())
        self._listener = listener
        self._on_trouble = on_trouble
        self._on_end = on_end
        try:
            self._deliver()
        except BaseException:
            self.stop_listening()
            raise

    def stop_listening(self) -> None:
        """No more calls of the listener; what is queued stays. Without a call of `on_end` either."""
        self._listener = self._on_trouble = self._on_end = None
        self.ring.waiting = bool(self._waiters)

    def _deliver(self, turn: bool = False) -> None:
        """Call the listener with what is queued, as far as there is time. `turn`: it is its turn, some there is."""
        # A message that comes while it is called has its turn behind the others.
        if self._busy:
            return
        self._busy = True
        try:
            while (listener := self._listener) is not None and self._some():
                if not turn and not self._in_time():
                    self._go_on_soon()
                    return
                turn = False
                self._deliver_one(listener)
            if self.ended and self._on_end is not None:
                on_end = self._on_end
                self.stop_listening()
                on_end()
        except BaseException:
            if self._listener is not None:
                self._go_on_soon()
            raise
        finally:
            self._busy = False
            if self._listener is not None:
                self.ring.waiting = not self._resuming

    def _deliver_one(self, listener: Callable[[Any], object]) -> None:
        try:
            listener(self._next())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # foreign code; as a callback of asyncio's
            # None after stop_listening().
            if self._on_trouble is not None:
                self._on_trouble(error)

    def _go_on_soon(self) -> None:
        # Without a loop it goes on with the next message.
        if not self._resuming and (loop := self._wave.loop) is not None:
            self._wave.line_up(loop).add_done_callback(self._go_on)
            self._resuming = True

    def _go_on(self, _: asyncio.Future[None]) -> None:
        self._resuming = False
        self._deliver(turn=True)

    def __aiter__(self) -> MessageStream:
        return self

    async def __anext__(self) -> Any:
        if not await self._turn(None, "recv"):
            raise self._stop()
        return self._next()

    def messages(self) -> AsyncIterator[Message]:
        """Iterate over `Message` objects, undecoded."""
        return MessageIterator(self)

    def batches(self, max_messages: int | None = None) -> AsyncIterator[list[Any]]:
        """Iterate over lists as `recv_batch()` gives them. Raises ValueError for less than 1."""
        if max_messages is not None and max_messages < 1:
            raise ValueError(f"max_messages must be at least 1, got {max_messages}")
        return BatchIterator(self, max_messages)


class MessageIterator:
    """`MessageStream.messages()`."""

    def __init__(self, stream: MessageStream) -> None:
        self._stream = stream

    def __aiter__(self) -> MessageIterator:
        return self

    async def __anext__(self) -> Any:
        stream = self._stream
        if not await stream._turn(None, "recv"):
            raise stream._stop()
        return stream._next_message()


class BatchIterator:
    """`MessageStream.batches()`."""

    def __init__(self, stream: MessageStream, max_messages: int | None) -> None:
        self._stream = stream
        self._most = max_messages

    def __aiter__(self) -> BatchIterator:
        return self

    async def __anext__(self) -> list[Any]:
        stream = self._stream
        if not await stream._turn(None, "recv_batch"):
            raise stream._stop()
        return stream._take_batch(self._most)
