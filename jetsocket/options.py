"""The options of a connection, checked by type and value before anything else happens."""

from __future__ import annotations

import inspect
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, TypedDict

from .hot.ring_py import OVERFLOW_POLICIES
from .protocol import failures
from .protocol.headers import check_headers, check_subprotocols
from .protocol.timing import BackoffConfig, HeartbeatConfig, check_seconds, heartbeat_config
from .protocol.tunnel import check_proxy

Headers = Mapping[str, str] | Sequence[tuple[str, str]]
# Asked anew for each connection.
AskedHeaders = Callable[[], "Headers | Awaitable[Headers]"]
Overflow = Literal["block", "drop_oldest", "drop_newest"]

DEFAULT_MAX_MESSAGE_SIZE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class BufferConfig:
    """The receive queue of a plain WebSocket.

    `capacity` in messages and `max_bytes` in payload bytes, 0 for no bound. `overflow_policy`, when it is full: "block"
    stops reading from the socket until there is room, so that nothing is lost; "drop_oldest" and "drop_newest" drop,
    and count.
    """

    capacity: int = 10_000
    overflow_policy: Overflow = "block"
    max_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        check_count("buffer capacity", self.capacity)
        check_count("buffer max_bytes", self.max_bytes)
        if self.overflow_policy not in OVERFLOW_POLICIES:
            known = ", ".join(OVERFLOW_POLICIES)
            raise ValueError(f"buffer overflow_policy must be one of {known}, got {self.overflow_policy!r}")


class ConnectionOptions(TypedDict, total=False):
    """The keywords that `WebSocket`, `Multiplex` and `connect` share; `Options` documents them."""

    reconnect: bool
    backoff: BackoffConfig | None
    max_connection_age: float | None
    heartbeat: float | HeartbeatConfig | None
    serializer: Callable[[Any], str | bytes] | None
    ssl_context: ssl_module.SSLContext | None
    extra_headers: Headers | AskedHeaders | None
    subprotocols: Sequence[str] | None
    compress: bool
    compression_threshold: int
    connect_timeout: float
    close_timeout: float
    max_message_size: int
    proxy: str | bool | None


class WebSocketOptions(ConnectionOptions, total=False):
    """Those of a plain WebSocket."""

    buffer: int | BufferConfig | None


@dataclass(frozen=True, slots=True, repr=False)
class Options:
    """The options of a connection. Times are in seconds, sizes in bytes.

    - `reconnect`: connect again after the connection was lost, by `backoff`.
    - `max_connection_age`: replace the connection when it is that old; None: never.
    - `heartbeat`: seconds between pings, or a `HeartbeatConfig`; None: none are sent, and a server that is gone without
      a word is not noticed.
    - `buffer`: the receive queue, its capacity in messages or a `BufferConfig`.
    - `serializer`: of what `send` is given (default: JSON). `deserializer`: `Callable[[bytes], T]`; `bytes` and `str`
      stand for the payload as it is and for its text (default: JSON). `message_type`: decode into that type instead.
    - `ssl_context`: for wss:// alone; the default verifies the server's certificate and name. A redirect from ws:// to
      wss:// is followed with the default.
    - `extra_headers`, `subprotocols`: of the upgrade request. The headers may be a function, plain or async, asked anew
      for each connection (a signature, a token). To another origin a redirect takes User-Agent and Origin along, and
      none of the other headers, nor the address's user information: they may be secrets.
    - `compress`: offer permessage-deflate; messages of at least `compression_threshold` bytes are sent compressed.
    - `connect_timeout`: of one attempt, from resolving to the answered upgrade, and of `on_connect`. `close_timeout`:
      of `close()`.
    - `max_message_size`: after reassembly and inflation; 0: no limit.
    - `proxy`: an http://, socks4://, socks4a://, socks5:// or socks5h:// address, which may hold a user name and a
      password; True: what `https_proxy`, `wss_proxy`, `all_proxy` and `no_proxy` say; None: none. Host names are
      resolved by the proxy, where its protocol can (all but socks4).
    """

    reconnect: bool = True
    backoff: BackoffConfig | None = None
    max_connection_age: float | None = None
    heartbeat: float | HeartbeatConfig | None = None
    buffer: int | BufferConfig | None = None
    serializer: Callable[[Any], str | bytes] | None = None
    deserializer: Callable[[bytes], Any] | None = None
    message_type: Any = None
    ssl_context: ssl_module.SSLContext | None = None
    extra_headers: Headers | AskedHeaders | None = None
    subprotocols: Sequence[str] | None = None
    compress: bool = True
    compression_threshold: int = 128
    connect_timeout: float = 10.0
    close_timeout: float = 5.0
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    proxy: str | bool | None = None

    def __post_init__(self) -> None:
        check_flag("reconnect", self.reconnect)
        check_flag("compress", self.compress)
        check_instance("backoff", self.backoff, BackoffConfig)
        check_instance("ssl_context", self.ssl_context, ssl_module.SSLContext)
        check_seconds("max_connection_age", self.max_connection_age, optional=True)
        check_seconds("connect_timeout", self.connect_timeout)
        check_seconds("close_timeout", self.close_timeout)
        heartbeat_config(self.heartbeat)
        check_count("compression_threshold", self.compression_threshold)
        check_count("max_message_size", self.max_message_size)
        # Kept as they were checked: an iterator would be spent, a mapping may change.
        if not callable(self.extra_headers):
            object.__setattr__(self, "extra_headers", check_headers(self.extra_headers))
        object.__setattr__(self, "subprotocols", check_subprotocols(self.subprotocols))
        if self.buffer is not None and not isinstance(self.buffer, BufferConfig):
            check_count("buffer", self.buffer)
        if self.proxy is not None and not isinstance(self.proxy, (str, bool)):
            # Not what it is: the bytes of an address hold its password, too.
            raise TypeError(f"proxy must be an address, True or None, got {type(self.proxy).__name__}")
        if isinstance(self.proxy, str):
            check_proxy(self.proxy)

    @classmethod
    def of(
        cls, function: str, given: Mapping[str, Any], without: tuple[str, ...] = (), own: tuple[str, ...] = ()
    ) -> Options:
        """The options `given` to `function` (the user's call, for errors). TypeError for one that it has not.

        `own`: the keywords that it has besides, of which one may be meant.
        """
        check_names(function, given, without, own)
        return cls(**given)

    @property
    def headers(self) -> Headers | None:
        """Those of `extra_headers` that are known; none where a function is to be asked for them."""
        return None if callable(self.extra_headers) else self.extra_headers

    @property
    def backoff_config(self) -> BackoffConfig:
        return self.backoff or BackoffConfig()

    @property
    def heartbeat_config(self) -> HeartbeatConfig | None:
        return heartbeat_config(self.heartbeat)

    @property
    def buffer_config(self) -> BufferConfig:
        if isinstance(self.buffer, BufferConfig):
            return self.buffer
        return BufferConfig() if self.buffer is None else BufferConfig(capacity=self.buffer)


def option_parameters(without: tuple[str, ...] = ()) -> list[inspect.Parameter]:
    """The options as keyword-only parameters, for the signatures that `help()` shows."""
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in fields(Options)
        if field.name not in without
    ]


def check_names(function: str, given: Iterable[str], without: tuple[str, ...] = (), own: tuple[str, ...] = ()) -> None:
    """TypeError, in the name of the user's call, for a keyword that is no option."""
    known = [field.name for field in fields(Options) if field.name not in without]
    for name in given:
        if name not in known:
            raise failures.unknown_option(function, name, [*known, *own])


def check_flag(name: str, value: object) -> None:
    """TypeError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__} {value!r}")


def check_instance(name: str, value: object, kind: type) -> None:
    """TypeError unless `value` is None or of `kind`."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} must be of {kind.__name__} or None, got {type(value).__name__} {value!r}")


def check_count(name: str, value: object) -> None:
    """TypeError or ValueError unless `value` is a whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__} {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be non-negative, got {value}")
