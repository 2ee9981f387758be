"""The life of a connection that is made again whenever it is lost: connect, pump, wait, again."""

from __future__ import annotations

import asyncio
import builtins
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from .dial import dial
from .errors import ConnectionError, HandshakeError, InvalidStateError, JetSocketError, TimeoutError
from .events import Events
from .greeting import given_up, greeted
from .meter import Meter
from .occurrences import Replaced
from .protocol import failures
from .protocol.connection import close_payload
from .protocol.states import ConnectionState, check_move
from .protocol.timing import MOST_RETRY_AFTER, backoff_delay, check_timeout
from .target import AskedUri, Target

if TYPE_CHECKING:
    from .hot import Sink
    from .link import Link
    from .options import Options
    from .protocol.pacing import Window
    from .protocol.uri import Address
    from .stats import ConnectionStats

logger = logging.getLogger("jetsocket.connection")
reconnect_logger = logging.getLogger("jetsocket.reconnect")

EVENTS = ("connected", "disconnected", "reconnecting", "reconnected", "replaced", "failed", "closed", "error")

# Refusals in a row of credentials that are asked for anew each time.
MOST_FORGIVEN = 3

_CONNECTABLE = (ConnectionState.IDLE, ConnectionState.DISCONNECTED, ConnectionState.FAILED)


class Session:
    """One address, one sink, and the connections that follow one another between them.

    `uri` may be a function that is asked before each attempt; `connect_pace` limits attempts per host.
    `greet(link)`, if given, is awaited on each connection before it counts as open; if it raises, or takes longer than
    `connect_timeout`, the attempt failed.
    `on_open(link, again)` runs on each connection before anyone is told that it is open; `again` is False on the first.
    `on_lost(link)` runs when a connection that was open has ended, whatever comes then.
    `on_end(error)` runs when nothing makes a connection any more: `error` is None after `close()`.
    `on_closing()` runs when `close()` begins: the sink must find room for whatever still comes.
    `count_messages()` gives the number of messages that the sink got.
    """

    def __init__(
        self,
        uri: str | AskedUri,
        options: Options,
        sink: Sink,
        *,
        count_messages: Callable[[], int],
        on_open: Callable[[Link, bool], None],
        on_end: Callable[[JetSocketError | None], None],
        on_closing: Callable[[], object] | None = None,
        events: tuple[str, ...] = (),
        greet: Callable[[Link], Awaitable[None]] | None = None,
        on_lost: Callable[[Link], object] | None = None,
        connect_pace: Sequence[Window] = (),
    ) -> None:
        self._target = Target(uri, options, connect_pace)
        self.options = options
        self.events = Events(EVENTS + events)
        self.state = ConnectionState.IDLE
        self.link: Link | None = None
        # The one that is being greeted.
        self._fresh: Link | None = None
        self.meter = Meter()
        self.failure: JetSocketError | None = None
        self._sink = sink
        self._count = count_messages
        self._greet = greet
        self._on_lost = on_lost
        self._on_open = on_open
        self._on_end = on_end
        self._on_closing = on_closing
        self._waiters: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None
        # Since the last connection that lasted: failures, which make the waits longer; and attempts since the last one.
        self._failures = 0
        self._attempt = 0
        self._last_error: JetSocketError | None = None
        self._forgiven = 0

    @property
    def address(self) -> Address:
        """Where it connects to: what was given, or asked for last."""
        return self._target.address

    # The life.

    async def connect(self, timeout: float | None = None) -> None:
        """Open the first connection. With `timeout` (seconds) try again until then, else once."""
        check_timeout(timeout)
        if self._closing is not None or self.state not in _CONNECTABLE:
            raise self.unusable("connect", _CONNECTABLE)
        self.failure = None
        self._failures = 0
        self._attempt = 0
        self._last_error = None
        self._move(ConnectionState.CONNECTING)
        # A task of its own, so that close() can end it and leave the caller's task alone.
        attempt = asyncio.get_running_loop().create_task(self._first(timeout), name=f"jetsocket {self.address}")
        self._task = attempt
        try:
            link = await attempt
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.is_closing and task is not None and not task.cancelling():
                raise self.unusable("connect") from None
            self._give_up(None)
            raise
        except BaseException as error:
            self._give_up(error)
            raise
        self._task = asyncio.get_running_loop().create_task(self._live(link), name=f"jetsocket {self.address}")
        self._task.add_done_callback(self._lived)

    async def _first(self, timeout: float | None) -> Link:
        if timeout is None:
            return await self._establish(ConnectionState.CONNECTING, None, once=True)
        try:
            async with asyncio.timeout(timeout):
                return await self._establish(ConnectionState.CONNECTING, None)
        except builtins.TimeoutError as error:
            if isinstance(error, JetSocketError):
                raise
            last = "" if self._last_error is None else f"; the last attempt: {self._last_error}"
            raise TimeoutError(
                timeout, "connect", f"{self.address}: not connected within {timeout} s{last}", uri=self.address.safe
            ) from self._last_error

    def _give_up(self, error: BaseException | None) -> None:
        """The first connection failed, or nobody wants any more of them; connect() may be called again."""
        self._task = None
        self._drop_link()
        if self._closing is None:
            fatal = isinstance(error, JetSocketError) and not error.retryable
            self._move(ConnectionState.FAILED if fatal else ConnectionState.DISCONNECTED)
            # Some may wait already for what this connection was to bring.
            reason = error if isinstance(error, JetSocketError) else self._abandoned()
            self._tell_waiters(reason)
            self._on_end(reason)

    def _abandoned(self) -> JetSocketError:
        return ConnectionError(f"{self.address}: given up by its user", uri=self.address.safe, retryable=False)

    def _drop_link(self) -> None:
        if self.link is not None:
            self.link.abort(self._abandoned())
            self._retire(self.link)

    async def _live(self, link: Link) -> None:
        """Pump until the connection is lost, wait, connect, and again; until `close()` or an error that is final."""
        try:
            while True:
                reason = await asyncio.shield(link.ended)
                self._retire(link)
                if self._closing is not None:
                    return
                link = await self._again(link, reason)
        except JetSocketError as error:
            self._lost_for_good(error)
        except Exception as error:
            # Nobody may be left waiting for a connection that nothing makes any more.
            logger.exception("%s: failed by a defect", self.address)
            self._drop_link()
            self._lost_for_good(ConnectionError(f"{self.address}: failed: {error!r}", retryable=False))

    def _lived(self, life: asyncio.Task[None]) -> None:
        """Cancelled: by close(), or by somebody who cancels every task that there is, perhaps before its first step."""
        if life.cancelled():
            self._give_up(None)

    async def _again(self, link: Link, reason: JetSocketError) -> Link:
        """The connection after `link`, which ended for `reason`. Raises the error that is final."""
        if isinstance(reason, _Replaced):
            delay = None
            self._failures = 0
        else:
            self.meter.errors += 1
            if not self.options.reconnect or not reason.retryable:
                raise reason
            if link.age >= self.options.backoff_config.reset_after:
                self._failures = 0
            delay = self._next_delay(reason)
            reconnect_logger.warning("%s; connecting again in %.1f s", reason, delay)
        self._move(ConnectionState.RECONNECTING if delay is None else ConnectionState.BACKING_OFF)
        self.events.emit("disconnected", reason)
        self._attempt = 0
        link = await self._establish(ConnectionState.RECONNECTING, delay)
        self.meter.reconnected()
        reconnect_logger.info("%s: connected again", self.address)
        self.events.emit("reconnected")
        return link

    async def _establish(self, state: ConnectionState, delay: float | None, *, once: bool = False) -> Link:
        """The next open connection, after `delay` seconds and as many attempts as the back-off allows.

        Raises the error of an attempt that is the last: the only one (`once`), the last allowed, or a final one.
        """
        most = self.options.backoff_config.max_attempts
        while True:
            if delay is not None:
                self._move(ConnectionState.BACKING_OFF)
                await asyncio.sleep(delay)
            self._move(state)
            self._attempt += 1
            if state is ConnectionState.RECONNECTING:
                self.events.emit("reconnecting", self._attempt)
            try:
                link = await self._dial()
            except (ConnectionError, TimeoutError) as error:
                self.meter.errors += 1
                self._last_error = error
                if once or not error.retryable:
                    logger.warning("%s", error)
                    raise
                if 0 < most <= self._attempt:
                    failures.with_next_attempt(error, self._attempt, None)
                    reconnect_logger.warning("%s", error)
                    raise
                delay = self._next_delay(error)
                failures.with_next_attempt(error, self._attempt, delay)
                reconnect_logger.warning("%s", error)
                self.events.emit("error", error)
                continue
            self._opened(link)
            return link

    async def _dial(self) -> Link:
        """One attempt: an open connection that has been greeted."""
        address, options = await self._target.next()
        try:
            link = await dial(address, options, self._sink, self._count)
        except HandshakeError as error:
            self._forgive(error)
            raise
        if self._greet is None:
            return link
        self._fresh = link
        greeting = asyncio.ensure_future(self._greet(link))
        try:
            await greeted(link, greeting, options.connect_timeout)
        except BaseException:
            link.abort(self._abandoned())
            self.meter.retire(link)
            await given_up(greeting, options.close_timeout)
            raise
        finally:
            self._fresh = None
        return link

    def _forgive(self, error: HandshakeError) -> None:
        """A refusal that would be final, of credentials that are asked for anew: the next ones may be good.

        A few times in a row, and once there was a connection: whoever is refused at first has the wrong key.
        """
        anew = self._target.asks and self.state is ConnectionState.RECONNECTING
        if anew and error.status_code in (401, 403) and self._forgiven < MOST_FORGIVEN:
            self._forgiven += 1
            error.retryable = True
            error.reworded(str(error).removesuffix(" (not retried)"))

    def _next_delay(self, error: JetSocketError) -> float:
        """Seconds to wait after one more failure: by the back-off, and what the server asked for."""
        self._failures += 1
        delay = backoff_delay(self.options.backoff_config, self._failures, random.random())
        asked = error.retry_after if isinstance(error, HandshakeError) else None
        return max(delay, min(asked or 0.0, MOST_RETRY_AFTER))

    def _opened(self, link: Link) -> None:
        again = self.meter.opened()
        self._forgiven = 0
        self.link = link
        if self.options.heartbeat_config is not None:
            link.start_heartbeat(self.options.heartbeat_config)
        if self.options.max_connection_age is not None:
            age = self.options.max_connection_age
            link.call_at_age(age, lambda: self.replace(f"at its max_connection_age of {age} s", link))
        self._move(ConnectionState.CONNECTED)
        logger.info("%s: connected", self.address)
        self._on_open(link, again)
        self._tell_waiters(None)
        self.events.emit("connected")

    def replace(self, why: str, only: Link | None = None) -> bool:
        """Close the connection and go on with a new one at once. `why` ends a sentence. `only`: if it is that one.

        False where there is none, or it is closing already.
        """
        link = self.link
        if link is None or not link.is_open or self._closing is not None or only not in (None, link):
            return False
        text = f"{self.address}: replaced {why}"
        reconnect_logger.warning("%s", text)
        link.retire(_Replaced(text, uri=self.address.safe, phase="open"))
        self.events.emit("replaced", Replaced(why))
        return True

    def _retire(self, link: Link) -> None:
        """Keep what a link that is gone had counted."""
        self.meter.retire(link)
        self.link = None
        if self._on_lost is not None:
            self._on_lost(link)

    def _lost_for_good(self, error: JetSocketError) -> None:
        self.meter.ended()
        self.failure = error
        logger.warning("%s", error)
        self._move(ConnectionState.DISCONNECTED if error.retryable else ConnectionState.FAILED)
        self._tell_waiters(error)
        self._on_end(error)
        self.events.emit("failed", error)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End everything, within `close_timeout` seconds. Idempotent; cancelling the caller does not stop it.

        Raises ValueError for a code or reason that RFC 6455 section 7.4 does not allow.
        """
        close_payload(code, reason)
        if self.state is ConnectionState.CLOSED:
            return
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._shut(code, reason), name="jetsocket close")
            self._closing.add_done_callback(self._cut_short)
        await asyncio.shield(self._closing)

    async def _shut(self, code: int, reason: str) -> None:
        link, task = self.link, self._task
        self._leave()
        if link is not None:
            await link.close(code, reason, self.options.close_timeout)
        elif task is not None:
            task.cancel()
        if task is not None:
            await asyncio.wait([task])
        self._closed()

    def _leave(self) -> None:
        if self.state not in (ConnectionState.IDLE, ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            self._move(ConnectionState.DISCONNECTING)
        if self._on_closing is not None:
            self._on_closing()

    def _cut_short(self, closing: asyncio.Task[None]) -> None:
        """Somebody cancelled the closing, perhaps before its first step: then it ends without the handshake."""
        if closing.cancelled():
            self._leave()
            if self.link is not None:
                self.link.abort(self._abandoned())
            if self._task is not None:
                self._task.cancel()
            self._closed()

    def _closed(self) -> None:
        self.meter.ended()
        self._move(ConnectionState.CLOSED)
        logger.info("%s: closed", self.address)
        self._tell_waiters(self.unusable("wait for the connection"))
        self._on_end(None)
        self.events.emit("closed")

    def _move(self, state: ConnectionState) -> None:
        if state is not self.state:
            check_move(self.state, state)
            self.state = state

    # Its use.

    @property
    def is_closing(self) -> bool:
        """Whether `close()` was called."""
        return self._closing is not None

    @property
    def is_connected(self) -> bool:
        """Whether a message can be sent now."""
        return self.state is ConnectionState.CONNECTED and self.link is not None and self.link.is_open

    def unusable(
        self, operation: str, required: tuple[ConnectionState, ...] = (ConnectionState.CONNECTED,)
    ) -> InvalidStateError:
        """The error for `operation` in the present state."""
        if self._closing is not None or self.failure is not None:
            closed_at = self.meter.closed_at
            ago = None if closed_at is None else time.monotonic() - closed_at
            return failures.used_after_close(operation, self.state, ago, str(self.failure or "close() was called"))
        if self.state in required:
            text = f"cannot {operation}: the connection is just being closed"
            return InvalidStateError(self.state, required, operation, text)
        if self.state is ConnectionState.IDLE:
            text = f"cannot {operation}: not connected yet; use `async with`, or await connect() first"
            return InvalidStateError(self.state, required, operation, text)
        return InvalidStateError(self.state, required, operation)

    async def opened(self, operation: str) -> Link:
        """The open connection; while it is being made again, wait for it.

        Raises InvalidStateError where none will come, or the error that the connection is lost with.
        """
        while True:
            if self.is_connected:
                assert self.link is not None
                return self.link
            if self._task is None or self._task.done() or self._closing is not None:
                raise self.unusable(operation)
            await self._changed()

    async def _changed(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled():
                # Whoever was cancelled has not heard of it.
                waiter.exception()

    def _tell_waiters(self, error: JetSocketError | None) -> None:
        for waiter in self._waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    async def send(self, payload: bytes, binary: bool, operation: str = "send") -> None:
        """Send one message; wait while the socket takes no more. Raises the connection's error if it ends meanwhile.

        It waits for room before the message is written, so that those who give up and try again pile nothing up; and
        again until the message is on its way. Cancelled, it has been sent whole or not at all.
        """
        link = self.link
        if link is None or not self.is_connected:
            raise self.unusable(operation)
        await link.drain()
        written = link.is_open
        if written:
            link.write(link.connection.message(payload, binary))
            await link.drain()
        lost = link.lost
        if lost is not None:
            # While this waited; how much of the message got out nobody knows.
            raise lost
        if not written:
            raise self.unusable(operation)

    async def ping(self, timeout: float | None) -> float:
        """The round trip of a ping in seconds."""
        check_timeout(timeout)
        link = self.link
        if link is None or not self.is_connected:
            raise self.unusable("ping")
        try:
            async with asyncio.timeout(timeout):
                await link.drain()
                if link.outgoing is not None:
                    await link.outgoing.ping_turn()
                if not link.is_open:
                    raise link.lost or self.unusable("ping")
                # Cancelled with this: nobody waits for it any more.
                return await link.ping()
        except builtins.TimeoutError as error:
            if isinstance(error, JetSocketError):
                raise
            raise TimeoutError(timeout, "ping") from None

    def make_room(self) -> None:
        """The sink has room again: read on, once whoever made the room is done."""
        link = self.link or self._fresh
        if link is not None:
            asyncio.get_running_loop().call_soon(link.make_room)

    def stats(self) -> ConnectionStats:
        """A snapshot."""
        return self.meter.stats(self.link, self.state, self._count())

    @property
    def latency(self) -> float | None:
        """The last round trip in seconds."""
        return self.meter.latency(self.link)


class _Replaced(ConnectionError):
    """The connection was given up for a new one; not a failure."""
