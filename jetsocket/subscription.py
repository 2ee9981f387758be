"""Subscription: one channel's messages, one ring, one consumer or several that share; or a callback, `Listening`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from .errors import InvalidStateError
from .gaps import Healing
from .protocol.timing import check_timeout
from .reporting import place_of
from .stats import SubscriptionStats

if TYPE_CHECKING:
    from types import TracebackType

    from .errors import JetSocketError
    from .hot import GroupStream, Message, MessageRing, MessageStream

T = TypeVar("T")

logger = logging.getLogger("jetsocket.subscriptions")


class Listening:
    """A callback at work; `listen()` makes it. As a context manager it stops at the end of the block.

    `name` is for people: the channel, or the address.
    """

    def __init__(self, stream: MessageStream, callback: Callable[[Any], object], name: str) -> None:
        given: object = callback
        if not callable(given) or inspect.iscoroutinefunction(given):
            raise TypeError(f"callback must be a plain function, got {type(callback).__name__} {callback!r}")
        self._stream = stream
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        stream.listen(callback, self._report, self._end)

    def __repr__(self) -> str:
        return f"Listening({self._name!r}, {'active' if self.is_active else 'ended'})"

    @property
    def is_active(self) -> bool:
        """Whether the callback can still be called."""
        return not self._ended.done()

    def stop(self) -> None:
        """No more calls. Idempotent. What is queued stays, and what comes is queued, for whoever reads next."""
        if not self._ended.done():
            self._stream.stop_listening()
            self._ended.set_result(None)

    async def wait(self) -> None:
        """Until there will be no more calls: stopped, or closed and all messages delivered.

        Raises the connection's error once that is lost for good.
        """
        error = await asyncio.shield(self._ended)
        if error is not None:
            # Whoever waits gets it with the traceback that it came with, and no more.
            raise error.with_traceback(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None if self._stream.quiet else self._stream.error)

    def _report(self, error: BaseException) -> None:
        """As the event loop does for its callbacks, but that its own log is not shown what may quote a message."""
        text = f"the listener of {self._name!r} failed"
        context: dict[str, Any] = {"message": f"{text}: {place_of(error)}"}
        if self._loop.get_exception_handler() is not None:
            context |= {"exception": error}
        self._loop.call_exception_handler(context)
        logger.debug("%s, in full", text, exc_info=error)


class Subscription(Generic[T]):
    """An async iterator over the messages of one channel; `Multiplex.subscribe()` makes it.

    Messages wait in a queue of `queue_size`, the multiplex's; when it is full the oldest is dropped, and counted. A
    message whose decoding fails raises DecodeError from that step alone, and the next step goes on behind it.
    """

    # Few: there are very many subscriptions.
    __slots__ = ("__weakref__", "_asking", "_channel", "_close", "_source", "asked_on", "given")

    def __init__(
        self,
        channel: str,
        stream: MessageStream,
        close: Callable[[Subscription[Any]], Awaitable[object]],
    ) -> None:
        self._channel = channel
        self._close = close
        # The multiplex's own notes: twice the askers, and whether it is established; see `Route.asked_on`.
        self._asking = 0
        self.asked_on: object = None
        # What was asked for when it was made, beside what holds for all.
        self.given: tuple[tuple[str, Any], ...] = ()
        # What its consumer takes from: the stream, unless gaps are healed on the way.
        self._source: Any = stream

    def __repr__(self) -> str:
        state = "active" if self.is_active else "closed"
        return f"Subscription({self._channel!r}, {state}, {len(self.ring)} queued)"

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._channel

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all channels that it reads."""
        return (self._channel,)

    @property
    def is_active(self) -> bool:
        """Whether more messages can come; what is queued can be read in any case."""
        return not self.stream.ended

    @property
    def ring(self) -> MessageRing:
        """The queue."""
        return self.stream.ring

    @property
    def stream(self) -> MessageStream:
        """The queue's consuming side."""
        source = self._source
        return cast("MessageStream", source.stream if isinstance(source, Healing) else source)

    @property
    def askers(self) -> int:
        """How many wait for it to be asked for."""
        return self._asking >> 1

    @askers.setter
    def askers(self, count: int) -> None:
        self._asking = count << 1 | self.established

    @property
    def established(self) -> bool:
        """Whether it was asked for once, and confirmed where the server does that."""
        return bool(self._asking & 1)

    @established.setter
    def established(self, established: bool) -> None:
        self._asking = self.askers << 1 | established

    def take_from(self, source: Healing) -> None:
        """Let the consumer take from `source` instead of the stream."""
        self._source = source

    async def recv(self, timeout: float | None = None) -> T:
        """The next message. `timeout` in seconds, None for no limit, 0 for what is queued already.

        Raises TimeoutError; DecodeError for a message that cannot be decoded; InvalidStateError once closed and
        drained; the connection's error once it is lost for good and all that was queued has been read.
        """
        check_timeout(timeout)
        try:
            return cast(T, await self._source.recv(timeout))
        except InvalidStateError as error:
            raise self._closed("recv", error) from None

    async def recv_batch(self, max_messages: int | None = None, timeout: float | None = None) -> list[T]:
        """All that is queued, at most `max_messages`, at least one; waits for the first. Raises what `recv()` does.

        A message that cannot be decoded ends the batch before it, and raises its DecodeError from the next call.
        """
        check_timeout(timeout)
        try:
            return cast("list[T]", await self._source.recv_batch(max_messages, timeout))
        except InvalidStateError as error:
            raise self._closed("recv_batch", error) from None

    def _closed(self, operation: str, error: InvalidStateError) -> InvalidStateError:
        """The stream's error, which now says what was closed, if it is that."""
        if (error.current_state, error.operation) != ("closed", operation):
            return error
        return error.reworded(
            f"cannot {operation}: the subscription to {self._channel!r} was closed, and has been read"
        )

    def __aiter__(self) -> AsyncIterator[T]:
        # The stream itself, so that nothing in Python stands in the loop.
        return cast("AsyncIterator[T]", self._source.__aiter__())

    def __anext__(self) -> Awaitable[T]:
        return cast("Awaitable[T]", self._source.__anext__())

    def batches(self, max_messages: int | None = None) -> AsyncIterator[list[T]]:
        """Iterate over lists as `recv_batch()` gives them: the cheapest way to take many messages."""
        return cast("AsyncIterator[list[T]]", self._source.batches(max_messages))

    def messages(self) -> AsyncIterator[Message]:
        """Iterate over `Message` objects: the payload as it came, its kind, and when it was received."""
        return cast("AsyncIterator[Message]", self._source.messages())

    def listen(self, callback: Callable[[T], object]) -> Listening:
        """Call `callback(message)` for each message, as soon as it is read from the socket: no task has to wake up.

        What is queued comes at once, inside this call. The callback must not take long: the connection is not read
        meanwhile. Of a burst a part may come a little later, so that other tasks are not held up. What the callback
        raises, and DecodeError for a message that cannot be decoded, goes to the event loop's exception handler, and
        the next message follows. ::

            listening = trades.listen(on_trade)
            await listening.wait()  # until the subscription is closed

        Raises TypeError if `callback` cannot be called, InvalidStateError if another listens or a task waits for
        messages; whoever iterates or receives while a callback listens gets that error too.
        """
        return Listening(self._source, callback, self._channel)

    async def close(self) -> None:
        """Unsubscribe. Idempotent. What was queued can still be read; then iteration ends."""
        await self._close(self)

    def stats(self) -> SubscriptionStats:
        """A snapshot: `messages_received` = `messages_delivered` + `queue_size` + `messages_dropped`."""
        ring = self.ring
        return SubscriptionStats(
            channel=self._channel,
            messages_received=ring.received,
            queue_size=len(ring),
            is_active=self.is_active,
            messages_dropped=ring.dropped,
            messages_delivered=ring.delivered,
        )


class GroupSubscription(Subscription[T]):
    """What a `SubscriptionGroup` is, of items of any type: with `events=True`, gaps are among them."""

    __slots__ = ("_channels", "refused")

    def __init__(
        self,
        channels: Iterable[str],
        stream: GroupStream,
        close: Callable[[Subscription[Any]], Awaitable[object]],
    ) -> None:
        self._channels = dict.fromkeys(channels)
        self.refused: dict[str, JetSocketError] = {}
        super().__init__(f"a group of {len(self._channels)} channels", stream, close)

    def __repr__(self) -> str:
        state = "active" if self.is_active else "closed"
        return f"SubscriptionGroup({len(self._channels)} channels, {state}, {len(self.ring)} queued)"

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all channels that it reads."""
        return tuple(self._channels)

    def lose(self, channel: str, error: JetSocketError) -> bool:
        """The server does not send `channel`; False, and nothing done, where it is the last one."""
        if len(self._channels) == 1:
            return False
        self.without(channel)
        self.refused[channel] = error
        return True

    def without(self, channel: str) -> None:
        """It has `channel` no longer."""
        del self._channels[channel]


class SubscriptionGroup(GroupSubscription[tuple[str, T]]):
    """An async iterator over the messages of many channels, as `(channel, message)`, in the order of their arrival.

    `Multiplex.subscribe_group()` makes it. One queue for all of them, one task; else as a `Subscription`. `refused`:
    the channels that the server does not send, or no longer, each with its error; when there is no other left, the
    group ends with the last one's.
    """

    __slots__ = ()
