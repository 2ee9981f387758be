"""What the embedded exchange did, for comparing with what a client saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Request(NamedTuple):
    """One message from a client. `connection`: its number, 1 for the first accepted."""

    connection: int
    message: Any
    """The decoded JSON; None where it is none."""
    text: str
    """As received; bytes that are no UTF-8 replaced."""


@dataclass(frozen=True, slots=True)
class Account:
    """A snapshot. A message sent to two clients counts twice; one in flight when its connection was dropped counts."""

    channels: dict[str, int]
    """Data messages sent for each channel, published ones included."""
    messages: int
    """Data messages sent in all; a replayed run counts here only."""
    answers: int
    """Answers to requests."""
    injected: int
    """What `send_text`, `send_raw` and `send_garbage` sent."""
    accepted: int
    """Connections accepted so far."""
    refused: int
    """Handshakes refused."""
    requests: int
    """Messages received from clients."""
    subscribes: int
    """Channels that clients subscribed to, repetitions included."""
    unsubscribes: int
    pings: int
    """Ping frames received."""
    subscribed: dict[int, list[str]]
    """The channels of each open connection, by its number."""

    @property
    def total(self) -> int:
        """Everything that a client receives as a message."""
        return self.messages + self.answers + self.injected


@dataclass(slots=True)
class Ledger:
    """The running counts behind `Account`."""

    channels: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    answers: int = 0
    injected: int = 0
    accepted: int = 0
    refused: int = 0
    requests: list[Request] = field(default_factory=list)
    subscribes: int = 0
    unsubscribes: int = 0
    pings: int = 0

    def count(self, channels: Sequence[str]) -> None:
        """`channels`: the channel of each data message sent."""
        self.channels.update(channels)
        self.messages += len(channels)

    def snapshot(self, subscribed: dict[int, list[str]]) -> Account:
        return Account(
            dict(self.channels),
            self.messages,
            self.answers,
            self.injected,
            self.accepted,
            self.refused,
            len(self.requests),
            self.subscribes,
            self.unsubscribes,
            self.pings,
            subscribed,
        )
