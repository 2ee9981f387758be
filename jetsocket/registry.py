"""The subscriptions of a Multiplex: which there are, on which connection each was asked for, what they came to."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .errors import SubscriptionError
from .extraction import ExtractorRouter
from .hot import ChannelKey, MessageRing, MessageStream, Router, Sink, Tally
from .hot.ring_py import MessageRing as ObjectRing
from .hot.ring_py import Tally as ObjectTally
from .hot.stream_py import MessageStream as ObjectStream
from .reporting import report
from .subscription import Subscription

if TYPE_CHECKING:
    from .decoding import Decoding, Serializing
    from .errors import JetSocketError
    from .link import Link

logger = logging.getLogger("jetsocket.subscriptions")

# Messages without a channel that wait to be looked at for application pongs.
SPILL = 1000
# Seconds between two looks whether the first message of a channel is there.
_LOOK = 0.02


class Totals(NamedTuple):
    """Messages of all subscriptions, those that were closed included; received = delivered + queued + dropped."""

    delivered: int
    queued: int
    dropped: int


class Registry:
    """Subscriptions by channel, and the router that fills their queues.

    `on_unroutable(payload)`, where given, sees what belongs to no channel; of one read the last `spill`, 0 for all.
    `route(channel)`: what data carry for it; None where that is not known yet. `on_trouble(error)` is told when the
    extractor, or the decoding before it, fails on a message.
    """

    def __init__(
        self,
        *,
        channel_key: str | None,
        channel_extractor: Callable[[Any], str | None] | None,
        subscribe_msg: Callable[[str], Any] | None,
        unsubscribe_msg: Callable[[str], Any] | None,
        queue_size: int,
        decoding: Decoding,
        serialize: Serializing,
        on_trouble: Callable[[Exception], None],
        on_unroutable: Callable[[bytes], None] | None,
        spill: int = SPILL,
        route: Callable[[str], str | None] | None = None,
    ) -> None:
        self.subscriptions: dict[str, Subscription[Any]] = {}
        self.created = 0
        self._subscribe_msg = subscribe_msg
        self._unsubscribe_msg = unsubscribe_msg
        self._queue_size = queue_size
        self._decoding = decoding
        self._serialize = serialize
        self._on_unroutable = on_unroutable
        self._route = route
        self._extracting = channel_extractor is not None
        # Rings of closed subscriptions that someone may still read from, and the sums of those that are gone.
        self._lingering: weakref.WeakSet[Any] = weakref.WeakSet()
        self._retired = Tally()
        self._retired_objects = ObjectTally()
        self._router: Any
        self.sink: Sink
        if channel_extractor is not None:
            self._router = ExtractorRouter(channel_extractor, decoding.decode, on_trouble, on_unroutable)
            self.sink = self._router.sink
        else:
            self._spill = None
            if on_unroutable is not None:
                self._spill = MessageRing(spill)
                self._spill.waker = self._empty_spill
                self._spill.waiting = True
            self._router = Router(ChannelKey(cast(str, channel_key)), self._spill)
            self.sink = self._router

    def _empty_spill(self) -> None:
        spill = self._spill
        assert spill is not None
        assert self._on_unroutable is not None
        while len(spill):
            self._on_unroutable(spill.take()[0])
        spill.waiting = True

    @property
    def routed(self) -> int:
        """Messages that went to a subscription."""
        return cast(int, self._router.routed)

    @property
    def unroutable(self) -> int:
        """Messages that belong to no subscription."""
        return cast(int, self._router.unroutable)

    def count(self) -> int:
        """All messages."""
        return self.routed + self.unroutable

    def totals(self) -> Totals:
        """What the routed messages came to; those that nobody can read any more count as dropped."""
        rings = [subscription.ring for subscription in self.subscriptions.values()] + list(self._lingering)
        counted = (*rings, self._retired, self._retired_objects)
        return Totals(
            delivered=sum(one.delivered for one in counted),
            queued=sum(map(len, rings)),
            dropped=sum(one.dropped for one in counted),
        )

    def create(
        self, channel: str, decoding: Decoding | None, close: Callable[[Subscription[Any]], Awaitable[object]]
    ) -> Subscription[Any]:
        """A subscription to `channel`, whose messages are routed from now on; `decoding` None: as the others."""
        ring: Any
        stream: Any
        chosen = decoding or self._decoding
        if self._extracting:
            ring = ObjectRing(self._queue_size)
            ring.tally = self._retired_objects
            # What the extractor saw is delivered, unless this subscription decodes in its own way.
            stream = ObjectStream(ring, chosen.decode, channel, json=decoding is None)
        else:
            ring = MessageRing(self._queue_size)
            ring.tally = self._retired
            stream = MessageStream(ring, chosen.decode, channel, json=chosen.is_json)
        subscription: Subscription[Any] = Subscription(channel, ring, stream, close)
        key = channel if self._route is None else self._route(channel)
        if key is not None:
            self._router.add(key, ring)
        self.subscriptions[channel] = subscription
        self.created += 1
        return subscription

    # What an exchange says of a channel.

    def confirmed(self, channel: str) -> None:
        """The server sends it."""

    def bind(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or no longer."""
        subscription = self.subscriptions.get(channel)
        if known and subscription is not None:
            # Of an exchange that gives the same key again, the last one counts.
            self._router.remove(key)
            self._router.add(key, subscription.ring)
        elif not known:
            self._router.remove(key)

    def on_first(self, channel: str, tell: Callable[[str], object]) -> None:
        """Call `tell(channel)` when its next message comes."""
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        ring = subscription.ring
        before = ring.received
        loop = asyncio.get_running_loop()

        def look() -> None:
            if not self.has(subscription):
                return
            if ring.received != before:
                tell(channel)
            else:
                loop.call_later(_LOOK, look)

        look()

    def refuse(self, channel: str, error: SubscriptionError) -> None:
        """The server will not send it: its subscription ends by that."""
        subscription = self.subscriptions.get(channel)
        if subscription is not None:
            self.forget(subscription, error)

    def has(self, subscription: Subscription[Any]) -> bool:
        """Whether it is still the one of its channel."""
        return self.subscriptions.get(subscription.channel) is subscription

    def ask(self, subscription: Subscription[Any], link: Link) -> bool:
        """Send the subscribe message on `link`, once. False: it was sent before, or there is none."""
        if subscription.asked_on is link:
            return False
        if self._subscribe_msg is not None:
            payload, binary = self._serialize(self._subscribe_msg(subscription.channel))
            link.write(link.connection.message(payload, binary))
        subscription.asked_on = link
        return self._subscribe_msg is not None

    def ask_all(self, link: Link) -> int:
        """Ask for everything on a new connection; the number of messages sent.

        On one that the server has closed by now nothing is asked for: another will follow. A subscription whose message
        cannot be made ends with a SubscriptionError; the others do not notice.
        """
        if not link.is_open:
            return 0
        asked = 0
        for subscription in tuple(self.subscriptions.values()):
            try:
                asked += self.ask(subscription, link)
            except Exception as error:  # noqa: BLE001  # the user's function: this subscription ends by it, no other
                text = f"cannot subscribe again to {subscription.channel!r}: subscribe_msg failed"
                report(logger, logging.ERROR, error, text)
                refused = SubscriptionError(f"{text}: {error}", channel=subscription.channel)
                refused.__cause__ = error
                self.forget(subscription, refused)
        return asked

    def withdraw(self, subscription: Subscription[Any], link: Link | None) -> bool:
        """Forget it, and send the unsubscribe message if it was asked for on `link`; True if one was sent."""
        known = link is not None and link.is_open and subscription.asked_on is link
        self.forget(subscription, None)
        if not known or link is None or self._unsubscribe_msg is None:
            return False
        payload, binary = self._serialize(self._unsubscribe_msg(subscription.channel))
        link.write(link.connection.message(payload, binary))
        return True

    def forget(self, subscription: Subscription[Any], error: JetSocketError | None) -> None:
        """End it, with `error` where there is one. What is queued can still be read."""
        if self.has(subscription):
            del self.subscriptions[subscription.channel]
            key = subscription.channel if self._route is None else self._route(subscription.channel)
            if key is not None:
                self._router.remove(key)
            self._lingering.add(subscription.ring)
            # Whoever still waits in subscribe() must not unsubscribe its successor.
            subscription.asked_on = None
        subscription.stream.end(error)

    def end(self, error: JetSocketError | None) -> None:
        """No connection will come. After an error everything stays wanted: connect() may be called again."""
        for subscription in tuple(self.subscriptions.values()):
            if error is None:
                self.forget(subscription, None)
            else:
                subscription.stream.end(error)

    def reopen(self) -> None:
        """There is a connection again after `end(error)`."""
        for subscription in self.subscriptions.values():
            subscription.stream.reopen()
