"""JetSocket: market data over WebSockets at high rates. See `Multiplex` and `WebSocket`."""

import logging as _logging
from typing import TYPE_CHECKING as _TYPE_CHECKING

from .arguments import MultiplexConfig
from .errors import (
    BufferOverflowError,
    CertificateError,
    CloseError,
    ConnectionError,
    DecodeError,
    HandshakeError,
    InvalidStateError,
    InvalidURIError,
    JetSocketError,
    MissingExtraError,
    ProtocolError,
    SubscriptionError,
    TimeoutError,
)
from .greeting import Greeting
from .hot import COMPILED, ChannelKey, Message, Sequence
from .multiplex import Multiplex
from .occurrences import Blocked, Gap, Notice, Replaced, Resubscribed, Silent, Stale, Stalled
from .options import BufferConfig
from .protocol.pacing import Window
from .protocol.states import ConnectionState
from .protocol.timing import BackoffConfig, HeartbeatConfig
from .running import run
from .stats import ConnectionStats, MultiplexStats, SubscriptionStats
from .subscribing import ManySubscribed
from .subscription import Listening, Subscription, SubscriptionGroup
from .version import __version__
from .websocket import WebSocket, connect

if _TYPE_CHECKING:
    from .venue import Reply, Venue
else:

    def __getattr__(name: str) -> object:
        # A tenth of what importing costs, and only whoever talks to an exchange by a venue needs it.
        if name in ("Reply", "Venue"):
            from . import venue  # noqa: PLC0415

            return getattr(venue, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), "Reply", "Venue"]


_logging.getLogger("jetsocket").addHandler(_logging.NullHandler())

__all__ = [
    "COMPILED",
    "BackoffConfig",
    "Blocked",
    "BufferConfig",
    "BufferOverflowError",
    "CertificateError",
    "ChannelKey",
    "CloseError",
    "ConnectionError",
    "ConnectionState",
    "ConnectionStats",
    "DecodeError",
    "Gap",
    "Greeting",
    "HandshakeError",
    "HeartbeatConfig",
    "InvalidStateError",
    "InvalidURIError",
    "JetSocketError",
    "Listening",
    "ManySubscribed",
    "Message",
    "MissingExtraError",
    "Multiplex",
    "MultiplexConfig",
    "MultiplexStats",
    "Notice",
    "ProtocolError",
    "Replaced",
    "Reply",
    "Resubscribed",
    "Sequence",
    "Silent",
    "Stale",
    "Stalled",
    "Subscription",
    "SubscriptionError",
    "SubscriptionGroup",
    "SubscriptionStats",
    "TimeoutError",
    "Venue",
    "WebSocket",
    "Window",
    "__version__",
    "connect",
    "run",
]
