"""The embedded exchange in the caller's event loop."""

from __future__ import annotations

import asyncio
import json
import math
import ssl as ssl_module
from os import PathLike
from typing import Any, Self

from picows import ws_create_server

from .account import Account, Request
from .feed import MarketFeed, ReplayFeed
from .floor import Floor
from .governing import Governing
from .market import Market
from .peer import RequestError
from .process import ExchangeProcess
from .recording import Recorded, read_recording
from .wire import OP_TEXT, Garbage, garbage, server_frame


class Exchange(Governing):
    """A WebSocket server that speaks Binance's combined-stream protocol at `uri`.

    `rate`: messages a second over all subscribed channels; 0 or None is flat out, as fast as the slowest client reads.
    `limit`: the feed ends after so many. `paused`: nothing is sent before `start()`, except what is published.
    `seed`: the same seed gives the same prices. `timestamps`: each message carries the nanosecond of its sending, since
    the epoch, as `data.ns`. `zipf`: 0 gives every channel the same share, s > 0 the r-th subscribed one one of r**-s.
    `ssl`: a server-side context makes it wss. `port` 0 takes a free one.

    Trades (`<symbol>@trade`), book tickers (`@bookTicker`), tickers (`@ticker`, `@miniTicker`) of any symbol are traded
    once subscribed; any other channel is accepted and silent. Trade ids are consecutive, and go on while no client is
    there. All methods are for the event loop it runs in.
    """

    def __init__(
        self,
        *,
        rate: float | None = 1000.0,
        limit: int | None = None,
        paused: bool = False,
        seed: int = 0,
        timestamps: bool = False,
        zipf: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self.rate = _checked("rate", rate)
        self.limit = limit
        self.host = host
        self.port = port
        self._market = Market(seed, timestamps=timestamps, zipf=_checked("zipf", zipf))
        self._ssl = ssl
        self._recording: tuple[list[Recorded], float, bool] | None = None
        self._server: asyncio.Server | None = None
        self._paused, self._silent = paused, False
        self._floor = Floor()

    @classmethod
    def replay(
        cls,
        path: str | PathLike[str],
        speed: float = 1.0,
        *,
        loop: bool = False,
        paused: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: ssl_module.SSLContext | None = None,
    ) -> Self:
        """An exchange that sends every incoming message of a recorded run to each client, from its beginning.

        `speed`: 1 keeps the recorded pace, N is N times faster, 0 or infinity flat out. `loop`: from the beginning
        again at the end, else the connection stays open and silent. Any path is served; requests of other protocols
        than Binance's are recorded and not answered. `ValueError` names the file and the line that is no recording.
        """
        messages = read_recording(path)
        exchange = cls(paused=paused, host=host, port=port, ssl=ssl)
        exchange._recording = messages, 0.0 if speed == math.inf else _checked("speed", speed), loop
        return exchange

    @staticmethod
    def spawn(**options: Any) -> ExchangeProcess:
        """The same in a process of its own, for `with` or `async with`: it takes no CPU time from the caller's.

        `options` are those of `Exchange`, except `ssl`; or those of `Exchange.replay` with `path`.
        """
        return ExchangeProcess(options)

    # ---- lifecycle

    @property
    def uri(self) -> str:
        """The address; known once it is open."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self._ssl else 'ws'}://{host}:{self.port}/stream"

    async def open(self) -> None:
        """Starts to listen; `OSError` if the port is taken."""
        if self._recording is not None:
            self._floor.replaying = True
            self._floor.feed = ReplayFeed(self._floor, *self._recording)
        else:
            self._floor.feed = MarketFeed(self._floor, self._market, self.rate, self.limit)
        self._server = await ws_create_server(
            self._floor.admit, self.host, self.port, ssl=self._ssl, enable_auto_pong=False
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._floor.feed.open()
        self._regulate()

    async def close(self) -> None:
        """Cuts every connection and stops listening. Raises what went wrong in a feed, if anything did."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self.drop_all(reset=False)
        await server.wait_closed()
        await self._floor.feed.close()

    # ---- the feed

    def start(self) -> None:
        """Goes on after `pause()`, or begins where it was created paused."""
        self._paused = False
        self._regulate()

    def pause(self) -> None:
        """Nothing more is sent from this moment on, except what is published."""
        self._paused = True
        self._regulate()

    def publish(self, channel: str, data: Any) -> int:
        """Sends one message to every subscriber of `channel`; how many there were."""
        text = json.dumps({"stream": channel, "data": data}, separators=(",", ":"), ensure_ascii=False)
        frame = server_frame(OP_TEXT, text.encode())
        reached = sum([peer.write(frame) for peer in self._floor.peers if channel in peer.channels])
        self._floor.ledger.count([channel] * reached)
        self._floor.changed()
        return reached

    async def drain(self) -> None:
        """Waits until no client's write buffer is full: for who publishes more than a few megabytes."""
        for peer in list(self._floor.peers):
            await peer.writable.wait()

    # ---- faults

    def go_silent(self) -> None:
        """No more data, but requests and pings are still answered."""
        self._silent = True
        self._regulate()

    def stall(self) -> None:
        """No more data, and nothing is read or answered: the process behind the connection hangs."""
        self._floor.stalled = True
        self._regulate()
        for peer in self._floor.peers:
            peer.read(False)

    def resume(self) -> None:
        """Ends `go_silent` and `stall`."""
        self._silent = False
        if self._floor.stalled:
            self._floor.stalled = False
            for peer in self._floor.peers:
                peer.read(True)
        self._regulate()

    def send_garbage(self, kind: Garbage) -> int:
        """Sends every client bytes that a client must cope with; see `garbage` for the kinds. How many clients."""
        return self.send_raw(garbage(kind))

    def send_raw(self, data: bytes) -> int:
        """Writes bytes in place of a frame, as they are, to every client; how many there were."""
        reached = sum([peer.write(data) for peer in self._floor.peers])
        self._floor.ledger.injected += reached
        return reached

    def send_text(self, text: str) -> int:
        """Sends every client a text message, subscribed or not; how many there were."""
        return self.send_raw(server_frame(OP_TEXT, text.encode()))

    def refuse_subscriptions(self, channel: str | None = None, code: int = 2, msg: str = "Invalid request") -> None:
        """Answers SUBSCRIBE with an error; for requests that name `channel`, or for all."""
        self._floor.channel_refusals[channel] = RequestError(code, msg)

    def accept_subscriptions(self) -> None:
        """Ends every `refuse_subscriptions`."""
        self._floor.channel_refusals.clear()

    # ---- the account

    @property
    def requests(self) -> list[Request]:
        """Every message received from clients, the oldest first."""
        return self._floor.ledger.requests

    def sent(self, channel: str | None = None) -> int:
        """Data messages sent so far, of one channel or in all."""
        return self._floor.ledger.messages if channel is None else self._floor.ledger.channels[channel]

    def account(self) -> Account:
        """What was sent and received so far, over all connections, and who is subscribed to what now."""
        return self._floor.ledger.snapshot({peer.number: list(peer.channels) for peer in self._floor.peers})

    async def wait_accepted(self, count: int) -> None:
        """Until `count` connections have been accepted since the start, open or not."""
        await self._floor.until(lambda: self._floor.ledger.accepted >= count)

    async def wait_subscribed(self, *channels: str) -> None:
        """Until each of `channels` has a subscriber."""
        await self._floor.until(lambda: all(map(self._floor.is_followed, channels)))

    async def wait_requests(self, count: int) -> None:
        """Until `count` messages have been received from clients."""
        await self._floor.until(lambda: len(self._floor.ledger.requests) >= count)

    def _regulate(self) -> None:
        if self._paused or self._silent or self._floor.stalled:
            self._floor.flowing.clear()
        else:
            self._floor.flowing.set()


def _checked(name: str, value: float | None) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__} {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")
    return float(value)
