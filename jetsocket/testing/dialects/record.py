"""What a loopback exchange has seen of its clients, for tests to look at."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from multidict import CIMultiDict


class Upgrade(NamedTuple):
    """One upgrade request. `time` is of `time.monotonic`, here and below; `status` is that of the answer."""

    time: float
    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    status: int


class Received(NamedTuple):
    """One message of a client, as it was received; bytes that are no UTF-8 replaced."""

    time: float
    connection: int
    text: str

    @property
    def message(self) -> Any:
        """The decoded JSON; None where it is none."""
        return decoded(self.text)


class Closing(NamedTuple):
    """How a connection ended.

    `by`: "client" or "server" sent the first close frame, "drop" was our cutting it, "lost" the client's.
    """

    time: float
    by: Literal["client", "server", "drop", "lost"]
    code: int | None = None
    reason: str = ""


@dataclass(slots=True, eq=False)
class Connection:
    """One connection's account; it goes on being there when the connection is gone."""

    number: int
    """1 for the first accepted."""
    opened: float
    upgrade: Upgrade
    requests: list[Received] = field(default_factory=list)
    subscribed: dict[str, None] = field(default_factory=dict)
    """The channels held now, or when it ended, in the order they were subscribed to."""
    sent: Counter[str] = field(default_factory=Counter)
    """Data messages, by channel."""
    pings: int = 0
    """Ping frames of the client."""
    pongs: int = 0
    """Pong frames of the client."""
    closing: Closing | None = None

    @property
    def channels(self) -> list[str]:
        return list(self.subscribed)


def decoded(text: str) -> Any:
    """The JSON, or None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
