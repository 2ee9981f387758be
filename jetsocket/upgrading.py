"""A socket from its opening to the answer to the upgrade."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, cast

from .errors import ConnectionError
from .protocol import failures, tls_failures

if TYPE_CHECKING:
    from .protocol.handshake import Response, Upgrade
    from .protocol.uri import Address


class UpgradeProtocol(asyncio.Protocol):
    """Holds the socket from its opening to the answer to the upgrade."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self.transport: asyncio.Transport | None = None
        self.early = bytearray()
        self._address = address
        self._answer: asyncio.Future[Response] = loop.create_future()
        self._upgrade: Upgrade | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open, with TLS where there is TLS."""
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, upgrade: Upgrade) -> Response:
        """Send the request and wait for the answer."""
        assert self.transport is not None
        self._upgrade = upgrade
        if not self._answer.done():
            self.transport.write(upgrade.request())
            if self.early:
                early, self.early = bytes(self.early), bytearray()
                self.data_received(early)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Part of the answer, or what came after it before anyone took the socket over."""
        if self._answer.done() or self._upgrade is None:
            self.early += data
            return
        try:
            response = self._upgrade.receive(data, time.time())
        except ConnectionError as error:
            self._fail(error)
            return
        # A signal's handler may have cancelled who asked, in the middle of this.
        if response is not None and not self._answer.done():
            assert self.transport is not None
            self.transport.pause_reading()
            self._answer.set_result(response)

    def _fail(self, error: ConnectionError) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
            # Nobody may be waiting any more; then this is no news.
            self._answer.exception()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The server hung up in place of an answer, or amid it."""
        error = self.refusal()
        if error is None and isinstance(exc, ssl.SSLError):
            error = tls_failures.tls_ended_upgrade(self._address, exc.reason or "", str(exc))
        if error is None:
            error = failures.closed_before_upgrade(self._address, "" if exc is None else str(exc))
        error.__cause__ = exc
        self._fail(error)

    def refusal(self) -> ConnectionError | None:
        """The server's refusal, once its head has come, with as much of the body as is here; None before."""
        if self._upgrade is None or self._upgrade.status_code is None:
            return None
        return self._upgrade.eof(time.time())
