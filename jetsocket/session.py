"""The life of a connection that is made again whenever it is lost: connect, pump, wait, again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from .attempts import Attempts
from .connectivity import Connectivity
from .errors import ConnectionError, JetSocketError
from .occurrences import Replaced
from .protocol.connection import close_payload
from .protocol.states import ConnectionState
from .protocol.timing import check_timeout
from .target import AskedUri, Target

if TYPE_CHECKING:
    from .hot import Sink
    from .link import Link
    from .options import Options
    from .protocol.pacing import Window

logger = logging.getLogger("jetsocket.connection")
reconnect_logger = logging.getLogger("jetsocket.reconnect")

_CONNECTABLE = (ConnectionState.IDLE, ConnectionState.DISCONNECTED, ConnectionState.FAILED)


class Session(Connectivity):
    """One address, one sink, and the connections that follow one another between them.

    `uri` may be a function that is asked before each attempt; `connect_pace` limits attempts per host.
    `greet(link)`: see `Attempts`.
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
        target = Target(uri, options, connect_pace)
        super().__init__(target, count_messages, events)
        self._options = options
        self._attempts = Attempts(
            self, target, options, sink, count_messages=count_messages, greet=greet, on_open=self._opened
        )
        self._on_lost = on_lost
        self._on_open = on_open
        self._on_end = on_end
        self._on_closing = on_closing

    async def connect(self, timeout: float | None = None) -> None:
        """Open the first connection. With `timeout` (seconds) try again until then, else once."""
        check_timeout(timeout)
        if self._closing is not None or self.state not in _CONNECTABLE:
            raise self.unusable("connect", _CONNECTABLE)
        self.failure = None
        self._attempts.begin()
        self.move(ConnectionState.CONNECTING)
        # A task of its own, so that close() can end it and leave the caller's task alone.
        loop = asyncio.get_running_loop()
        self._task = attempt = loop.create_task(self._attempts.first(timeout), name=f"jetsocket {self.address}")
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
        self._task = loop.create_task(self._live(link), name=f"jetsocket {self.address}")
        self._task.add_done_callback(self._lived)

    def _give_up(self, error: BaseException | None) -> None:
        """The first connection failed, or nobody wants any more of them; connect() may be called again."""
        self._task = None
        self._drop_link()
        if self._closing is None:
            fatal = isinstance(error, JetSocketError) and not error.retryable
            self.move(ConnectionState.FAILED if fatal else ConnectionState.DISCONNECTED)
            # Some may wait already for what this connection was to bring.
            reason = error if isinstance(error, JetSocketError) else self.abandoned()
            self._tell_waiters(reason)
            self._on_end(reason)

    def _drop_link(self) -> None:
        if self.link is not None:
            self.link.abort(self.abandoned())
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
            self._attempts.forget_failures()
        else:
            self.meter.errors += 1
            if not self._options.reconnect or not reason.retryable:
                raise reason
            if link.age >= self._options.backoff_config.reset_after:
                self._attempts.forget_failures()
            delay = self._attempts.delay_after(reason)
            reconnect_logger.warning("%s; connecting again in %.1f s", reason, delay)
        self.move(ConnectionState.RECONNECTING if delay is None else ConnectionState.BACKING_OFF)
        self.events.emit("disconnected", reason)
        link = await self._attempts.until_open(ConnectionState.RECONNECTING, delay)
        self.meter.reconnected()
        reconnect_logger.info("%s: connected again", self.address)
        self.events.emit("reconnected")
        return link

    def _opened(self, link: Link) -> None:
        again = self.meter.opened()
        self.link = link
        if self._options.heartbeat_config is not None:
            link.pulse.start(link, self._options.heartbeat_config)
        if self._options.max_connection_age is not None:
            age = self._options.max_connection_age
            link.call_at_age(age, lambda: self.replace(f"at its max_connection_age of {age} s", link))
        self.move(ConnectionState.CONNECTED)
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
        self.move(ConnectionState.DISCONNECTED if error.retryable else ConnectionState.FAILED)
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
            await link.close(code, reason, self._options.close_timeout)
        elif task is not None:
            task.cancel()
        if task is not None:
            await asyncio.wait([task])
        self._closed()

    def _leave(self) -> None:
        if self.state not in (ConnectionState.IDLE, ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            self.move(ConnectionState.DISCONNECTING)
        if self._on_closing is not None:
            self._on_closing()

    def _cut_short(self, closing: asyncio.Task[None]) -> None:
        """Somebody cancelled the closing, perhaps before its first step: then it ends without the handshake."""
        if closing.cancelled():
            self._leave()
            if self.link is not None:
                self.link.abort(self.abandoned())
            if self._task is not None:
                self._task.cancel()
            self._closed()

    def _closed(self) -> None:
        self.meter.ended()
        self.move(ConnectionState.CLOSED)
        logger.info("%s: closed", self.address)
        self._tell_waiters(self.unusable("wait for the connection"))
        self._on_end(None)
        self.events.emit("closed")


class _Replaced(ConnectionError):
    """The connection was given up for a new one; not a failure."""
