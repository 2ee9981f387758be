"""What a loopback exchange's connections share: who is there, what has been seen, how far each channel is."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from time import monotonic
from urllib.parse import parse_qsl

from multidict import CIMultiDict
from picows import WSUpgradeRequest, WSUpgradeResponseWithListener

from ..floor import Floor, _response
from ..peer import Peer
from .dialect import Dialect
from .faults import Faults
from .limits import Limits, Tally, Violation
from .peer import VenuePeer
from .record import Connection, Received, Upgrade

_Refusal = tuple[HTTPStatus, dict[str, str], bytes]


class VenueFloor(Floor):
    """As `Floor`, for peers that speak a dialect. No feed: what is sent is published."""

    peers: list[VenuePeer]  # type: ignore[assignment]

    def __init__(self, dialect: Dialect, limits: Limits) -> None:
        super().__init__()
        self.dialect = dialect
        self.limits = limits
        self.faults = Faults()
        self.attached: set[VenuePeer] = set()
        """Those with an open socket: also while a closing handshake is under way."""
        self.connections: list[Connection] = []
        self.requests: list[Received] = []
        self.upgrades: list[Upgrade] = []
        self.violations: list[Violation] = []
        self.sequences: Counter[str] = Counter()
        self._attempts = Tally()

    # ---- picows and the peers call these

    def admit(self, request: WSUpgradeRequest) -> VenuePeer | WSUpgradeResponseWithListener:
        """Answers an upgrade request: a connection or a refusal."""
        path, _, encoded = request.path.decode("latin-1").partition("?")
        query = dict(parse_qsl(encoded, keep_blank_values=True))
        refusal = self._refusal_of(path, query)
        status = 101 if refusal is None else int(refusal[0])
        upgrade = Upgrade(monotonic(), path, query, CIMultiDict(request.headers), status)
        self.upgrades.append(upgrade)
        if refusal is None:
            return VenuePeer(self, self.dialect.at_connect(query), upgrade)
        self.ledger.refused += 1
        self.changed()
        return WSUpgradeResponseWithListener(_response(*refusal), None)

    def _refusal_of(self, path: str, query: dict[str, str]) -> _Refusal | None:
        broken = self._attempts.add(monotonic(), self.limits.connects)
        if broken is not None:
            self.violation(0, "connects", f"more than {broken.count} in {broken.seconds:g} s")
            return HTTPStatus.TOO_MANY_REQUESTS, {}, b"Too many connection attempts"
        if self.handshake_refusal is not None and self.handshakes_to_refuse != 0:
            if self.handshakes_to_refuse is not None:
                self.handshakes_to_refuse -= 1
            return self.handshake_refusal
        if path not in self.dialect.paths:
            return HTTPStatus.NOT_FOUND, {}, b""
        if any(query.get(name) != value for name, value in self.faults.query.items()):
            return HTTPStatus.UNAUTHORIZED, {}, b""
        return None

    def joined(self, peer: Peer) -> None:
        assert isinstance(peer, VenuePeer)
        self.ledger.accepted += 1
        peer.number = peer.log.number = self.ledger.accepted
        self.connections.append(peer.log)
        self.peers.append(peer)
        self.attached.add(peer)
        if self.stalled:
            peer.read(False)
        self.changed()

    def left(self, peer: Peer) -> None:
        if peer in self.peers:
            self.peers.remove(peer)
        self.changed()

    def violation(self, connection: int, limit: str, text: str) -> None:
        self.violations.append(Violation(monotonic(), connection, limit, text))
        self.changed()

    # ---- the data

    def publish(self, channel: str, count: int = 1) -> int:
        """Sends each subscriber the channel's next `count` messages; how many were sent."""
        if self.stalled or self.faults.silences(channel):
            return 0
        sent = 0
        for _ in range(count):
            self.sequences[channel] += 1
            followers = [peer for peer in self.peers if channel in peer.channels]
            sent += sum([peer.send_data(channel, self.sequences[channel]) for peer in followers])
        self.ledger.count([channel] * sent)
        self.changed()
        return sent

    def skip(self, channel: str, count: int) -> None:
        """Goes on with the numbers, those of connections that follow it too, and sends nothing."""
        self.sequences[channel] += count
        for peer in self.peers:
            if channel in peer.channels:
                peer.numbered += count
