"""What a session's connections came to, the one that is open and those that are gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .stats import ConnectionStats

if TYPE_CHECKING:
    from .link import Link
    from .protocol.states import ConnectionState


class Meter:
    """Adds up the links of one session."""

    def __init__(self) -> None:
        self.errors = 0
        self.reconnects = 0
        self.last_reconnect_at: float | None = None
        self.first_opened_at: float | None = None
        self.closed_at: float | None = None
        self._sent = 0
        self._bytes_sent = 0
        self._bytes_received = 0
        self._latency: float | None = None
        self._latencies = 0
        self._latency_sum = 0.0
        self._last_read_at: float | None = None

    def opened(self) -> bool:
        """A connection is open; whether there was one before."""
        again = self.first_opened_at is not None
        if not again:
            self.first_opened_at = time.monotonic()
        self.closed_at = None
        return again

    def reconnected(self) -> None:
        """A lost connection was made again."""
        self.reconnects += 1
        self.last_reconnect_at = time.time()

    def ended(self) -> None:
        """There will be no connection any more."""
        if self.closed_at is None:
            self.closed_at = time.monotonic()

    def retire(self, link: Link) -> None:
        """Keep what a link that is gone had counted."""
        self._sent += link.connection.messages_sent
        self._bytes_sent += link.connection.bytes_sent
        self._bytes_received += link.connection.decoder.bytes_received
        self._latency = self.latency(link)
        self._latencies += link.pulse.latencies
        self._latency_sum += link.pulse.latency_sum
        self._last_read_at = self._read_at(link)

    def latency(self, link: Link | None) -> float | None:
        """The last round trip in seconds; `link` is the open connection."""
        return self._latency if link is None or link.pulse.latency is None else link.pulse.latency

    def _read_at(self, link: Link | None) -> float | None:
        """When something was last received, in seconds since the epoch."""
        ago = None if link is None else link.since_message()
        return self._last_read_at if ago is None else time.time() - ago

    def uptime(self) -> float:
        """Seconds since the first connection was open, until the end."""
        if self.first_opened_at is None:
            return 0.0
        return (self.closed_at or time.monotonic()) - self.first_opened_at

    def stats(self, link: Link | None, state: ConnectionState, messages: int) -> ConnectionStats:
        """A snapshot; `messages` is the number of those received."""
        sent, bytes_sent, bytes_received = self._sent, self._bytes_sent, self._bytes_received
        latencies, latency_sum, latency = self._latencies, self._latency_sum, self.latency(link)
        if link is not None:
            sent += link.connection.messages_sent
            bytes_sent += link.connection.bytes_sent
            bytes_received += link.connection.decoder.bytes_received
            latencies += link.pulse.latencies
            latency_sum += link.pulse.latency_sum
        return ConnectionStats(
            state=state,
            uptime_seconds=self.uptime(),
            messages_sent=sent,
            messages_received=messages,
            bytes_sent=bytes_sent,
            bytes_received=bytes_received,
            reconnect_count=self.reconnects,
            last_reconnect_at=self.last_reconnect_at,
            latency_ms=None if latency is None else latency * 1000,
            latency_avg_ms=latency_sum / latencies * 1000 if latencies else None,
            last_message_at=self._read_at(link),
            connection_age_seconds=0.0 if link is None else link.age,
            errors=self.errors,
        )
