"""Where a connection stands that is made again whenever it is lost, and what may be done with it there."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import ConnectionError, InvalidStateError, JetSocketError, TimeoutError
from .events import Events
from .meter import Meter
from .occurrences import CONNECTION_EVENTS
from .protocol import failures
from .protocol.states import ConnectionState, check_move
from .protocol.timing import check_timeout
from .target import Target

if TYPE_CHECKING:
    from .link import Link
    from .protocol.uri import Address
    from .stats import ConnectionStats


class Connectivity:
    """For one `target`. Who lives the life of its connections moves it on.

    `count_messages()` gives the number of messages received. `events`: those that there are besides a connection's.
    """

    def __init__(self, target: Target, count_messages: Callable[[], int], events: tuple[str, ...]) -> None:
        self.events = Events(CONNECTION_EVENTS + events)
        self.state = ConnectionState.IDLE
        self.link: Link | None = None
        # The one that is being greeted, and what runs `on_connect`.
        self.fresh: Link | None = None
        self.greeting: asyncio.Future[None] | None = None
        self.meter = Meter()
        self.failure: JetSocketError | None = None
        self._target = target
        self._count = count_messages
        self._waiters: list[asyncio.Future[None]] = []
        # What makes connections, and what ends them for ever.
        self._task: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """Where it connects to: what was given, or asked for last."""
        return self._target.address

    def move(self, state: ConnectionState) -> None:
        """Go over to `state`; InvalidStateError where no way leads there."""
        if state is not self.state:
            check_move(self.state, state)
            self.state = state

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

    def abandoned(self) -> JetSocketError:
        """The error for those who wait for a connection that nobody wants any more."""
        return ConnectionError(f"{self.address}: given up by its user", uri=self.address.safe, retryable=False)

    # Waiting for it.

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

    # Its use.

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
                return await link.pulse.ping()
        except builtins.TimeoutError as error:
            if isinstance(error, JetSocketError):
                raise
            raise TimeoutError(timeout, "ping") from None

    def make_room(self) -> None:
        """The sink has room again: read on, once whoever made the room is done."""
        link = self.link or self.fresh
        if link is not None:
            asyncio.get_running_loop().call_soon(link.make_room)

    def on_application_pong(self) -> None:
        """A message came that answers an application ping."""
        if self.link is not None:
            self.link.pulse.on_application_pong()

    def stats(self) -> ConnectionStats:
        """A snapshot."""
        return self.meter.stats(self.link, self.state, self._count())

    @property
    def latency(self) -> float | None:
        """The last round trip in seconds."""
        return self.meter.latency(self.link)
