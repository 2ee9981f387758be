"""A loopback exchange that speaks one of several exchanges' dialects and enforces its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from picows import ws_create_server

from ..governing import Governing
from ..wire import OP_TEXT, server_frame
from .binance import BinanceDialect
from .bitfinex import BitfinexDialect
from .coinbase import CoinbaseDialect
from .dialect import Dialect
from .faults import Action, Refusal
from .floor import VenueFloor
from .kraken import KrakenDialect
from .limits import Limits, Violation
from .okx import OkxDialect
from .record import Connection, Received, Upgrade
from .streaming import Streaming

_DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (BinanceDialect, OkxDialect, KrakenDialect, BitfinexDialect, CoinbaseDialect)
}
_OP_PING = 9


class VenueExchange(Governing):
    """A WebSocket server in the caller's event loop that answers as a known exchange does.

    `dialect`: "binance", "okx", "kraken", "bitfinex", "coinbase", or a `Dialect`. `limits`: those of the real exchange,
    unless others are given; may be set at any time. The first broken one is written to `violations` and ends the
    connection with 1008, or is refused where the exchange does that; attempts to connect are answered 429.

    Nothing is sent but answers and what is published: `publish`, `stream`. All methods are for the event loop it runs
    in; channels go by the names that clients use.
    """

    def __init__(
        self, dialect: str | Dialect, *, limits: Limits | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.dialect = _dialect(dialect)
        self.host = host
        self.port = port
        self._floor: VenueFloor = VenueFloor(self.dialect, self.dialect.limits if limits is None else limits)
        self._server: asyncio.Server | None = None
        self._streaming = Streaming(self._floor)

    # ---- lifecycle

    @property
    def uri(self) -> str:
        """The address; known once it is open."""
        return f"ws://{self.host}:{self.port}{self.dialect.paths[0]}"

    async def open(self) -> None:
        """Starts to listen; `OSError` if the port is taken."""
        self._server = await ws_create_server(self._floor.admit, self.host, self.port, enable_auto_pong=False)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cuts every connection and stops listening. Raises what went wrong in a stream, if anything did."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for peer in list(self._floor.attached):
            peer.drop(reset=False)
        await server.wait_closed()
        await self.stop_stream()

    # ---- the data

    def publish(self, channel: str, count: int = 1) -> int:
        """Sends each subscriber the channel's next `count` messages; how many were sent.

        The channel goes on also while it has no subscriber, but not while it is silenced.
        """
        return self._floor.publish(self.dialect.channel_of(channel), count)

    def skip(self, channel: str, count: int = 1) -> None:
        """A gap: so many messages are not sent, and the next has a number that says so."""
        self._floor.skip(self.dialect.channel_of(channel), count)

    def stream(self, rate: float, limit: int | None = None) -> asyncio.Task[None]:
        """Publishes to all subscribed channels in turn: `rate` messages a second in all, `limit` in all.

        One at a time; the task ends with the limit, by `stop_stream` or with the exchange.
        """
        return self._streaming.start(rate, limit)

    async def stop_stream(self) -> None:
        """Ends what `stream` began, if it still goes on. Raises what went wrong in it, if anything did."""
        await self._streaming.stop()

    # ---- faults

    def silence(self, channel: str | None = None) -> None:
        """No more data of a channel, or of all; requests and pings are still answered. Its numbers stand still."""
        self._floor.faults.silent.add(self._name(channel))

    def unsilence(self, channel: str | None = None) -> None:
        """Ends the silence of a channel; None ends all."""
        if channel is None:
            self._floor.faults.silent.clear()
        else:
            self._floor.faults.silent.discard(self._name(channel))

    def ignore_requests(self, channel: str | None = None, times: int | None = None) -> None:
        """Neither does nor answers what is asked for a channel, or for any; only the next `times` requests if given.

        Messages that are no subscribing, unsubscribing or login, pings among them, are answered.
        """
        self._floor.faults.ignore(self._name(channel), times)

    def refuse(
        self,
        channel: str | None = None,
        code: int | str | None = None,
        msg: str | None = None,
        *,
        action: Action = "subscribe",
    ) -> None:
        """Answers with an error, in the exchange's form and words where none are given; for a channel or for all."""
        self._floor.faults.refusals[action, self._name(channel)] = Refusal(code, msg)

    def accept(self, channel: str | None = None) -> None:
        """Ends `refuse` and `ignore_requests` for a channel; None ends all of it."""
        self._floor.faults.accept(self._name(channel))

    def delay_acks(self) -> None:
        """Does what is asked, at once, but holds the answers back until `release_acks`."""
        self._floor.faults.holding = True

    def release_acks(self) -> int:
        """Sends the answers held back, and from now on each at once; how many were sent."""
        self._floor.faults.holding = False
        return sum([peer.release() for peer in self._floor.peers])

    def data_before_ack(self, wanted: bool = True) -> None:
        """Whether the first message of a channel is published, to all that follow it, before the answer is sent."""
        self._floor.faults.data_first = wanted

    def revoke(self, channel: str) -> int:
        """Ends the subscriptions to a channel as the exchange does by itself; how many connections had one.

        OKX names the kind of channel: all of that kind end. Of Binance no such word is known: the data end.
        """
        channel = self.dialect.channel_of(channel)
        holders = [peer for peer in self._floor.peers if channel in peer.channels]
        for peer in holders:
            for message in self.dialect.revoke(channel, peer):
                peer.send(message)
        self._floor.changed()
        return len(holders)

    def notice(self, kind: str) -> int:
        """Tells every client of "maintenance", "reconnect" or "resumed", as the exchange does; how many there were."""
        if kind not in self.dialect.notices:
            known = ", ".join(self.dialect.notices) or "none"
            raise ValueError(f"{self.dialect.name} has no notice {kind!r}; it has {known}")
        return sum([peer.send(self.dialect.notice(kind, peer)) for peer in self._floor.peers])

    def heartbeat(self, channel: str | None = None) -> int:
        """Sends the exchange's own heartbeat, of a channel where it has that; how many were sent."""
        name = self._name(channel)
        return sum([peer.send(beat) for peer in self._floor.peers for beat in self.dialect.heartbeat(name, peer)])

    def require_login(self, wanted: bool = True, *, accepts: Callable[[Any], bool] | None = None) -> None:
        """Whether to refuse requests before a login. `accepts` judges its argument; None accepts any."""
        if wanted and not self.dialect.has_login:
            raise ValueError(f"{self.dialect.name} has no login")
        self._floor.faults.login_needed = wanted
        self._floor.faults.login_accepts = accepts

    def mute(self) -> None:
        """Nothing is read, answered or published, on new connections either: the process behind them hangs."""
        self._floor.stalled = True
        for peer in self._floor.peers:
            peer.read(False)

    def unmute(self) -> None:
        """Reads on: what was sent meanwhile comes at once, and counts so against the limits."""
        self._floor.stalled = False
        for peer in self._floor.peers:
            peer.read(True)

    def require_query(self, name: str, value: str | None) -> None:
        """Answers 401 to addresses whose query does not have `name` with this value; None: no longer."""
        if value is None:
            self._floor.faults.query.pop(name, None)
        else:
            self._floor.faults.query[name] = value

    def server_ping(self, payload: bytes = b"") -> int:
        """Sends every client a ping frame; how many. The pongs are counted in `connections`."""
        return sum([peer.write(server_frame(_OP_PING, payload)) for peer in self._floor.peers])

    def send_text(self, text: str) -> int:
        """Sends every client a text message as it is; how many there were."""
        return sum([peer.write(server_frame(OP_TEXT, text.encode())) for peer in self._floor.peers])

    # ---- the account

    @property
    def limits(self) -> Limits:
        """What clients are held to: the dialect's own, unless others were given.

        Others may be set at any time; they hold from then on, but for `first_subscribe`, on open connections too.
        """
        return self._floor.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._floor.limits = limits

    @property
    def violations(self) -> list[Violation]:
        """Every limit broken so far."""
        return self._floor.violations

    @property
    def connections(self) -> list[Connection]:
        """Every connection accepted so far, the present one last."""
        return self._floor.connections

    @property
    def present(self) -> Connection | None:
        """The newest open connection."""
        return self._floor.peers[-1].log if self._floor.peers else None

    @property
    def requests(self) -> list[Received]:
        """Every message received from clients, the oldest first."""
        return self._floor.requests

    @property
    def upgrades(self) -> list[Upgrade]:
        """Every upgrade request, the refused ones included."""
        return self._floor.upgrades

    def subscribed(self) -> list[str]:
        """The channels of the present connection."""
        return [] if self.present is None else self.present.channels

    def sent(self, channel: str | None = None) -> int:
        """Data messages sent so far, of one channel or in all; one sent to two clients counts twice."""
        ledger = self._floor.ledger
        return ledger.messages if channel is None else ledger.channels[self.dialect.channel_of(channel)]

    def sequence(self, channel: str) -> int:
        """The number of a channel's newest message; 0 before the first."""
        return self._floor.sequences[self.dialect.channel_of(channel)]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until `happened` is true, asking after each thing that happens here."""
        await self._floor.until(happened)

    async def wait_accepted(self, count: int) -> None:
        """Until `count` connections have been accepted since the start, open or not."""
        await self.until(lambda: len(self.connections) >= count)

    async def wait_subscribed(self, *channels: str) -> None:
        """Until the present connection holds each of `channels`."""
        wanted = {self.dialect.channel_of(channel) for channel in channels}
        await self.until(lambda: wanted <= set(self.subscribed()))

    async def wait_requests(self, count: int) -> None:
        """Until `count` messages have been received from clients."""
        await self.until(lambda: len(self.requests) >= count)

    def _name(self, channel: str | None) -> str | None:
        return None if channel is None else self.dialect.channel_of(channel)


def _dialect(dialect: str | Dialect) -> Dialect:
    if isinstance(dialect, Dialect):
        return dialect
    try:
        return _DIALECTS[dialect]()
    except KeyError:
        raise ValueError(f"no such dialect: {dialect!r}; there are {', '.join(_DIALECTS)}") from None
