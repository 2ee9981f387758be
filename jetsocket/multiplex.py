"""Multiplex: many subscriptions over one connection, each with its own queue, all of them there again after a loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

from .arguments import NOT_HERE, Arguments, MultiplexConfig, MultiplexOptions
from .occurrences import EVENT_NAMES
from .offers import Offers
from .options import option_parameters
from .stats import MultiplexStats

if TYPE_CHECKING:
    from .greeting import OnConnect
    from .hot import Sequence
    from .subscription import Subscription
    from .target import AskedUri
    from .terms import Overflow
    from .venue import Venue

T = TypeVar("T")
M = TypeVar("M")
F = TypeVar("F")


class Multiplex(Offers[T], Generic[T]):
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
    seconds without any message of a channel that is subscribed to, after which the connection is replaced; twice that
    where it did not help, and so on, up to 60 times, until a message comes.
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
        own = {name: value for name, value in locals().items() if name not in ("self", "ws_kwargs", "__class__")}
        given = Arguments.of(own, ws_kwargs)
        super().__init__(given)

    def __repr__(self) -> str:
        return f"Multiplex(uri={self.uri!r}, state={self.state.value}, subscriptions={self._registry.active})"

    # State.

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
        exchange; `gap` (`Gap`), of subscriptions with `events=True`; `stale` (`Stale`); `silent` (`Silent`);
        `stalled` (`Stalled`); `blocked` (`Blocked`). A handler that raises is logged and disturbs nobody. ::

            mux.on(Gap, lambda gap: print(gap.channel, gap.reason))
        """
        name: Any = EVENT_NAMES.get(event, event) if isinstance(event, type) else event
        if name == "blocked":
            self._watching.watch_loop()
        return self._session.events.on(name, handler)

    # Subscriptions, beside what `Offers` has.

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
        return self._strays.queue(queue_size, self._session.is_closing)

    async def send(self, message: Any) -> None:
        """Send any other message (a login, a query): `str` as text, `bytes` as binary, the rest serialised.

        Raises InvalidStateError unless connected, TypeError for what cannot be serialised.
        """
        payload, binary = self._serialize(message)
        if self._session.is_connected:
            await self._conversation.outgoing.turn()
        await self._session.send(payload, binary)


def _signature() -> inspect.Signature:
    own = [p for p in inspect.signature(Multiplex.__init__).parameters.values() if p.name not in ("self", "ws_kwargs")]
    return inspect.Signature([*own, *option_parameters(NOT_HERE)])


Multiplex.__signature__ = _signature()  # type: ignore[attr-defined]
