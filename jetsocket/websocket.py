"""WebSocket: one connection that stays, whose messages are its items."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast, overload

from .client import Client
from .decoding import Serializing, make_decoding
from .errors import CloseError, InvalidStateError
from .hot import MessageRing, MessageStream, Sieve, Sink
from .options import Options, WebSocketOptions, check_names, option_parameters
from .protocol.states import ConnectionState
from .protocol.timing import check_timeout
from .reporting import FAILURES, report
from .session import Session
from .subscription import Listening

if TYPE_CHECKING:
    from .errors import JetSocketError
    from .hot import Message
    from .link import Link
    from .stats import ConnectionStats
    from .target import AskedUri

logger = logging.getLogger("jetsocket.connection")

T = TypeVar("T")
M = TypeVar("M")

# A server that closes so, the last one without any code, has simply finished (RFC 6455 section 7.4.1).
_FINISHED = frozenset({1000, 1001, 1005})


class WebSocket(Client, Generic[T]):
    """A WebSocket client that connects again when the connection is lost.

    ::

        async with WebSocket(exchange.uri, heartbeat=20) as ws:
            await ws.send({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
            async for message in ws:
                print(message)
                break

    The options are those of `jetsocket.options.Options`. Messages wait in a queue; while it is full nothing is read
    from the socket, so that nothing is lost (`buffer` says otherwise). Iteration goes on across reconnects. It raises
    the connection's error when that is lost for good; without `reconnect` it ends when the server closes with 1000,
    1001 or no code.

    `uri` may be a function, plain or async, that is asked anew for each connection (an address with a token); if it
    raises, takes longer than `connect_timeout`, or gives no address, that attempt has failed.

    Raises InvalidURIError, TypeError or ValueError for arguments that cannot be right, before any input or output.
    """

    @overload
    def __init__(
        self: WebSocket[M], uri: str | AskedUri, *, message_type: type[M], **options: Unpack[WebSocketOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: WebSocket[M],
        uri: str | AskedUri,
        *,
        deserializer: Callable[[bytes], M],
        **options: Unpack[WebSocketOptions],
    ) -> None: ...
    @overload
    def __init__(self: WebSocket[Any], uri: str | AskedUri, **options: Unpack[WebSocketOptions]) -> None: ...
    def __init__(self, uri: str | AskedUri, **options: Any) -> None:
        checked = Options.of("WebSocket", options)
        decode, is_json = make_decoding(checked.deserializer, checked.message_type)
        serialize = Serializing(checked.serializer)
        buffer = checked.buffer_config
        self._ring = MessageRing(buffer.capacity, max_bytes=buffer.max_bytes, overflow=buffer.overflow_policy)
        self._stream = MessageStream(self._ring, decode, json=is_json)
        sink: Sink = self._ring
        heartbeat = checked.heartbeat_config
        if heartbeat is not None and heartbeat.pong_matcher is not None:
            sink = Sieve(self._ring, self._is_pong)
            self._pong_matcher = heartbeat.pong_matcher
            self._reported = False
        session = Session(
            uri,
            checked,
            sink,
            count_messages=lambda: self._ring.received,
            on_open=self._on_open,
            on_end=self._on_end,
            on_closing=self._ring.stop_blocking,
        )
        self._ring.on_room = session.make_room
        super().__init__(session, serialize)

    def __repr__(self) -> str:
        return f"WebSocket(uri={self.uri!r}, state={self.state.value})"

    def _is_pong(self, payload: bytes) -> bool:
        try:
            if not self._pong_matcher(payload):
                return False
        except FAILURES as error:  # the user's function: the message is delivered, nothing is lost
            if not self._reported:
                self._reported = True
                report(logger, logging.WARNING, error, f"{self.uri}: pong_matcher failed on a message")
                # Not here, in the middle of a read: a handler may do anything. Nor as arguments, which asyncio logs.
                emit, found = self._session.events.emit, error
                asyncio.get_running_loop().call_soon(lambda: emit("error", found))
            return False
        self._session.on_application_pong()
        return True

    # Life.

    def _on_open(self, link: Link, again: bool) -> None:
        """Nothing is to be sent on a plain connection."""

    def _on_end(self, error: JetSocketError | None) -> None:
        self._stream.end(error, quiet=isinstance(error, CloseError) and error.code in _FINISHED)

    def _reopen(self) -> None:
        self._stream.reopen()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close for ever, within `close_timeout` seconds. Idempotent. What was received can still be read."""
        await self._session.close(code, reason)

    # State.

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of `subprotocols` on the present connection."""
        return None if self._session.link is None else self._session.link.subprotocol

    def stats(self) -> ConnectionStats:
        """A snapshot, counted over all connections."""
        return self._session.stats()

    # Out.

    async def send(self, message: Any) -> None:
        """Send a message: `str` as text and `bytes` as binary, as they are; anything else serialised, as text.

        Waits while the socket takes no more. Raises InvalidStateError unless connected, TypeError for what cannot be
        serialised, and the connection's error if that is lost while this waits.
        """
        payload, binary = self._serialize(message)
        await self._session.send(payload, binary)

    async def send_raw(self, data: bytes | str, *, binary: bool = True) -> None:
        """Send `data` as it is; `str` always as text. Raises InvalidStateError unless connected."""
        if isinstance(data, str):
            await self._session.send(data.encode(), False)
            return
        if not isinstance(data, bytes):
            raise TypeError(f"send_raw: data must be bytes or str, got {type(data).__name__}")
        if not binary:
            # What is no UTF-8 must not go as text: the server would have to close the connection.
            data.decode()
        await self._session.send(data, binary)

    # In.

    def _check_begun(self, operation: str) -> None:
        if self._session.state is ConnectionState.IDLE:
            raise self._session.unusable(operation)

    async def recv(self, timeout: float | None = None) -> T:
        """The next message. `timeout` in seconds, None for no limit, 0 for what is there already.

        Raises TimeoutError; DecodeError for a message that cannot be decoded; InvalidStateError before `connect()` and
        once closed and drained; the connection's error once it is lost for good and drained.
        """
        self._check_begun("recv")
        check_timeout(timeout)
        try:
            return cast(T, await self._stream.recv(timeout))
        except InvalidStateError as error:
            raise self._closed("recv", error) from None

    async def recv_batch(self, max_messages: int | None = None, timeout: float | None = None) -> list[T]:
        """All that is queued, at most `max_messages`, at least one. Raises what `recv()` does."""
        self._check_begun("recv_batch")
        check_timeout(timeout)
        try:
            return cast("list[T]", await self._stream.recv_batch(max_messages, timeout))
        except InvalidStateError as error:
            raise self._closed("recv_batch", error) from None

    def _closed(self, operation: str, error: InvalidStateError) -> InvalidStateError:
        """The stream's error, which now says when and why it was closed, if it is that."""
        if (error.current_state, error.operation) != ("closed", operation):
            return error
        return error.reworded(str(self._session.unusable(operation)))

    def __aiter__(self) -> AsyncIterator[T]:
        self._check_begun("iterate")
        return cast("AsyncIterator[T]", self._stream.__aiter__())

    def batches(self, max_messages: int | None = None) -> AsyncIterator[list[T]]:
        """Iterate over lists of all that is queued, at most `max_messages`."""
        self._check_begun("iterate")
        return cast("AsyncIterator[list[T]]", self._stream.batches(max_messages))

    def messages(self) -> AsyncIterator[Message]:
        """Iterate over `Message` objects: the payload as it came, its kind, and when it was received."""
        self._check_begun("iterate")
        return self._stream.messages()

    def listen(self, callback: Callable[[T], object]) -> Listening:
        """Call `callback(message)` for each message, as soon as it is read from the socket: no task has to wake up.

        What is queued comes at once, inside this call. The callback must not take long: the connection is not read
        meanwhile. Of a burst a part may come a little later, so that other tasks are not held up. What the callback
        raises, and DecodeError for a message that cannot be decoded, goes to the event loop's exception handler, and
        the next message follows. It goes on across reconnects. ::

            listening = ws.listen(on_message)
            await listening.wait()  # until the connection is closed

        Raises TypeError if `callback` cannot be called, InvalidStateError before `connect()`, and if another listens or
        a task waits for messages; whoever iterates or receives while a callback listens gets that error too.
        """
        self._check_begun("listen")
        return Listening(self._stream, callback, self.uri)


WebSocket.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("uri", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str | AskedUri"),
        *option_parameters(),
    ]
)


@overload
def connect(uri: str | AskedUri, *, message_type: type[M], **options: Unpack[WebSocketOptions]) -> WebSocket[M]: ...
@overload
def connect(
    uri: str | AskedUri, *, deserializer: Callable[[bytes], M], **options: Unpack[WebSocketOptions]
) -> WebSocket[M]: ...
@overload
def connect(uri: str | AskedUri, **options: Unpack[WebSocketOptions]) -> WebSocket[Any]: ...
def connect(uri: str | AskedUri, **options: Any) -> Any:
    """A `WebSocket` to enter: `async with connect(uri) as ws:` connects, and closes at the end."""
    check_names("connect", options)
    return WebSocket(uri, **options)
