from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from jetsocket.protocol.states import ConnectionState
from jetsocket.stats import ConnectionStats, MultiplexStats, SubscriptionStats


def test_the_fields_are_those_that_users_know_in_their_order():
    assert [field.name for field in fields(SubscriptionStats)][:5] == [
        "channel",
        "messages_received",
        "queue_size",
        "is_active",
        "messages_dropped",
    ]
    assert [field.name for field in fields(MultiplexStats)][:6] == [
        "total_subscriptions",
        "active_subscriptions",
        "total_messages_routed",
        "unroutable_messages",
        "connection_stats",
        "total_messages_dropped",
    ]
    assert [field.name for field in fields(ConnectionStats)] == [
        "state",
        "uptime_seconds",
        "messages_sent",
        "messages_received",
        "bytes_sent",
        "bytes_received",
        "reconnect_count",
        "last_reconnect_at",
        "latency_ms",
        "latency_avg_ms",
        "last_message_at",
        "connection_age_seconds",
        "errors",
    ]


def test_defaults():
    stats = SubscriptionStats("btcusdt@trade")
    assert (stats.messages_received, stats.queue_size, stats.is_active, stats.messages_dropped) == (0, 0, True, 0)
    assert ConnectionStats().state is ConnectionState.IDLE


@pytest.mark.parametrize(
    "stats", [SubscriptionStats("x"), ConnectionStats(), MultiplexStats(0, 0, 0, 0, ConnectionStats())]
)
def test_a_snapshot_is_frozen_and_small(stats):
    with pytest.raises(FrozenInstanceError):
        setattr(stats, fields(stats)[0].name, 1)
    assert not hasattr(stats, "__dict__")
