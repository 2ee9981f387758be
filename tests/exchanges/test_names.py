from __future__ import annotations

import pytest

from jetsocket.exchanges.names import by_kind, kind_of, name, subject_of


@pytest.mark.parametrize(
    ("channel", "kind", "subject"),
    [
        ("trade:BTC/USD", "trade", "BTC/USD"),
        ("book:tBTCF0:USTF0", "book", "tBTCF0:USTF0"),
        ("heartbeats", "heartbeats", ""),
        (":BTC", "", "BTC"),
    ],
)
def test_a_channel_is_taken_apart_and_put_together(channel: str, kind: str, subject: str) -> None:
    assert (kind_of(channel), subject_of(channel)) == (kind, subject)
    assert name(kind, subject) == channel


def test_channels_of_a_kind_stand_together_in_their_order() -> None:
    channels = ["trade:b", "book:a", "trade:a", "heartbeats", "trade:b"]
    assert by_kind(channels) == {"trade": ["b", "a", "b"], "book": ["a"], "heartbeats": []}
