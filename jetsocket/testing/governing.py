"""What every embedded exchange does alike on command: cut connections, refuse new ones, and wait for what happens."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

from .floor import Floor


class Governing:
    """Governs the floor; `open`, `close` and what is `sent` are the exchange's own."""

    _floor: Floor

    async def open(self) -> None:
        """Starts to listen."""
        raise NotImplementedError(type(self).__name__)

    async def close(self) -> None:
        """Cuts every connection and stops listening."""
        raise NotImplementedError(type(self).__name__)

    def sent(self, channel: str | None = None) -> int:
        """Data messages sent so far, of one channel or in all."""
        raise NotImplementedError(type(self).__name__)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def drop_all(self, *, reset: bool = True) -> int:
        """Cuts every TCP connection, by a reset or by a bare end of stream; how many there were."""
        peers = list(self._floor.peers)
        for peer in peers:
            peer.drop(reset=reset)
            self._floor.left(peer)
        return len(peers)

    def close_all(self, code: int | None = 1001, reason: str = "") -> int:
        """Sends every client a close frame; how many there were. None: a close frame without a code."""
        peers = list(self._floor.peers)
        for peer in peers:
            peer.close(code, reason)
            self._floor.left(peer)
        return len(peers)

    def refuse_handshakes(
        self,
        status: int = 503,
        headers: Mapping[str, str] | None = None,
        body: str | bytes = b"",
        *,
        times: int | None = None,
    ) -> None:
        """Answers upgrade requests with `status` instead; only the next `times` if given."""
        if status == 101:
            raise ValueError("status 101 accepts the handshake")
        body = body.encode() if isinstance(body, str) else body
        self._floor.handshake_refusal = HTTPStatus(status), dict(headers or {}), body
        self._floor.handshakes_to_refuse = times

    def accept_handshakes(self) -> None:
        self._floor.handshake_refusal = None

    async def wait_connected(self, count: int = 1) -> None:
        """Until at least `count` connections are open."""
        await self._floor.until(lambda: len(self._floor.peers) >= count)

    async def wait_refused(self, count: int = 1) -> None:
        """Until `count` handshakes have been refused."""
        await self._floor.until(lambda: self._floor.ledger.refused >= count)

    async def wait_disconnected(self) -> None:
        """Until no connection is open."""
        await self._floor.until(lambda: not self._floor.peers)

    async def wait_sent(self, count: int, channel: str | None = None) -> None:
        """Until `count` data messages have been sent, of one channel or in all."""
        await self._floor.until(lambda: self.sent(channel) >= count)
