"""The trading floor: who is there and follows what. Peers and feeds work on it, `Exchange` governs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs

from multidict import CIMultiDict
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

from .account import Ledger
from .peer import Peer, RequestError


class Feed(Protocol):
    """What sends the data. Told when a client comes or goes, a channel gets its first or loses its last."""

    def joined(self, peer: Peer) -> None: ...

    def left(self, peer: Peer) -> None: ...

    def follow(self, channel: str, now: float) -> None: ...

    def leave(self, channel: str, now: float) -> None: ...

    def open(self) -> None: ...

    async def close(self) -> None: ...


class Floor:
    """The open connections, the running account, who waits for what, and whom to refuse."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.ledger = Ledger()
        self.flowing = asyncio.Event()
        self.replaying = False
        self.stalled = False
        self.feed: Feed
        self.handshake_refusal: tuple[HTTPStatus, dict[str, str], bytes] | None = None
        self.handshakes_to_refuse: int | None = None
        self.channel_refusals: dict[str | None, RequestError] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until `happened` is true, asking it after each change."""
        while not happened():
            change = asyncio.get_running_loop().create_future()
            self._waiting.add(change)
            try:
                await change
            finally:
                self._waiting.discard(change)

    def changed(self) -> None:
        """Something that somebody may wait for has happened."""
        for change in self._waiting:
            if not change.done():
                change.set_result(None)

    def joined(self, peer: Peer) -> None:
        self.ledger.accepted += 1
        peer.number = self.ledger.accepted
        self.peers.append(peer)
        for channel in peer.channels:
            self._follow(channel)
        if self.stalled:
            peer.read(False)
        self.feed.joined(peer)
        self.changed()

    def left(self, peer: Peer) -> None:
        if peer not in self.peers:
            return
        self.peers.remove(peer)
        for channel in peer.channels:
            self._leave(channel)
        self.feed.left(peer)
        self.changed()

    def subscribe(self, peer: Peer, channels: list[str]) -> None:
        for channel in channels:
            refusal = self.channel_refusals.get(channel) or self.channel_refusals.get(None)
            if refusal is not None:
                raise refusal
        for channel in channels:
            self.ledger.subscribes += 1
            peer.channels[channel] = None
            self._follow(channel)

    def unsubscribe(self, peer: Peer, channels: list[str]) -> None:
        for channel in channels:
            self.ledger.unsubscribes += 1
            if channel in peer.channels:
                del peer.channels[channel]
                self._leave(channel)

    def _follow(self, channel: str) -> None:
        self.feed.follow(channel, asyncio.get_running_loop().time())

    def is_followed(self, channel: str) -> bool:
        """Whether any open connection is subscribed to it."""
        return any(channel in peer.channels for peer in self.peers)

    def _leave(self, channel: str) -> None:
        if not self.is_followed(channel):
            self.feed.leave(channel, asyncio.get_running_loop().time())

    def admit(self, request: WSUpgradeRequest) -> Peer | WSUpgradeResponseWithListener | None:
        """Answers an upgrade request: a connection, a refusal, or None for 404."""
        path, _, query = request.path.decode("latin-1").partition("?")
        if self.handshake_refusal is not None and self.handshakes_to_refuse != 0:
            if self.handshakes_to_refuse is not None:
                self.handshakes_to_refuse -= 1
            self.ledger.refused += 1
            self.changed()
            return WSUpgradeResponseWithListener(_response(*self.handshake_refusal), None)
        if path != "/stream" and not self.replaying:
            return None
        streams = parse_qs(query).get("streams", [""])[0]
        return Peer(self, [channel for channel in streams.split("/") if channel])


def _response(status: HTTPStatus, headers: dict[str, str], body: bytes) -> WSUpgradeResponse:
    response = WSUpgradeResponse()
    response.version = b"HTTP/1.1"
    response.status = status
    # picows announces the length of a body only where there is one.
    response.headers = CIMultiDict(headers if body else {"Content-Length": "0", **headers})
    response.body = body
    return response
