"""A connection before anything is subscribed to on it: where logins happen."""

from __future__ import annotations

import asyncio
import builtins
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .errors import ConnectionError, TimeoutError
from .protocol.timing import check_timeout

if TYPE_CHECKING:
    from .decoding import Serializing
    from .link import Link
    from .outgoing import Outgoing

# Messages that wait for somebody to ask for a reply.
_MOST_KEPT = 1000


class Greeting:
    """What `on_connect` is given: the new connection, on which nothing else is sent yet. ::

    async def log_in(connection):
        await connection.send({"op": "login", "args": [...]})
        await connection.reply(lambda message: message.get("event") == "login", timeout=5)
    """

    def __init__(self, link: Link, serialize: Serializing, outgoing: Outgoing) -> None:
        self._link = link
        self._serialize = serialize
        self._outgoing = outgoing
        self._unread: deque[bytes] = deque(maxlen=_MOST_KEPT)
        self._came: asyncio.Future[None] | None = None

    @property
    def uri(self) -> str:
        """The address, without user information."""
        return self._link.address.safe

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Those of the server's answer to the upgrade."""
        return list(self._link.headers)

    def offer(self, raw: bytes) -> None:
        """A message came that belongs to no channel."""
        self._unread.append(raw)
        if self._came is not None and not self._came.done():
            self._came.set_result(None)

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
        try:
            async with asyncio.timeout(timeout):
                return await self._first(predicate)
        except builtins.TimeoutError as error:
            if isinstance(error, TimeoutError):
                raise
            raise TimeoutError(timeout, "reply", uri=self.uri) from None

    async def _first(self, predicate: Callable[[Any], object]) -> Any:
        seen: deque[bytes] = deque()
        try:
            while True:
                while self._unread:
                    raw = self._unread.popleft()
                    message = _decoded(raw)
                    if predicate(message):
                        return message
                    seen.append(raw)
                self._came = asyncio.get_running_loop().create_future()
                await self._came
        finally:
            self._unread.extendleft(reversed(seen))


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


OnConnect = Callable[[Greeting], Awaitable[object]]
