"""What the exchanges' ways of speaking have in common, seen from a loopback server."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from .faults import Refusal
from .limits import Limits

if TYPE_CHECKING:
    from .peer import VenuePeer

# A text is sent as it is, the rest as JSON.
Message = dict[str, Any] | list[Any] | str
Kind = Literal["subscribe", "unsubscribe", "login", "other"]


class Ask(NamedTuple):
    """A client's message, understood. `request` is the decoded JSON, `text` the message itself."""

    kind: Kind
    channels: tuple[str, ...]
    request: Any
    text: str


class Dialect(ABC):
    """How one exchange speaks: requests in, answers and data out. It keeps nothing: what is to be kept, a peer keeps.

    Data frames carry the channel's running number where the exchange numbers its data; where it does not, the price is
    that number.
    """

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    """Where it is served; the first is where clients are sent."""
    limits: ClassVar[Limits]
    """Those of the real exchange, as documented."""
    notices: ClassVar[tuple[str, ...]] = ()
    """The kinds of notice that it knows: "maintenance", "reconnect", "resumed"."""
    has_login: ClassVar[bool] = False
    full_refusal: ClassVar[Refusal | None] = None
    """How a channel too many is refused; None: the connection is closed, as for every other broken limit."""
    too_much: ClassVar[Message | None] = None
    """What is said before the connection is closed for too many messages."""

    def channel_of(self, name: str) -> str:
        """What a connection that follows `name` is subscribed to."""
        return name

    def at_connect(self, query: Mapping[str, str]) -> list[str]:  # noqa: ARG002
        """The channels that the address itself asks for."""
        return []

    def welcome(self, peer: VenuePeer) -> list[Message]:  # noqa: ARG002
        return []

    @abstractmethod
    def read(self, text: str, peer: VenuePeer) -> Ask:
        """What a message asks for."""

    @abstractmethod
    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        """Does what is asked, unless that is refused, and says so."""

    @abstractmethod
    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:
        """The message of this number."""

    def has_data(self, channel: str) -> bool:  # noqa: ARG002
        """Whether a stream is to send something to it."""
        return True

    def revoke(self, channel: str, peer: VenuePeer) -> list[Message]:
        """Ends a subscription as the exchange does by itself; what it says of it."""
        peer.leave(channel)
        return []

    def notice(self, kind: str, peer: VenuePeer) -> Message:
        """One of `notices`."""
        raise NotImplementedError

    def heartbeat(self, channel: str | None, peer: VenuePeer) -> list[Message]:  # noqa: ARG002
        """Signs of life in text: of one channel, of all, or of the connection."""
        raise ValueError(f"{self.name} sends no heartbeats of its own")

    def encode(self, message: Message, peer: VenuePeer) -> str:  # noqa: ARG002
        """The text that goes out now on this connection."""
        return message if isinstance(message, str) else json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def milliseconds() -> int:
    """Since the epoch."""
    return time.time_ns() // 1_000_000


def timestamp() -> str:
    """Now, as RFC 3339 with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def texts(value: Any) -> tuple[str, ...] | None:
    """A JSON list of texts as a tuple; None where it is none."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None
