"""Attempts to connect: one after another by the back-off, each from asking for the address to the greeting's end."""

from __future__ import annotations

import asyncio
import builtins
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .dial import dial
from .errors import ConnectionError, HandshakeError, JetSocketError, TimeoutError
from .greeting import given_up, greeted
from .protocol import failures
from .protocol.states import ConnectionState
from .protocol.timing import MOST_RETRY_AFTER, backoff_delay

if TYPE_CHECKING:
    from .connectivity import Connectivity
    from .hot import Sink
    from .link import Link
    from .options import Options
    from .target import Target

logger = logging.getLogger("jetsocket.connection")
reconnect_logger = logging.getLogger("jetsocket.reconnect")

# Refusals in a row of credentials that are asked for anew each time.
MOST_FORGIVEN = 3


class Attempts:
    """For one session, whose `connectivity` they move. `on_open(link)` runs in the same moment in which one succeeds.

    `greet(link)`, if given, is awaited on each connection before it counts as open; if it raises, or takes longer than
    `connect_timeout`, the attempt failed.
    """

    def __init__(
        self,
        connectivity: Connectivity,
        target: Target,
        options: Options,
        sink: Sink,
        *,
        count_messages: Callable[[], int],
        greet: Callable[[Link], Awaitable[None]] | None,
        on_open: Callable[[Link], None],
    ) -> None:
        self._connectivity = connectivity
        self._target = target
        self._options = options
        self._sink = sink
        self._count = count_messages
        self._greet = greet
        self._on_open = on_open
        # Since the last connection that lasted: failures, which make the waits longer; and attempts since the last one.
        self._failures = 0
        self._number = 0
        self._last_error: JetSocketError | None = None
        self._forgiven = 0

    def forget_failures(self) -> None:
        """What failed so far makes no wait longer any more."""
        self._failures = 0

    def delay_after(self, error: JetSocketError) -> float:
        """Seconds to wait after one more failure: by the back-off, and what the server asked for."""
        self._failures += 1
        delay = backoff_delay(self._options.backoff_config, self._failures, random.random())
        asked = error.retry_after if isinstance(error, HandshakeError) else None
        return max(delay, min(asked or 0.0, MOST_RETRY_AFTER))

    def begin(self) -> None:
        """Nothing was attempted yet."""
        self._failures = 0
        self._last_error = None

    async def first(self, timeout: float | None) -> Link:
        """The first connection: of one attempt, or with `timeout` of as many as fit into so many seconds."""
        if timeout is None:
            return await self.until_open(ConnectionState.CONNECTING, None, once=True)
        try:
            async with asyncio.timeout(timeout):
                return await self.until_open(ConnectionState.CONNECTING, None)
        except builtins.TimeoutError as error:
            if isinstance(error, JetSocketError):
                raise
            address = self._target.address
            last = "" if self._last_error is None else f"; the last attempt: {self._last_error}"
            raise TimeoutError(
                timeout, "connect", f"{address}: not connected within {timeout} s{last}", uri=address.safe
            ) from self._last_error

    async def until_open(self, state: ConnectionState, delay: float | None, *, once: bool = False) -> Link:
        """The next open connection, after `delay` seconds and as many attempts as the back-off allows.

        Raises the error of an attempt that is the last: the only one (`once`), the last allowed, or a final one.
        """
        connectivity = self._connectivity
        self._number = 0
        while True:
            if delay is not None:
                connectivity.move(ConnectionState.BACKING_OFF)
                await asyncio.sleep(delay)
            connectivity.move(state)
            self._number += 1
            if state is ConnectionState.RECONNECTING:
                connectivity.events.emit("reconnecting", self._number)
            try:
                link = await self._one()
            except (ConnectionError, TimeoutError) as error:
                delay = self._failed(error, once)
                if delay is None:
                    raise
                connectivity.events.emit("error", error)
                continue
            self._forgiven = 0
            self._on_open(link)
            return link

    def _failed(self, error: ConnectionError | TimeoutError, once: bool) -> float | None:
        """Count and log it. Seconds until the next attempt; None: there is none."""
        self._connectivity.meter.errors += 1
        self._last_error = error
        if once or not error.retryable:
            logger.warning("%s", error)
            return None
        delay = None
        if not 0 < self._options.backoff_config.max_attempts <= self._number:
            delay = self.delay_after(error)
        failures.with_next_attempt(error, self._number, delay)
        reconnect_logger.warning("%s", error)
        return delay

    async def _one(self) -> Link:
        """An open connection that has been greeted."""
        address, options = await self._target.next()
        try:
            link = await dial(address, options, self._sink, self._count)
        except HandshakeError as error:
            self._forgive(error)
            raise
        if self._greet is None:
            return link
        connectivity = self._connectivity
        connectivity.fresh = link
        connectivity.greeting = greeting = asyncio.ensure_future(self._greet(link))
        try:
            await greeted(link, greeting, options.connect_timeout)
        except BaseException:
            link.abort(connectivity.abandoned())
            connectivity.meter.retire(link)
            await given_up(greeting, options.close_timeout)
            raise
        finally:
            connectivity.fresh = connectivity.greeting = None
        return link

    def _forgive(self, error: HandshakeError) -> None:
        """A refusal that would be final, of credentials that are asked for anew: the next ones may be good.

        A few times in a row, and once there was a connection: whoever is refused at first has the wrong key.
        """
        anew = self._target.asks and self._connectivity.state is ConnectionState.RECONNECTING
        if anew and error.status_code in (401, 403) and self._forgiven < MOST_FORGIVEN:
            self._forgiven += 1
            error.retryable = True
            error.reworded(str(error).removesuffix(" (not retried)"))
