"""Multiplex: many subscriptions over one connection, each with its own queue, all of them there again after a loss."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from .arguments import NOT_HERE, Arguments, MultiplexConfig, MultiplexOptions
from .conversation import Conversation
from .decoding import Serializing, make_decoding
from .errors import SubscriptionError
from .occurrences import Blocked, Gap, Notice, Replaced, Resubscribed, Silent, Stale
from .options import check_count, option_parameters
from .protocol import failures
from .protocol.states import ConnectionState
from .registry import Registry
from .reporting import report
from .session import EVENTS as SESSION_EVENTS
from .session import Session
from .stats import MultiplexStats
from .subscribing import ManySubscribed, Subscribing
from .terms import TermOptions, Terms
from .watching import Watching

if TYPE_CHECKING:
    from types import TracebackType

    from .decoding import Decoding
    from .errors import JetSocketError
    from .greeting import OnConnect
    from .hot import Sequence
    from .link import Link
    from .subscription import Subscription, SubscriptionGroup
    from .target import AskedUri
    from .terms import Overflow
    from .venue import Venue

T = TypeVar("T")
M = TypeVar("M")
F = TypeVar("F")

logger = logging.getLogger("jetsocket.subscriptions")

# Messages without a channel that wait to be looked at for application pongs.
_SPILL = 1000

_EVENT_OF: dict[type, str] = {
    Resubscribed: "resubscribed",
    SubscriptionError: "refused",
    Notice: "notice",
    Gap: "gap",
    Stale: "stale",
    Silent: "silent",
    Blocked: "blocked",
    Replaced: "replaced",
}
EVENTS = tuple(name for name in _EVENT_OF.values() if name not in SESSION_EVENTS)


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

    How messages are routed, one of:

    - `venue`: a `Venue`, such as `jetsocket.exchanges.BINANCE`: subscriptions are confirmed by the server, and what is
      sent keeps the exchange's pace. `uri`, `heartbeat`, `max_connection_age` and `data_timeout` are the venue's where
      they are not given.
    - `channel_key`: where the channel's name stands in a message (see `ChannelKey`), found in the raw bytes without
      parsing the rest. `channel_extractor(message)`: the slow way, a function of the decoded message; if it raises or
      gives no str, that message is unroutable, and the first time is an `error` event. With either of them,
      `subscribe_msg(channel)` and `unsubscribe_msg(channel)` are what to send; None: nothing is sent.

    `uri` may be a function, plain or async, that is asked before each attempt to connect. `queue_size` (messages),
    `max_bytes` (payload bytes), 0 for no bound, and `overflow`: of each subscription that is not given its own, see
    `Terms`. `sequence`: where all messages of a connection carry numbers that follow one another. `data_timeout`:
    seconds without any message of a channel that is subscribed to, after which the connection is replaced.
    `on_connect(connection)`: an async function that runs on each connection before anything is subscribed to on it, see
    `Greeting`; if it raises, that connection counts as failed. `manager_kwargs` and the other keywords are the
    connection's, as for `WebSocket`; `deserializer` and `message_type` apply to every subscription that is not given
    its own.

    Without a venue, an acknowledgement that carries the channel's path like data (OKX's
    `{"event":"subscribe","arg":{…}}`) is routed like data.

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
        **options: Unpack[MultiplexOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Multiplex[M],
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        *,
        deserializer: Callable[[bytes], M],
        **options: Unpack[MultiplexOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Multiplex[Any],
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        **options: Unpack[MultiplexOptions],
    ) -> None: ...
    def __init__(
        self,
        uri: str | AskedUri | None = None,
        config: MultiplexConfig | None = None,
        *,
        channel_key: str | None = None,
        channel_extractor: Callable[[Any], str | None] | None = None,
        subscribe_msg: Callable[[str], Any] | None = None,
        unsubscribe_msg: Callable[[str], Any] | None = None,
        queue_size: int = 1000,
        venue: Venue | None = None,
        max_bytes: int = 0,
        overflow: Overflow = "drop_oldest",
        sequence: str | Sequence | None = None,
        data_timeout: float | None = None,
        on_connect: OnConnect | None = None,
        manager_kwargs: Mapping[str, Any] | None = None,
        **ws_kwargs: Any,
    ) -> None:
        own = {name: value for name, value in locals().items() if name not in ("self", "ws_kwargs")}
        given = Arguments.of(own, ws_kwargs)
        options = given.options
        self._terms = replace(given.terms, sequence=None)
        self._decoding = make_decoding(options.deserializer, options.message_type)
        self._serialize = Serializing(options.serializer)
        self._reported = False
        heartbeat = options.heartbeat_config
        self._pong_matcher = None if heartbeat is None else heartbeat.pong_matcher
        self._unrouted: Subscription[T] | None = None
        talks = venue is not None or on_connect is not None
        self._registry = Registry(
            channel_key=given.channel_key,
            channel_extractor=given.channel_extractor,
            subscribe_msg=given.subscribe_msg,
            unsubscribe_msg=given.unsubscribe_msg,
            decoding=self._decoding,
            serialize=self._serialize,
            close=self._close_subscription,
            on_trouble=self._report,
            on_unroutable=self._on_unroutable if talks or self._pong_matcher is not None else None,
            on_gap=self._on_gap,
            spill=0 if talks else _SPILL,
            key_of=given.key_of(),
            skip=None if venue is None else venue.channel_heartbeat,
            sequence=given.sequence_of_connection,
        )
        self._conversation = Conversation(venue, self._serialize, self._registry, self, on_connect)
        self._reconciler = self._conversation.reconciler
        self._watching = Watching(self, given.data_timeout, lambda: self._registry.routed)
        assert given.uri is not None
        self._session = Session(
            given.uri,
            options,
            self._registry.sink,
            count_messages=self._registry.count,
            on_open=self._on_open,
            on_end=self._on_end,
            on_lost=self._on_lost,
            on_closing=self._registry.stop_blocking,
            greet=self._conversation.greet if talks else None,
            connect_pace=() if venue is None else venue.connect_pace,
            events=EVENTS,
        )
        self._registry.make_room = self._session.make_room
        self._subscribing = Subscribing(self._session, self._registry, self._reconciler, self._watching)

    def __repr__(self) -> str:
        return f"Multiplex(uri={self.uri!r}, state={self.state.value}, subscriptions={self._registry.active})"

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
        return self._registry.shared(channel)

    def list_subscriptions(self) -> list[str]:
        """The names of the channels that are subscribed to."""
        return self._registry.names()

    def stats(self) -> MultiplexStats:
        """A snapshot; messages of closed subscriptions that nobody can read any more count as dropped."""
        registry = self._registry
        totals = registry.totals()
        return MultiplexStats(
            total_subscriptions=registry.created,
            active_subscriptions=registry.active,
            total_messages_routed=registry.routed,
            unroutable_messages=registry.unroutable,
            connection_stats=self._session.stats(),
            total_messages_dropped=totals.dropped,
            total_messages_delivered=totals.delivered,
            total_messages_queued=totals.queued,
            events=dict(self._session.events.counts),
            total_messages_copied=registry.routes.copied,
        )

    @overload
    def on(self, event: type[F], handler: Callable[[F], Any]) -> Callable[[F], Any]: ...
    @overload
    def on(self, event: type[F], handler: None = None) -> Callable[[Callable[[F], Any]], Callable[[F], Any]]: ...
    @overload
    def on(self, event: str, handler: Callable[..., Any]) -> Callable[..., Any]: ...
    @overload
    def on(self, event: str, handler: None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
    def on(self, event: Any, handler: Any = None) -> Any:
        """Call `handler` at each `event`; without a handler, be its decorator.

        An event is a name, or the type of what its handlers are given. Besides those of `WebSocket.on()`:
        `resubscribed` (`Resubscribed`); `refused` (`SubscriptionError`), a revocation too; `notice` (`Notice`) of the
        exchange; `gap` (`Gap`), of subscriptions with `events=True`; `stale` (`Stale`); `silent` (`Silent`); `blocked`
        (`Blocked`). A handler that raises is logged and disturbs nobody. ::

            mux.on(Gap, lambda gap: print(gap.channel, gap.reason))
        """
        name: Any = _EVENT_OF.get(event, event) if isinstance(event, type) else event
        if name == "blocked":
            self._watching.watch_loop()
        return self._session.events.on(name, handler)

    # Life.

    async def connect(self, timeout: float | None = None) -> None:
        """Connect. One attempt; with `timeout`, as many as fit into so many seconds, by the back-off.

        Raises InvalidStateError if connected or closed, ConnectionError and its kinds, TimeoutError.
        """
        await self._session.connect(timeout)
        self._registry.reopen()
        if self._unrouted is not None:
            self._unrouted.stream.reopen()

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
        if self._reconciler is None:
            asked = self._registry.ask_all(link)
            if again:
                count = "1 channel" if asked == 1 else f"{asked} channels"
                logger.info("%s: subscribed again, to %s", link.address, count)
        else:
            self._conversation.opened(link, again)
        self._watching.opened()

    def _on_lost(self, link: Link) -> None:
        self._watching.lost()
        self._conversation.lost()
        if not self._session.is_closing:
            self._registry.lost(time.time_ns() - int((time.monotonic() - link.last_read) * 1e9))

    def _on_end(self, error: JetSocketError | None) -> None:
        self._conversation.end(error)
        self._registry.end(error)
        unrouted = self._unrouted
        if unrouted is not None:
            unrouted.stream.end(error)
            if error is None:
                self._unrouted = None

    # For those who work for it.

    def emit(self, event: str, *facts: Any) -> None:
        """Call the handlers of `event`."""
        self._session.events.emit(event, *facts)

    def replace_connection(self, why: str) -> None:
        """Go on with a new connection at once; `why` ends the sentence that says so."""
        self._session.replace(why)

    def ask_anew(self, channel: str) -> bool:
        """Ask again for a channel that is stale; whether that was possible."""
        if self._reconciler is not None:
            return self._reconciler.renew(channel)
        link = self._session.link
        return link is not None and link.is_open and self._registry.ask_anew(channel, link)

    @property
    def is_held_up(self) -> bool:
        """Whether nothing is read, as some queue is full and blocks."""
        link = self._session.link
        return link is not None and bool(link.connection.decoder.blocked)

    def on_application_pong(self) -> None:
        """A message came that answers an application ping."""
        link = self._session.link
        if link is not None:
            link.on_application_pong()

    def _on_gap(self, gap: Gap) -> None:
        # Not here, where somebody takes a message: a handler may do anything.
        asyncio.get_running_loop().call_soon(self.emit, "gap", gap)

    # Subscriptions.

    @overload
    async def subscribe(
        self, channel: str, *, timeout: float | None = None, shared: bool = True, **terms: Unpack[TermOptions]
    ) -> Subscription[T]: ...
    @overload
    async def subscribe(
        self,
        channel: str,
        *,
        timeout: float | None = None,
        shared: bool = True,
        message_type: type[M],
        **terms: Unpack[TermOptions],
    ) -> Subscription[M]: ...
    @overload
    async def subscribe(
        self,
        channel: str,
        *,
        timeout: float | None = None,
        shared: bool = True,
        deserializer: Callable[[bytes], M],
        **terms: Unpack[TermOptions],
    ) -> Subscription[M]: ...
    async def subscribe(
        self,
        channel: str,
        *,
        timeout: float | None = None,
        shared: bool = True,
        deserializer: Callable[[bytes], Any] | None = None,
        message_type: Any = None,
        **terms: Any,
    ) -> Subscription[Any]:
        """Subscribe to `channel`; one that is subscribed to is returned as it is.

        With a venue this returns when the server has confirmed; what comes before that is kept. While the connection is
        being made again it waits for that, `timeout` seconds at most (None: no limit). If it fails or is cancelled
        nothing stays registered. `deserializer`, `message_type`: for this channel alone. `shared=False`: a subscription
        with a queue of its own, besides those that there are; the server is told when the last one ends. The other
        keywords are those of `Terms`.

        Raises InvalidStateError before `connect()` and after `close()`, TimeoutError, TypeError for what
        `subscribe_msg` gave that cannot be serialised, SubscriptionError where the server refuses or the venue allows
        no more channels, and the connection's error if that is lost for good meanwhile.
        """
        subscribing = self._subscribing
        subscribing.check(channel, timeout)
        return await subscribing.one(
            channel, timeout, self._decoding_of(deserializer, message_type), self._terms_of(terms), shared=shared
        )

    async def subscribe_many(
        self, channels: Iterable[str], *, timeout: float | None = None, **terms: Unpack[TermOptions]
    ) -> ManySubscribed[T]:
        """Subscribe to many channels, with as few messages as the venue allows. What failed is told per channel.

        Raises what `subscribe()` does for its arguments and the state; nothing for what the server does.
        """
        return await self._subscribing.many(channels, timeout, None, self._terms_of(terms))

    async def subscribe_group(
        self,
        channels: Iterable[str],
        *,
        timeout: float | None = None,
        deserializer: Callable[[bytes], Any] | None = None,
        message_type: Any = None,
        **terms: Unpack[TermOptions],
    ) -> SubscriptionGroup[Any]:
        """One queue for many channels, which yields `(channel, message)` in the order of arrival: one task for all.

        Its terms are those of one subscription. Channels that the server refuses are told in `group.refused`; if it
        refuses all, SubscriptionError is raised. Else as `subscribe()`.
        """
        decoding = self._decoding_of(deserializer, message_type)
        return await self._subscribing.group(channels, timeout, decoding, self._terms_of(dict(terms)))

    def _decoding_of(self, deserializer: Any, message_type: Any) -> Decoding | None:
        if deserializer is None and message_type is None:
            return None
        return make_decoding(deserializer, message_type)

    def _terms_of(self, given: Mapping[str, Any]) -> Terms:
        if not given:
            return self._terms
        for name in given:
            if name not in TermOptions.__optional_keys__:
                own = ("timeout", "shared", "deserializer", "message_type", *TermOptions.__optional_keys__)
                raise failures.unknown_option("subscribe", name, own)
        terms = replace(self._terms, **given)
        if terms.sequence is not None and not terms.tells_gaps:
            raise ValueError("sequence needs events=True or recover=: nobody else is told of a break in it")
        return terms

    async def unsubscribe(self, channel: str) -> bool:
        """End the subscriptions to `channel`; True if there was one. What was queued can still be read.

        Works while disconnected: the channel is then not asked for again.
        """
        return await self._subscribing.unsubscribe(channel)

    def unrouted(self, queue_size: int = 1000) -> Subscription[T]:
        """What belongs to no channel, to iterate over: in a queue of `queue_size` from now on, the oldest is dropped.

        What a venue knows as an answer or a notice of its exchange is not among it. There is one such queue: it is
        returned as it is until it is closed.
        """
        if self._unrouted is None:
            check_count("queue_size", queue_size)
            unrouted: Subscription[T]
            unrouted = self._registry.create_unrouted(queue_size, self._on_unroutable, self._end_unrouted)
            if self._session.is_closing:
                unrouted.stream.end(None)
                return unrouted
            self._unrouted = unrouted
        return self._unrouted

    async def _end_unrouted(self, subscription: Subscription[Any]) -> None:
        subscription.stream.end(None)
        if subscription is self._unrouted:
            self._unrouted = None
            self._registry.end_unrouted()

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
        await self._subscribing.close(subscription)

    def _on_unroutable(self, payload: bytes, binary: bool, received_ns: int) -> None:
        try:
            if self._pong_matcher is not None and self._pong_matcher(payload):
                self.on_application_pong()
                return
        except Exception as error:  # noqa: BLE001  # the user's function: no connection is lost by it
            self._report(error)
        if self._conversation.on_message(payload):
            return
        unrouted = self._unrouted
        if unrouted is not None:
            unrouted.ring.accept(payload, binary, received_ns)
            unrouted.ring.wake()

    def _report(self, error: Exception) -> None:
        """A function of the user's failed on a message: the first time is told, the counters tell the rest."""
        if not self._reported:
            self._reported = True
            report(logger, logging.WARNING, error, f"{self.uri}: a message could not be routed")
            self._session.events.emit("error", error)


def _signature() -> inspect.Signature:
    own = [p for p in inspect.signature(Multiplex.__init__).parameters.values() if p.name not in ("self", "ws_kwargs")]
    return inspect.Signature([*own, *option_parameters(NOT_HERE)])


Multiplex.__signature__ = _signature()  # type: ignore[attr-defined]
