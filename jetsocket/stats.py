"""The frozen snapshots that `stats()` returns. New fields come at the end and have a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetsocket.protocol.states import ConnectionState


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """One connection, counted over all its reconnects.

    Times of day are seconds since the epoch, None for never. `uptime_seconds` and `connection_age_seconds`: since
    connect() first succeeded, and since the present socket was opened; 0.0 while there is none. Bytes are those on the
    wire, after TLS is taken off. `latency_ms`: the last ping's round trip, None before the first pong. `errors`:
    everything that was raised, reported or retried.
    """

    state: ConnectionState = ConnectionState.IDLE
    uptime_seconds: float = 0.0
    messages_sent: int = 0
    messages_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    reconnect_count: int = 0
    last_reconnect_at: float | None = None
    latency_ms: float | None = None
    latency_avg_ms: float | None = None
    last_message_at: float | None = None
    connection_age_seconds: float = 0.0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class MultiplexStats:
    """One Multiplex. At every moment:

    - data messages received = `total_messages_routed` + `unroutable_messages`
    - `total_messages_routed` + `total_messages_copied` = `total_messages_delivered` + `total_messages_queued` +
      `total_messages_dropped`

    A message of a channel that has several consumers with a queue each is routed once, and copied for each but one.
    `total_subscriptions` counts all that there ever were, `active_subscriptions` those that there are. `events`: how
    often each event happened, by its name.
    """

    total_subscriptions: int
    active_subscriptions: int
    total_messages_routed: int
    unroutable_messages: int
    connection_stats: ConnectionStats
    total_messages_dropped: int = 0
    total_messages_delivered: int = 0
    total_messages_queued: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    total_messages_copied: int = 0


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """One subscription: `messages_received` = `messages_delivered` + `queue_size` + `messages_dropped`.

    `queue_size` is what waits in the queue now, not its capacity.
    """

    channel: str
    messages_received: int = 0
    queue_size: int = 0
    is_active: bool = True
    messages_dropped: int = 0
    messages_delivered: int = 0
