"""The subscriptions of a Multiplex: which there are, who reads which channel, what they came to."""

from __future__ import annotations

import time
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .asking import Asking
from .extraction import ExtractorRouter
from .hot import ChannelKey, GroupStream, MessageStream, Router, Sequence, Sink, Tally
from .hot.group_stream_py import GroupStream as ObjectGroupStream
from .hot.ring_py import Tally as ObjectTally
from .hot.stream_py import MessageStream as ObjectStream
from .interruptions import Interruptions
from .routes import Routes
from .subscription import Subscription, SubscriptionGroup
from .terms import Terms
from .unrouted import See, Unrouted

if TYPE_CHECKING:
    from .decoding import Decoding, Serializing
    from .errors import JetSocketError
    from .link import Link

Close = Callable[[Subscription[Any]], Awaitable[object]]


def _nothing(*_: object) -> None:
    """No one has to be told."""


class Totals(NamedTuple):
    """Messages of all subscriptions, those that were closed included; received = delivered + queued + dropped."""

    delivered: int
    queued: int
    dropped: int


class Registry:
    """Subscriptions by channel, and the router that fills their queues.

    `on_unroutable(payload)`, where given, sees what belongs to no channel: all of it, or of one read the last `spill`.
    `on_trouble(error)` is told when the extractor, or the decoding before it, fails on a message. `key_of(channel)`:
    what data carry for a channel, None where that is not known yet. `skip`: see `Watch`. `sequence`: of the connection.
    `close(subscription)` is what a subscription's own `close()` does, `on_gap(gap)` is told what consumers are.
    """

    def __init__(
        self,
        *,
        channel_key: str | None,
        channel_extractor: Callable[[Any], str | None] | None,
        subscribe_msg: Callable[[str], Any] | None,
        unsubscribe_msg: Callable[[str], Any] | None,
        decoding: Decoding,
        serialize: Serializing,
        close: Close,
        on_trouble: Callable[[BaseException], None],
        on_unroutable: See | None,
        on_gap: Callable[[Any], None],
        spill: int = 1000,
        key_of: Callable[[str], str | None] | None = None,
        skip: tuple[str, str] | None = None,
        sequence: Sequence | None = None,
    ) -> None:
        # Set by who reads the socket: a full ring that blocks has room again.
        self.make_room: Callable[[], None] = _nothing
        # Set by who watches channels: the server sends one of them no longer, and nobody reads it.
        self.on_dropped: Callable[[str], object] = _nothing
        self.created = 0
        self.active = 0
        self._decoding = decoding
        self._close = close
        self._extracting = channel_extractor is not None
        # Rings of closed subscriptions that someone may still read from, and the sums of those that are gone.
        self._lingering: weakref.WeakSet[Any] = weakref.WeakSet()
        self._retired = Tally()
        self._retired_objects = ObjectTally()
        self._router: Any
        self.sink: Sink
        if channel_extractor is not None:
            self._router = ExtractorRouter(channel_extractor, decoding.decode, on_trouble)
            self.sink = self._router.sink
        else:
            self._key = ChannelKey(cast(str, channel_key))
            self._router = Router(self._key)
            self._router.sequence = sequence
            self.sink = self._router
        self.unrouted = Unrouted(self._router, extracting=self._extracting)
        if on_unroutable is not None:
            self.unrouted.show(on_unroutable, spill)
        self.routes = Routes(self._router, key_of, skip)
        self._interruptions = Interruptions(self.routes, on_gap)
        self.asking = Asking(
            self.routes, subscribe_msg, unsubscribe_msg, serialize, confirmed=self.confirmed, drop=self.drop
        )

    @property
    def routed(self) -> int:
        """Messages that went to a subscription."""
        return cast(int, self._router.routed)

    @property
    def unroutable(self) -> int:
        """Messages that belong to no subscription."""
        return self.unrouted.count

    def count(self) -> int:
        """All messages."""
        return self.routed + self.unroutable

    def totals(self) -> Totals:
        """What the routed messages came to; those that nobody can read any more count as dropped."""
        # A group's own, not those of its channels: they go one by one.
        readers = {id(reader): reader.ring for _, route in self.routes for reader, _ in route.readers}
        rings = [*readers.values(), *self._lingering]
        counted = (*rings, self._retired, self._retired_objects)
        return Totals(
            delivered=sum(one.delivered for one in counted),
            queued=sum(map(len, rings)),
            dropped=sum(one.dropped for one in counted),
        )

    # Which there are.

    def shared(self, channel: str) -> Subscription[Any] | None:
        """The subscription that everybody gets who asks for `channel`; None where there is none."""
        route = self.routes.get(channel)
        return None if route is None else route.shared

    def names(self) -> list[str]:
        """The channels that are subscribed to."""
        return [channel for channel, _ in self.routes]

    def has(self, subscription: Subscription[Any], channel: str) -> bool:
        """Whether `subscription` is one that reads `channel`."""
        route = self.routes.get(channel)
        return route is not None and any(reader is subscription for reader, _ in route.readers)

    def subscriptions(self) -> list[Subscription[Any]]:
        """All that there are."""
        return list({id(reader): reader for _, route in self.routes for reader, _ in route.readers}.values())

    def received(self, channel: str) -> int:
        """How many messages and signs of life came of `channel`, as far as it goes; it may become less."""
        route = self.routes.get(channel)
        return 0 if route is None else route.received()

    # Coming and going.

    def create(self, channel: str, decoding: Decoding | None, terms: Terms, *, shared: bool) -> Subscription[Any]:
        """A subscription to `channel`, whose messages are routed from now on; `decoding` None: as the others."""
        ring: Any
        stream: Any
        chosen = decoding or self._decoding
        if self._extracting:
            ring = terms.object_ring()
            ring.tally = self._retired_objects
            # What the extractor saw is delivered, unless this subscription decodes in its own way.
            stream = ObjectStream(ring, chosen.decode, channel, json=decoding is None)
        else:
            ring = terms.ring()
            ring.tally = self._retired
            stream = MessageStream(ring, chosen.decode, channel, json=chosen.is_json)
        subscription: Subscription[Any] = Subscription(channel, stream, self._close)
        self._join(channel, subscription, ring, terms, shared=shared)
        self._begin(subscription, terms)
        return subscription

    def create_unrouted(self, queue_size: int, see: See, close: Close) -> Subscription[Any]:
        """See `Unrouted.create`."""
        return self.unrouted.create(queue_size, see, self._decoding, close)

    def end_unrouted(self) -> None:
        """See `Unrouted.end`."""
        self.unrouted.end()

    def create_group(self, channels: list[str], decoding: Decoding | None, terms: Terms) -> SubscriptionGroup[Any]:
        """One queue for all of `channels`."""
        ring: Any
        stream: Any
        chosen = decoding or self._decoding
        name = f"{len(channels)} channels"
        if self._extracting:
            ring = terms.object_group_ring()
            ring.tally = self._retired_objects
            stream = ObjectGroupStream(ring, chosen.decode, name, json=decoding is None)
        else:
            ring = terms.group_ring()
            ring.tally = self._retired
            stream = GroupStream(ring, chosen.decode, name, json=chosen.is_json)
        group: SubscriptionGroup[Any] = SubscriptionGroup(channels, stream, self._close)
        joined: list[str] = []
        try:
            for channel in channels:
                self._join(channel, group, ring.member(channel), terms, shared=False)
                joined.append(channel)
        except BaseException:
            for channel in joined:
                self.routes.leave(channel, group)
            raise
        self._begin(group, terms)
        return group

    def _join(self, channel: str, consumer: Subscription[Any], ring: Any, terms: Terms, *, shared: bool) -> None:
        # Nobody else would be told of a break.
        sequence = terms.sequence_of_its_own() if terms.tells_gaps else None
        self.routes.join(channel, consumer, ring, shared=shared, sequence=sequence)
        route = self.routes.get(channel)
        if route is not None and route.key is None:
            self.unrouted.keep_early(self._key, self.routes)

    def _begin(self, subscription: Subscription[Any], terms: Terms) -> None:
        if terms.overflow == "block":
            subscription.ring.on_room = self.make_room
        self._interruptions.begin(subscription, terms)
        self.created += 1
        self.active += 1

    def established(self, subscription: Subscription[Any]) -> None:
        """It has been asked for, and confirmed where servers do that."""
        self._interruptions.established(subscription)

    def forget(self, subscription: Subscription[Any], error: JetSocketError | None) -> None:
        """End it, with `error` where there is one. What is queued can still be read."""
        left = False
        for channel in subscription.channels:
            if self.has(subscription, channel):
                self.routes.leave(channel, subscription)
                left = True
        if left:
            self.active -= 1
            self._lingering.add(subscription.ring)
            self._let_go(subscription.ring)
            self._interruptions.forget(subscription)
            self.unrouted.look_early()
        subscription.stream.end(error)

    def part(self, group: SubscriptionGroup[Any], channel: str) -> None:
        """The group goes on without `channel`."""
        group.without(channel)
        self._leave_group(group, channel)

    def _leave_group(self, group: SubscriptionGroup[Any], channel: str) -> None:
        self.routes.leave(channel, group)
        self._interruptions.left(group, channel)
        self.unrouted.look_early()
        if group.ring.refused:
            # It may be a message of this channel for which there was no room.
            self.make_room()

    def _let_go(self, ring: Any) -> None:
        """What a full ring has stopped goes on, without it."""
        refused = ring.refused
        ring.stop_blocking()
        ring.on_room = None
        if refused:
            self.make_room()

    def drop(self, channel: str, error: JetSocketError) -> None:
        """The server will not send `channel`: its subscriptions end by that; a group goes on without it."""
        route = self.routes.get(channel)
        for reader, _ in [] if route is None else route.readers:
            if isinstance(reader, SubscriptionGroup) and reader.lose(channel, error):
                self._leave_group(reader, channel)
            else:
                self.forget(reader, error)
        if channel not in self.routes:
            self.on_dropped(channel)

    def end(self, error: JetSocketError | None) -> None:
        """No connection will come. After an error everything stays wanted: connect() may be called again."""
        for subscription in self.subscriptions():
            if error is None:
                self.forget(subscription, None)
            else:
                subscription.stream.end(error)
                self._interruptions.stop(subscription)

    def reopen(self) -> None:
        """There is a connection again after `end(error)`."""
        for subscription in self.subscriptions():
            subscription.stream.reopen()
            self._interruptions.go_on(subscription)

    def stop_blocking(self) -> None:
        """The multiplex is being closed: nobody may make room any more."""
        for _, route in self.routes:
            for _, ring in route.readers:
                ring.stop_blocking()

    # The connection is lost, and another is open.

    def lost(self, since: int) -> None:
        """The connection is gone; the last data on it were received at `since` (ns). Who asked for it is told."""
        self._interruptions.lost(since)
        sequence = getattr(self._router, "sequence", None)
        if sequence is not None:
            sequence.reset()

    def interrupted(self, channel: str, since: int) -> None:
        """See `Interruptions.interrupted`."""
        self._interruptions.interrupted(channel, since)

    def learned(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or no longer."""
        self.routes.bind(channel, key, known)
        if known and self.unrouted.early is not None:
            self.unrouted.early.learned(key)

    def confirmed(self, channel: str) -> None:
        """The server sends it."""
        self._interruptions.confirmed(channel)

    # Asking, where nobody confirms: see `Asking`.

    def ask_all(self, link: Link) -> int:
        """Ask for everything on a new connection; the number of messages sent."""
        return self.asking.ask_all(link)

    def ask_anew(self, channel: str, link: Link) -> bool:
        """It is stale: leave it and ask for it again; False where nothing asks."""
        if not self.asking.ask_anew(channel, link):
            return False
        self.interrupted(channel, time.time_ns())
        self.confirmed(channel)
        return True
