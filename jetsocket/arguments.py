"""What a Multiplex is given, checked by type and value before anything else happens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from .hot import Sequence
from .options import ConnectionOptions, Options, check_count, check_instance
from .protocol.timing import check_seconds
from .terms import Overflow, Terms

if TYPE_CHECKING:
    from .greeting import OnConnect
    from .target import AskedUri
    from .venue import Venue

# The queue of a plain WebSocket; here each subscription has its own.
NOT_HERE = ("buffer",)
_OWN = (
    "config",
    "venue",
    "channel_key",
    "channel_extractor",
    "subscribe_msg",
    "unsubscribe_msg",
    "queue_size",
    "max_bytes",
    "overflow",
    "sequence",
    "data_timeout",
    "on_connect",
)


@dataclass(frozen=True)
class MultiplexConfig:
    """How a Multiplex routes. Where one is given, it wins over the keywords of the same meaning.

    `channel_extractor`: the channel of a decoded message, or None. `subscribe_message`, `unsubscribe_message`: the
    message to send for a channel; None sends none. `queue_size`: messages, 0 for no bound; ValueError if negative.
    """

    channel_extractor: Callable[[Any], str | None]
    subscribe_message: Callable[[str], Any] | None = None
    unsubscribe_message: Callable[[str], Any] | None = None
    queue_size: int = 1000

    def __post_init__(self) -> None:
        check_plain("channel_extractor", self.channel_extractor, optional=False)
        check_plain("subscribe_message", self.subscribe_message)
        check_plain("unsubscribe_message", self.unsubscribe_message)
        check_count("queue_size", self.queue_size)


class MultiplexOptions(ConnectionOptions, total=False):
    """The keywords of `Multiplex`, which documents them."""

    venue: Venue | None
    channel_key: str | None
    channel_extractor: Callable[[Any], str | None] | None
    subscribe_msg: Callable[[str], Any] | None
    unsubscribe_msg: Callable[[str], Any] | None
    queue_size: int
    max_bytes: int
    overflow: Overflow
    sequence: str | Sequence | None
    data_timeout: float | None
    on_connect: OnConnect | None
    manager_kwargs: Mapping[str, Any] | None


class Arguments:
    """Those of one Multiplex."""

    uri: str | AskedUri | None = None
    config: MultiplexConfig | None = None
    venue: Venue | None = None
    channel_key: str | None = None
    channel_extractor: Callable[[Any], str | None] | None = None
    subscribe_msg: Callable[[str], Any] | None = None
    unsubscribe_msg: Callable[[str], Any] | None = None
    queue_size: int = 1000
    max_bytes: int = 0
    overflow: Overflow = "drop_oldest"
    sequence: str | Sequence | None = None
    data_timeout: float | None = None
    on_connect: OnConnect | None = None

    def __init__(self, options: Options, **given: Any) -> None:
        self.options = options
        vars(self).update(given)

    @classmethod
    def of(cls, own: Mapping[str, Any], connection: Mapping[str, Any]) -> Self:
        """Checked: `own` are a Multiplex's, `connection` those of its connection.

        Raises TypeError or ValueError, which names what is wrong.
        """
        given = {**(check_mapping(own["manager_kwargs"]) or {}), **connection}
        venue = own["venue"]
        if venue is not None:
            from .venue import Venue  # noqa: PLC0415  # a tenth of what importing jetsocket would cost

            check_instance("venue", venue, Venue)
            given = {"heartbeat": venue.heartbeat, "max_connection_age": venue.max_connection_age, **given}
        # First of all: a misspelt channel_key is not missing.
        options = Options.of("Multiplex", given, without=NOT_HERE, own=_OWN)
        arguments = cls(options, **{name: value for name, value in own.items() if name != "manager_kwargs"})
        arguments._check()
        return arguments

    def _check(self) -> None:
        config: object = self.config
        if config is not None and not isinstance(config, MultiplexConfig):
            raise TypeError(f"config must be a MultiplexConfig or None, got {type(config).__name__} {config!r}")
        if self.venue is not None:
            self._take_venue(self.venue)
        elif self.config is not None:
            self._take_config(self.config)
        elif self.channel_key is None and self.channel_extractor is None:
            text = "Multiplex needs venue, channel_key, channel_extractor or config, to find a message's channel"
            raise ValueError(text)
        elif self.channel_key is not None and self.channel_extractor is not None:
            raise ValueError("give channel_key or channel_extractor, not both: each finds the channel")
        if self.uri is None:
            raise TypeError("Multiplex needs uri, the address, or a venue, which has one")
        for name in ("channel_extractor", "subscribe_msg", "unsubscribe_msg"):
            check_plain(name, getattr(self, name))
        check_callable("on_connect", self.on_connect)
        if self.on_connect is not None:
            _check_takes_connection(self.on_connect)
        check_seconds("data_timeout", self.data_timeout, optional=True)
        # Checked by being made.
        self.terms  # noqa: B018
        if self.sequence is not None and self.channel_extractor is not None:
            raise ValueError("sequence needs channel_key: it is read from the raw bytes")

    def _take_venue(self, venue: Venue) -> None:
        for name in ("config", "channel_key", "channel_extractor", "subscribe_msg", "unsubscribe_msg"):
            if getattr(self, name) is not None:
                text = f"give venue or {name}, not both: the venue {venue.name} says how messages are routed"
                raise ValueError(text)
        self.channel_key = venue.channel_key
        if self.uri is None:
            self.uri = venue.uri
        if self.data_timeout is None:
            self.data_timeout = venue.data_timeout

    def _take_config(self, config: MultiplexConfig) -> None:
        self.channel_key, self.channel_extractor = None, config.channel_extractor
        self.subscribe_msg, self.unsubscribe_msg = config.subscribe_message, config.unsubscribe_message
        self.queue_size = config.queue_size

    @property
    def terms(self) -> Terms:
        """Those of a subscription that is not given its own; `sequence` is of the connection, checked like theirs."""
        return Terms(
            queue_size=self.queue_size, max_bytes=self.max_bytes, overflow=self.overflow, sequence=self.sequence
        )

    @property
    def sequence_of_connection(self) -> Sequence | None:
        """Numbers that run through all messages."""
        return self.terms.sequence_of_its_own()

    def key_of(self) -> Callable[[str], str | None] | None:
        """What data carry for a channel: None for its name, or a function, which gives None until that is learned."""
        if self.venue is None:
            return None
        return _unknown if self.venue.matching == "learned" else self.venue.route


def _unknown(channel: str) -> None:  # noqa: ARG001
    return None


def check_mapping(value: Any) -> Mapping[str, Any] | None:
    """TypeError unless it is None or a mapping."""
    check_instance("manager_kwargs", value, Mapping)
    checked: Mapping[str, Any] | None = value
    return checked


def check_callable(name: str, value: object, *, optional: bool = True) -> None:
    """TypeError unless `value` can be called, or is None where that is allowed."""
    if not callable(value) and not (optional and value is None):
        wanted = "callable or None" if optional else "callable"
        raise TypeError(f"{name} must be {wanted}, got {type(value).__name__} {value!r}")


def check_plain(name: str, value: object, *, optional: bool = True) -> None:
    """TypeError unless `value` is a function that can be called where nothing waits, or None where that is allowed."""
    check_callable(name, value, optional=optional)
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):  # noqa: B004
        raise TypeError(f"{name} must be a plain function, got an async one, {value!r}: nobody would await it")


def _check_takes_connection(hook: OnConnect) -> None:
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):
        # One that does not tell.
        return
    try:
        signature.bind(None)
    except TypeError:
        text = f"on_connect must take one argument, the connection; {hook!r} takes {signature}"
        raise TypeError(text) from None
