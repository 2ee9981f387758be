"""Multiplex: many subscriptions over one connection, each with its own queue, all of them there again after a loss."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from .conversation import Conversation
from .decoding import Serializing, make_decoding
from .errors import InvalidStateError, SubscriptionError, TimeoutError
from .options import ConnectionOptions, Options, check_count, check_instance, option_parameters
from .protocol.states import ConnectionState
from .protocol.timing import check_timeout
from .registry import SPILL, Registry
from .reporting import report
from .session import Session
from .stats import MultiplexStats
from .venue import Venue

if TYPE_CHECKING:
    from types import TracebackType

    from .errors import JetSocketError
    from .greeting import OnConnect
    from .link import Link
    from .subscription import Subscription
    from .target import AskedUri

T = TypeVar("T")
M = TypeVar("M")

logger = logging.getLogger("jetsocket.subscriptions")

# The queue of a plain WebSocket; here each subscription has its own.
_NOT_HERE = ("buffer",)
_OWN = (
    "config",
    "venue",
    "channel_key",
    "channel_extractor",
    "subscribe_msg",
    "unsubscribe_msg",
    "queue_size",
    "on_connect",
)
EVENTS = ("resubscribed", "refused", "notice")


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
        _check_callable("channel_extractor", self.channel_extractor, optional=False)
        _check_callable("subscribe_message", self.subscribe_message)
        _check_callable("unsubscribe_message", self.unsubscribe_message)
        check_count("queue_size", self.queue_size)


class Multiplex(Generic[T]):
    """Many logical subscriptions over one WebSocket connection.

    ::

        async with Multiplex(
            exchange.uri,  # "wss://stream.binance.com:9443/stream"
            channel_key="stream",
            subscribe_msg=lambda channel: {"method": "SUBSCRIBE", "params": [channel], "id": 1},
        ) as mux:
            trades = await mux.subscribe("btcusdt@trade")
            async for trade in trades:
                print(trade)
                break

    `channel_key`: where the channel's name stands in a message (see `ChannelKey`), found in the raw bytes without
    parsing the rest. `channel_extractor(message)`: the slow way, a function of the decoded message; if it raises or
    gives no str, that message is unroutable, and the first time is an `error` event. `subscribe_msg(channel)`,
    `unsubscribe_msg(channel)`: what to send; None: nothing is sent. `queue_size`: of each subscription, in messages, 0
    for no bound; when a queue is full its oldest message is dropped, and counted. `manager_kwargs` and the other
    keywords are the connection's, as for `WebSocket`; `deserializer` and `message_type` apply to every subscription
    that is not given its own.

    An acknowledgement that carries the channel's path like data (OKX's `{"event":"subscribe","arg":{…}}`) is routed
    like data: skip it by its `event`, or decode with a type whose `data` is optional.

    Raises ValueError or TypeError for arguments that cannot be right, InvalidURIError for the address, before any input
    or output.
    """

    @overload
    def __init__(
        self: Multiplex[M],
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        *,
        message_type: type[M],
        venue: Venue | None = None,
        channel_key: str | None = None,
        channel_extractor: Callable[[Any], str | None] | None = None,
        subscribe_msg: Callable[[str], Any] | None = None,
        unsubscribe_msg: Callable[[str], Any] | None = None,
        queue_size: int = 1000,
        on_connect: OnConnect | None = None,
        manager_kwargs: Mapping[str, Any] | None = None,
        **ws_kwargs: Unpack[ConnectionOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Multiplex[M],
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        *,
        deserializer: Callable[[bytes], M],
        venue: Venue | None = None,
        channel_key: str | None = None,
        channel_extractor: Callable[[Any], str | None] | None = None,
        subscribe_msg: Callable[[str], Any] | None = None,
        unsubscribe_msg: Callable[[str], Any] | None = None,
        queue_size: int = 1000,
        on_connect: OnConnect | None = None,
        manager_kwargs: Mapping[str, Any] | None = None,
        **ws_kwargs: Unpack[ConnectionOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Multiplex[Any],
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        *,
        venue: Venue | None = None,
        channel_key: str | None = None,
        channel_extractor: Callable[[Any], str | None] | None = None,
        subscribe_msg: Callable[[str], Any] | None = None,
        unsubscribe_msg: Callable[[str], Any] | None = None,
        queue_size: int = 1000,
        on_connect: OnConnect | None = None,
        manager_kwargs: Mapping[str, Any] | None = None,
        **ws_kwargs: Unpack[ConnectionOptions],
    ) -> None: ...
    def __init__(
        self,
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        *,
        venue: Venue | None = None,
        channel_key: str | None = None,
        channel_extractor: Callable[[Any], str | None] | None = None,
        subscribe_msg: Callable[[str], Any] | None = None,
        unsubscribe_msg: Callable[[str], Any] | None = None,
        queue_size: int = 1000,
        on_connect: OnConnect | None = None,
        manager_kwargs: Mapping[str, Any] | None = None,
        **ws_kwargs: Any,
    ) -> None:
        check_instance("manager_kwargs", manager_kwargs, Mapping)
        check_instance("venue", venue, Venue)
        # First of all: a misspelt channel_key is not missing.
        given = {**(manager_kwargs or {}), **ws_kwargs}
        if venue is not None:
            given = {"heartbeat": venue.heartbeat, "max_connection_age": venue.max_connection_age, **given}
        options = Options.of("Multiplex", given, without=_NOT_HERE, own=_OWN)
        if venue is not None:
            _check_alone(
                venue,
                config=config,
                channel_key=channel_key,
                channel_extractor=channel_extractor,
                subscribe_msg=subscribe_msg,
                unsubscribe_msg=unsubscribe_msg,
            )
            channel_key = venue.channel_key
        elif config is not None:
            if not isinstance(config, MultiplexConfig):
                raise TypeError(f"config must be a MultiplexConfig or None, got {type(config).__name__} {config!r}")
            channel_key, channel_extractor = None, config.channel_extractor
            subscribe_msg, unsubscribe_msg = config.subscribe_message, config.unsubscribe_message
            queue_size = config.queue_size
        elif channel_key is None and channel_extractor is None:
            text = "Multiplex needs venue, channel_key, channel_extractor or config, to find a message's channel"
            raise ValueError(text)
        elif channel_key is not None and channel_extractor is not None:
            raise ValueError("give channel_key or channel_extractor, not both: each finds the channel")
        _check_callable("channel_extractor", channel_extractor)
        _check_callable("subscribe_msg", subscribe_msg)
        _check_callable("unsubscribe_msg", unsubscribe_msg)
        _check_callable("on_connect", on_connect)
        check_count("queue_size", queue_size)
        if uri is None:
            if venue is None:
                raise TypeError("Multiplex needs uri, the address, or a venue that has one")
            uri = venue.uri
        self._decoding = make_decoding(options.deserializer, options.message_type)
        self._serialize = Serializing(options.serializer)
        self._reported = False
        heartbeat = options.heartbeat_config
        self._pong_matcher = None if heartbeat is None else heartbeat.pong_matcher
        talks = venue is not None or on_connect is not None
        self._registry = Registry(
            channel_key=channel_key,
            channel_extractor=channel_extractor,
            subscribe_msg=subscribe_msg,
            unsubscribe_msg=unsubscribe_msg,
            queue_size=queue_size,
            decoding=self._decoding,
            serialize=self._serialize,
            on_trouble=self._report,
            on_unroutable=self._on_unroutable if talks or self._pong_matcher is not None else None,
            spill=0 if venue is not None else SPILL,
            route=None if venue is None else _routing(venue),
        )
        self._conversation = Conversation(venue, self._serialize, self._registry, self, on_connect)
        self._reconciler = self._conversation.reconciler
        self._session = Session(
            uri,
            options,
            self._registry.sink,
            count_messages=self._registry.count,
            on_open=self._on_open,
            on_end=self._on_end,
            on_lost=self._conversation.lost,
            greet=self._conversation.greet if talks else None,
            connect_pace=() if venue is None else venue.connect_pace,
            events=EVENTS,
        )

    def __repr__(self) -> str:
        count = len(self._registry.subscriptions)
        return f"Multiplex(uri={self.uri!r}, state={self.state.value}, subscriptions={count})"

    # State.

    @property
    def uri(self) -> str:
        """The address, without user information."""
        return self._session.address.safe

    @property
    def is_connected(self) -> bool:
        """Whether a message can be sent now."""
        return self._session.is_connected

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands; IDLE before `connect()`."""
        return self._session.state

    @property
    def latency_ms(self) -> float | None:
        """The last ping's round trip in milliseconds; None before the first."""
        latency = self._session.latency
        return None if latency is None else latency * 1000

    def get_subscription(self, channel: str) -> Subscription[T] | None:
        """The subscription to `channel`, or None."""
        return self._registry.subscriptions.get(channel)

    def list_subscriptions(self) -> list[str]:
        """The names of the channels that are subscribed to."""
        return list(self._registry.subscriptions)

    def stats(self) -> MultiplexStats:
        """A snapshot; messages of closed subscriptions that nobody can read any more count as dropped."""
        registry = self._registry
        totals = registry.totals()
        return MultiplexStats(
            total_subscriptions=registry.created,
            active_subscriptions=len(registry.subscriptions),
            total_messages_routed=registry.routed,
            unroutable_messages=registry.unroutable,
            connection_stats=self._session.stats(),
            total_messages_dropped=totals.dropped,
            total_messages_delivered=totals.delivered,
            total_messages_queued=totals.queued,
        )

    @overload
    def on(self, event: str, handler: Callable[..., Any]) -> Callable[..., Any]: ...
    @overload
    def on(self, event: str, handler: None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
    def on(self, event: str, handler: Any = None) -> Any:
        """Call `handler` at each `event`; without a handler, be its decorator. Events: as `WebSocket.on()` has them."""
        return self._session.events.on(event, handler)

    # Life.

    async def connect(self, timeout: float | None = None) -> None:
        """Connect. One attempt; with `timeout`, as many as fit into so many seconds, by the back-off.

        Raises InvalidStateError if connected or closed, ConnectionError and its kinds, TimeoutError.
        """
        await self._session.connect(timeout)
        self._registry.reopen()

    async def close(self) -> None:
        """Close for ever, within `close_timeout` seconds. Idempotent. Waiting consumers end; queues can be read out."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _on_open(self, link: Link, again: bool) -> None:
        """A connection is open: ask on it for all that is wanted."""
        if self._reconciler is not None:
            self._conversation.opened(link, again)
            return
        asked = self._registry.ask_all(link)
        if again:
            logger.info("%s: subscribed again, to %s", link.address, "1 channel" if asked == 1 else f"{asked} channels")

    def _on_end(self, error: JetSocketError | None) -> None:
        self._conversation.end(error)
        self._registry.end(error)

    def emit(self, event: str, *facts: Any) -> None:
        """Call the handlers of `event`."""
        self._session.events.emit(event, *facts)

    def replace_connection(self, why: str) -> None:
        """Go on with a new connection at once; `why` ends the sentence that says so."""
        self._session.replace(why)

    def on_application_pong(self) -> None:
        """A message came that answers an application ping."""
        link = self._session.link
        if link is not None:
            link.on_application_pong()

    # Subscriptions.

    @overload
    async def subscribe(self, channel: str, *, timeout: float | None = None) -> Subscription[T]: ...
    @overload
    async def subscribe(
        self, channel: str, *, timeout: float | None = None, message_type: type[M]
    ) -> Subscription[M]: ...
    @overload
    async def subscribe(
        self, channel: str, *, timeout: float | None = None, deserializer: Callable[[bytes], M]
    ) -> Subscription[M]: ...
    async def subscribe(
        self,
        channel: str,
        *,
        timeout: float | None = None,
        deserializer: Callable[[bytes], Any] | None = None,
        message_type: Any = None,
    ) -> Subscription[Any]:
        """Subscribe to `channel`; one that is subscribed to is returned as it is.

        While the connection is being made again this waits for it, `timeout` seconds at most (None: no limit). If it
        fails or is cancelled nothing stays registered. `deserializer`, `message_type`: for this channel alone.

        Raises InvalidStateError before `connect()` and after `close()`, TimeoutError, TypeError for what
        `subscribe_msg` gave that cannot be serialised, and the connection's error if that is lost for good meanwhile.
        """
        if not isinstance(channel, str):
            raise TypeError(f"channel must be a str, got {type(channel).__name__} {channel!r}")
        check_timeout(timeout)
        registry = self._registry
        subscription = registry.subscriptions.get(channel)
        if subscription is not None and subscription.established:
            return subscription
        if self.state is ConnectionState.IDLE or self.state is ConnectionState.CLOSED:
            raise self._session.unusable("subscribe")
        if subscription is None:
            decoding = None
            if deserializer is not None or message_type is not None:
                decoding = make_decoding(deserializer, message_type)
            subscription = registry.create(channel, decoding, self._close_subscription)
        subscription.askers += 1
        try:
            async with asyncio.timeout(timeout):
                await self._establish(subscription)
        except BaseException as error:
            if subscription.askers == 1 and not subscription.established:
                self._withdraw(subscription, error)
            if isinstance(error, builtins.TimeoutError) and not isinstance(error, TimeoutError):
                raise TimeoutError(timeout, f"subscribe {channel!r}") from None
            raise
        finally:
            subscription.askers -= 1
        return subscription

    def _withdraw(self, subscription: Subscription[Any], error: BaseException | None = None) -> bool:
        """End it; whether a message was sent for that. What was refused stays so, until it is asked for again."""
        if self._reconciler is None:
            return self._registry.withdraw(subscription, self._session.link)
        self._registry.forget(subscription, None)
        if not isinstance(error, SubscriptionError):
            self._reconciler.unwant(subscription.channel)
        return False

    async def _establish(self, subscription: Subscription[Any]) -> None:
        if self._reconciler is not None:
            self._reconciler.want(subscription.channel)
            await self._session.opened("subscribe")
            await self._reconciler.settled(subscription.channel)
            subscription.established = True
            return
        while True:
            link = await self._session.opened("subscribe")
            # Who gives up waiting for room, and tries again, must not pile up requests.
            await link.drain()
            if not link.is_open:
                continue
            if not self._registry.has(subscription):
                text = f"cannot subscribe: channel {subscription.channel!r} was unsubscribed meanwhile"
                raise InvalidStateError("closed", "open", "subscribe", text)
            self._registry.ask(subscription, link)
            await link.drain()
            # A connection that was lost before the message got out is made again, and asked again.
            if link.is_open:
                subscription.established = True
                return

    async def unsubscribe(self, channel: str) -> bool:
        """End the subscription to `channel`; True if there was one. What was queued can still be read.

        Works while disconnected: the channel is then not asked for again.
        """
        subscription = self._registry.subscriptions.get(channel)
        if subscription is None:
            return False
        link = self._session.link
        if self._withdraw(subscription) and link is not None:
            await link.drain()
        return True

    async def send(self, message: Any) -> None:
        """Send any other message (a login, a query): `str` as text, `bytes` as binary, the rest serialised.

        Raises InvalidStateError unless connected, TypeError for what cannot be serialised.
        """
        payload, binary = self._serialize(message)
        if self._session.is_connected:
            await self._conversation.outgoing.turn()
        await self._session.send(payload, binary)

    async def ping(self, timeout: float | None = None) -> float:
        """Send a ping and wait for its pong: the round trip in seconds. TimeoutError after `timeout` seconds."""
        return await self._session.ping(timeout)

    async def _close_subscription(self, subscription: Subscription[Any]) -> None:
        if self._registry.has(subscription):
            await self.unsubscribe(subscription.channel)

    def _on_unroutable(self, payload: bytes) -> None:
        try:
            if self._pong_matcher is not None and self._pong_matcher(payload):
                self.on_application_pong()
                return
        except Exception as error:  # noqa: BLE001  # the user's function: no connection is lost by it
            self._report(error)
        self._conversation.on_message(payload)

    def _report(self, error: Exception) -> None:
        """A function of the user's failed on a message: the first time is told, the counters tell the rest."""
        if not self._reported:
            self._reported = True
            report(logger, logging.WARNING, error, f"{self.uri}: a message could not be routed")
            self._session.events.emit("error", error)


def _check_alone(venue: Venue, **others: object) -> None:
    """A venue says all of it."""
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"give venue or {name}, not both: the venue {venue.name} says how messages are routed")


def _routing(venue: Venue) -> Callable[[str], str | None]:
    """What data carry for a channel, until an exchange has told it."""
    if venue.matching == "learned":
        return lambda channel: None  # noqa: ARG005
    return venue.route or str


def _check_callable(name: str, value: object, *, optional: bool = True) -> None:
    if not callable(value) and not (optional and value is None):
        wanted = "callable or None" if optional else "callable"
        raise TypeError(f"{name} must be {wanted}, got {type(value).__name__} {value!r}")


def _signature() -> inspect.Signature:
    own = [p for p in inspect.signature(Multiplex.__init__).parameters.values() if p.name not in ("self", "ws_kwargs")]
    return inspect.Signature([*own, *option_parameters(_NOT_HERE)])


Multiplex.__signature__ = _signature()  # type: ignore[attr-defined]
