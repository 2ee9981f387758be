"""The laws of a Multiplex's statistics, which hold at every moment."""

from __future__ import annotations

from typing import Any

from jetsocket import Multiplex, MultiplexStats, Subscription


def balanced(mux: Multiplex[Any], *subscriptions: Subscription[Any]) -> MultiplexStats:
    """The statistics, in which nothing is missing, nor in those of `subscriptions`."""
    stats = mux.stats()
    assert stats.connection_stats.messages_received == stats.total_messages_routed + stats.unroutable_messages
    assert stats.total_messages_routed + stats.total_messages_copied == (
        stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
    )
    for subscription in subscriptions:
        own = subscription.stats()
        assert own.messages_received == own.messages_delivered + own.queue_size + own.messages_dropped
    return stats
