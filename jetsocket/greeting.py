"""A connection before anything is subscribed to on it: where logins happen."""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .errors import ConnectionError, JetSocketError, TimeoutError
from .protocol.timing import check_timeout
from .reporting import place_of

if TYPE_CHECKING:
    from .decoding import Serializing
    from .link import Link
    from .outgoing import Outgoing

# Messages that wait for somebody to ask for a reply.
_MOST_KEPT = 1000


class Inbox:
    """The messages of a connection, from its first on, that belong to no channel and that nobody has taken yet."""

    def __init__(self) -> None:
        self._messages: dict[int, bytes] = {}
        self._last = 0
        self._came = asyncio.Event()

    def put(self, raw: bytes) -> None:
        """A message came. Of too many the oldest is forgotten."""
        self._last += 1
        self._messages[self._last] = raw
        if len(self._messages) > _MOST_KEPT:
            del self._messages[next(iter(self._messages))]
        self._came.set()

    async def take(self, fits: Callable[[Any], object]) -> Any:
        """The first message that fits, those that come later included. Several may wait, each for its own."""
        seen = 0
        while True:
            for number, raw in tuple(self._messages.items()):
                if number <= seen:
                    continue
                seen = number
                message = _decoded(raw)
                if fits(message):
                    self._messages.pop(number, None)
                    return message
            self._came.clear()
            await self._came.wait()


class Greeting:
    """What `on_connect` is given: the new connection, on which nothing else is sent yet. ::

    async def log_in(connection):
        await connection.send({"op": "login", "args": [...]})
        await connection.reply(lambda message: message.get("event") == "login", timeout=5)

    `on_connect` may take `connect_timeout` seconds in all. If it takes longer or raises, the connection has failed, and
    the next one is made by the back-off.
    """

    def __init__(self, link: Link, serialize: Serializing, outgoing: Outgoing, inbox: Inbox) -> None:
        self._link = link
        self._serialize = serialize
        self._outgoing = outgoing
        self._inbox = inbox

    @property
    def uri(self) -> str:
        """The address, without user information."""
        return self._link.address.safe

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Those of the server's answer to the upgrade."""
        return list(self._link.headers)

    async def send(self, message: Any) -> None:
        """Send a message, in the exchange's pace: `str` as text, `bytes` as binary, the rest serialised.

        Raises TypeError for what cannot be serialised, ConnectionError if the connection has ended.
        """
        payload, binary = self._serialize(message)
        await self._link.drain()
        await self._outgoing.turn()
        if not self._link.is_open:
            raise self._link.lost or ConnectionError(f"{self.uri}: closed before the message could be sent")
        self._link.write(self._link.connection.message(payload, binary))

    async def reply(self, predicate: Callable[[Any], object], timeout: float | None = 5.0) -> Any:
        """The first message, of all that came since the connection was opened and were not taken, that fits.

        `predicate(message)` is given JSON decoded, anything else as str; what it raises passes. `timeout` in seconds,
        None for no limit. Raises TimeoutError.
        """
        check_timeout(timeout)
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await self._inbox.take(predicate)
        except builtins.TimeoutError:
            if not limit.expired():
                raise  # the predicate's own
            raise TimeoutError(timeout, "reply", uri=self.uri) from None


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")


async def greeted(link: Link, greeting: asyncio.Future[None], patience: float) -> None:
    """Until the `greeting` of `link` is done. Raises ConnectionError, which says why there is no open connection."""
    either: set[asyncio.Future[Any]] = {greeting, link.ended}
    await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    error: BaseException | None = None
    if not greeting.done():
        if link.ended.done():
            raise link.ended.result()
        why = f"it took longer than connect_timeout, {patience:g} s"
    elif greeting.cancelled():
        why = "it was cancelled"
    else:
        error = greeting.exception()
        if error is None:
            return
        if isinstance(error, ConnectionError):
            raise error
        why = str(error) if isinstance(error, JetSocketError) else place_of(error)
    text = f"{link.address}: on_connect failed: {why}"
    raise ConnectionError(text, uri=link.address.safe, phase="open") from error


async def given_up(greeting: asyncio.Future[None], patience: float) -> None:
    """Cancel it, and let it clean up, which must not hold up everything else for ever."""
    # Nobody else asks what it raises.
    greeting.add_done_callback(lambda done: done.cancelled() or done.exception())
    if greeting.cancel():
        await asyncio.wait({greeting}, timeout=patience)


OnConnect = Callable[[Greeting], Awaitable[object]]
