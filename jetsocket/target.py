"""Where to connect to next: an address and headers that may be asked for anew, and when an attempt may be made."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import ConnectionError, InvalidURIError, JetSocketError
from .protocol import tls_failures
from .protocol.headers import check_headers
from .protocol.pacing import Pacer, Window
from .protocol.uri import Address, parse_uri
from .reporting import place_of

if TYPE_CHECKING:
    from .options import Options

AskedUri = Callable[[], "str | Awaitable[str]"]

# Until a function has told the first address.
UNKNOWN = Address("ws", False, "", 0, "/", "", "an address not asked for yet")

# What limits attempts counts them per address of the client's: those of all connections to a host, in this process.
_ATTEMPTS: dict[tuple[str, tuple[Window, ...]], Pacer] = {}


class Target:
    """`uri` and the option `extra_headers`, each the thing itself or a function, plain or async, asked every time.

    `pace`: windows for attempts to connect, shared by all connections of this process to the same host.
    """

    def __init__(self, uri: str | AskedUri, options: Options, pace: Sequence[Window] = ()) -> None:
        self.address = UNKNOWN
        self._ask = uri if callable(uri) else None
        self._options = options
        self._pace = tuple(pace)
        if not callable(uri):
            self._set(uri)

    def _set(self, uri: str) -> None:
        address = parse_uri(uri)
        if self._options.ssl_context is not None and not address.secure:
            raise tls_failures.context_without_tls(address)
        self.address = address

    async def next(self) -> tuple[Address, Options]:
        """The address and the options of the next attempt, once it may be made.

        Raises ConnectionError where a function raised or gave what cannot be used; then the attempt has failed.
        """
        options = self._options
        if self._ask is not None:
            self._set_asked(await self._asked("uri", self._ask))
        if callable(options.extra_headers):
            given = await self._asked("extra_headers", options.extra_headers)
            try:
                headers = check_headers(given)
            except (TypeError, ValueError) as error:
                raise self._unusable("extra_headers", str(error)) from error
            options = replace(options, extra_headers=headers)
        if self._pace:
            await self._admitted()
        return self.address, options

    async def _asked(self, name: str, function: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                given = function()
                return await given if inspect.isawaitable(given) else given
        except JetSocketError:
            raise
        except Exception as error:  # the user's function: whatever it raises, there is no connection without it
            raise self._unusable(name, place_of(error)) from error

    def _set_asked(self, uri: Any) -> None:
        try:
            self._set(uri)
        except (InvalidURIError, TypeError, ValueError) as error:
            raise self._unusable("uri", str(error)) from error

    def _unusable(self, name: str, why: str) -> ConnectionError:
        return ConnectionError(f"{self.address}: cannot connect: {name}() failed: {why}", uri=self.address.safe)

    async def _admitted(self) -> None:
        pacer = _ATTEMPTS.setdefault((self.address.host, self._pace), Pacer(self._pace))
        # Somebody else may have had the turn meanwhile.
        while (delay := pacer.delay(time.monotonic())) > 0:  # noqa: ASYNC110
            await asyncio.sleep(delay)
        pacer.spend(time.monotonic())
