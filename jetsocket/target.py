"""Where to connect to next: an address and headers that may be asked for anew, and when an attempt may be made."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import ConnectionError, JetSocketError
from .protocol import tls_failures
from .protocol.headers import check_headers
from .protocol.pacing import Pacer, Window
from .protocol.uri import Address, parse_uri
from .reporting import FAILURES, place_of

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

    @property
    def asks(self) -> bool:
        """Whether the next attempt may go with other credentials than the last."""
        return self._ask is not None or callable(self._options.extra_headers)

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
        # Waited for first, on the host as it is known: what is asked for may hold good for a moment only.
        admitted = await self._admitted(None)
        if self._ask is not None:
            self._use("uri", await self._asked("uri", self._ask), self._set)
            await self._admitted(admitted)
        if callable(options.extra_headers):
            given = await self._asked("extra_headers", options.extra_headers)
            options = replace(options, extra_headers=self._use("extra_headers", given, check_headers))
        return self.address, options

    async def _asked(self, name: str, function: Callable[[], Any]) -> Any:
        limit = asyncio.timeout(self._options.connect_timeout)
        try:
            async with limit:
                given = function()
                return await given if inspect.isawaitable(given) else given
        except ConnectionError:
            raise
        except JetSocketError as error:
            raise self._unusable(name, str(error)) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something that it waited for was cancelled, and not we.
            raise self._unusable(name, place_of(error)) from error
        except Exception as error:  # the user's function: whatever it raises, there is no connection without it
            late = f"it took longer than connect_timeout, {self._options.connect_timeout:g} s"
            raise self._unusable(name, late if limit.expired() else place_of(error)) from error

    def _use(self, name: str, given: Any, use: Callable[[Any], Any]) -> Any:
        try:
            return use(given)
        except (TypeError, ValueError) as error:
            raise self._unusable(name, str(error)) from error
        except FAILURES as error:  # the user's mapping or iterator
            raise self._unusable(name, place_of(error)) from error

    def _unusable(self, name: str, why: str) -> ConnectionError:
        uri = None if self.address is UNKNOWN else self.address.safe
        return ConnectionError(f"{self.address}: cannot connect: {name}() failed: {why}", uri=uri)

    async def _admitted(self, already: str | None) -> str | None:
        """Wait until an attempt on the host may be made, unless it is the one that has `already` been waited for."""
        host = _counted(self.address)
        if not self._pace or host == already or self.address is UNKNOWN:
            return already
        pacer = _ATTEMPTS.setdefault((host, self._pace), Pacer(self._pace))
        # Somebody else may have had the turn meanwhile.
        while (delay := pacer.delay(time.monotonic())) > 0:  # noqa: ASYNC110
            await asyncio.sleep(delay)
        pacer.spend(time.monotonic())
        return host


def _counted(address: Address) -> str:
    """As what a host's limits know it. On this machine each port is a host of its own: servers made for a trial."""
    host = address.host
    loopback = host in ("localhost", "::1") or host.startswith("127.")
    return f"localhost:{address.port}" if loopback else host
