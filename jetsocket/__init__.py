"""JetSocket: market data over WebSockets at high rates. See `Multiplex` and `WebSocket`."""

import logging as _logging

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
from .hot import COMPILED, ChannelKey, Message
from .multiplex import Multiplex, MultiplexConfig
from .options import BufferConfig
from .protocol.states import ConnectionState
from .protocol.timing import BackoffConfig, HeartbeatConfig
from .running import run
from .stats import ConnectionStats, MultiplexStats, SubscriptionStats
from .subscription import Listening, Subscription
from .version import __version__
from .websocket import WebSocket, connect

_logging.getLogger("jetsocket").addHandler(_logging.NullHandler())

__all__ = [
    "COMPILED",
    "BackoffConfig",
    "BufferConfig",
    "BufferOverflowError",
    "CertificateError",
    "ChannelKey",
    "CloseError",
    "ConnectionError",
    "ConnectionState",
    "ConnectionStats",
    "DecodeError",
    "HandshakeError",
    "HeartbeatConfig",
    "InvalidStateError",
    "InvalidURIError",
    "JetSocketError",
    "Listening",
    "Message",
    "MissingExtraError",
    "Multiplex",
    "MultiplexConfig",
    "MultiplexStats",
    "ProtocolError",
    "Subscription",
    "SubscriptionError",
    "SubscriptionStats",
    "TimeoutError",
    "WebSocket",
    "__version__",
    "connect",
    "run",
]
