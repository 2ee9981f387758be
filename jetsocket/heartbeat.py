"""Pings and their round trips on one open connection, and the heartbeat, which ends it when the server is dead."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .protocol import failures
from .protocol.timing import Heartbeat

if TYPE_CHECKING:
    from .errors import JetSocketError
    from .link import Link
    from .protocol.connection import Connection
    from .protocol.timing import HeartbeatConfig


class Pulse:
    """Of one link. Round trips are in seconds: the last, how many there were, and their sum."""

    def __init__(self, connection: Connection, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.latency: float | None = None
        self.latencies = 0
        self.latency_sum = 0.0
        self._connection = connection
        self._transport = transport
        self._loop = loop
        self._clock = time.monotonic
        self._pings: dict[bytes, tuple[float, asyncio.Future[float]]] = {}
        self._ping_number = 0
        # While there is a heartbeat; what has ended must not keep its link.
        self._link: Link | None = None
        self._heartbeat: Heartbeat | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._suspected = False

    # Pings that somebody waits for.

    def ping(self) -> asyncio.Future[float]:
        """Send a ping; the future's result is its round trip in seconds."""
        self._ping_number += 1
        payload = b"p" + self._ping_number.to_bytes(8, "big")
        pong: asyncio.Future[float] = self._loop.create_future()
        self._transport.write(self._connection.ping(payload))
        self._pings[payload] = (self._clock(), pong)
        pong.add_done_callback(lambda _: self._pings.pop(payload, None))
        return pong

    def on_pong(self, payload: bytes) -> None:
        """A pong came."""
        now = self._clock()
        asked = self._pings.pop(payload, None)
        if asked is not None:
            sent, pong = asked
            self._measured(now - sent)
            if not pong.done():
                pong.set_result(now - sent)
        elif self._heartbeat is not None:
            self._measured(self._heartbeat.on_pong(now, payload))

    def on_application_pong(self) -> None:
        """A message came that answers an application ping."""
        if self._heartbeat is not None:
            self._measured(self._heartbeat.on_application_pong(self._clock()))

    def _measured(self, seconds: float | None) -> None:
        if seconds is not None:
            self.latency = seconds
            self.latencies += 1
            self.latency_sum += seconds

    def fail(self, error: JetSocketError) -> None:
        """The socket is gone: no pong will come."""
        for _, ping in self._pings.values():
            if not ping.done():
                ping.set_exception(error)
        self._pings.clear()

    # The heartbeat.

    def start(self, link: Link, config: HeartbeatConfig) -> None:
        """Ping as `config` says, and end `link` when the server shows no life."""
        self._link = link
        self._heartbeat = Heartbeat(config, self._clock())
        self._beat_at(self._heartbeat.next_wakeup())

    def stop(self) -> None:
        """The connection is ending by itself."""
        self._heartbeat = self._link = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat_at(self, when: float) -> None:
        self._timer = self._loop.call_later(max(when - self._clock(), 0), self._beat)

    def _beat(self) -> None:
        heartbeat, link = self._heartbeat, self._link
        if heartbeat is None or link is None or not link.is_open:
            return
        now = self._clock()
        # While the consumer is slow nothing is read, and the server cannot show life: that is no dead server.
        heartbeat.on_bytes(now if self._connection.decoder.blocked else link.last_read)
        verdict = heartbeat.due(now)
        if verdict == "dead":
            if self._suspected:
                link.abort(failures.no_pong(link.address, heartbeat.unanswered_for(now), now - link.last_read))
                return
            # The loop may have been held up with the answer waiting in the socket: let it read once more.
            self._suspected = True
            self._timer = self._loop.call_later(0.001, self._beat)
            return
        self._suspected = False
        if verdict == "ping":
            wait = 0.0 if link.outgoing is None else link.outgoing.ping_delay()
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._beat)
                return
            payload = heartbeat.ping(now)
            # Behind what the server does not read it would get nowhere, and pings would pile up.
            if not link.is_full:
                self._send(heartbeat.config, payload)
        self._beat_at(heartbeat.next_wakeup())

    def _send(self, config: HeartbeatConfig, payload: bytes) -> None:
        if config.use_ws_ping:
            self._transport.write(self._connection.ping(payload))
        if config.use_application_ping:
            message = config.payload
            self._transport.write(self._connection.message(message, isinstance(message, bytes)))
