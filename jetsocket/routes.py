"""Which queues a channel's messages go to: one consumer's as a rule, of several where they want their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .hot import Watch

if TYPE_CHECKING:
    from .hot import Sequence
    from .subscription import Subscription


class Route:
    """One channel: by which `key` its messages are found (None: not known yet), and who reads them.

    `shared`: the subscription that everybody gets who asks for the channel. `others`: consumers with a queue of their
    own, each with its ring, and how much that had received when copies were counted last. `asked_on`: the connection on
    which it was asked for, where no server confirms it. `followers`: who wants the numbers of `watch` looked at.
    """

    __slots__ = ("asked_on", "followers", "key", "others", "shared", "watch")

    def __init__(self, key: str | None, watch: Watch | None) -> None:
        self.key = key
        self.watch = watch
        self.shared: Subscription[Any] | None = None
        # None, not (): there are very many routes, and few have any.
        self.others: tuple[tuple[Subscription[Any], Any, int], ...] | None = None
        self.asked_on: object = None
        self.followers: tuple[Subscription[Any], ...] = ()

    @property
    def readers(self) -> list[tuple[Subscription[Any], Any]]:
        """All consumers, each with its ring."""
        own = [] if self.shared is None else [(self.shared, self.shared.ring)]
        return own + [(reader, ring) for reader, ring, _ in self.others or ()]

    def received(self) -> int:
        """How many messages and signs of life came."""
        skipped: int = 0 if self.watch is None else self.watch.skipped
        return skipped + sum([int(ring.received) for _, ring in self.readers])

    def copies(self) -> int:
        """How many messages went to one more consumer than the first since they were counted last."""
        others = self.others or ()
        more = others[1:] if self.shared is None else others
        return sum([int(ring.received) - since for _, ring, since in more])

    def count_copies(self) -> None:
        """From now on."""
        if self.others is not None:
            self.others = tuple((reader, ring, int(ring.received)) for reader, ring, _ in self.others)


class PlainRoute:
    """What a Route is, of a channel with one consumer that needs nothing else: there is nothing but the consumer."""

    __slots__ = ("shared",)

    key = property(lambda self: self.shared.channel)
    watch = None
    others = None

    def __init__(self, consumer: Subscription[Any]) -> None:
        self.shared = consumer

    @property
    def asked_on(self) -> object:
        """See `Route`."""
        return self.shared.asked_on

    @asked_on.setter
    def asked_on(self, link: object) -> None:
        self.shared.asked_on = link

    @property
    def readers(self) -> list[tuple[Subscription[Any], Any]]:
        """See `Route`."""
        return [(self.shared, self.shared.ring)]

    def received(self) -> int:
        """See `Route`."""
        return int(self.shared.ring.received)


class Routes:
    """The routes of one router, by channel.

    `key_of(channel)`: what data carry for it, None until it is learned. `skip`: see `Watch`.
    """

    def __init__(
        self, router: Any, key_of: Callable[[str], str | None] | None = None, skip: tuple[str, str] | None = None
    ) -> None:
        self._router = router
        self._key_of = key_of
        self._skip = skip
        # Many channels are plain ones: of these their consumer stands here, which takes less memory.
        self._plain = key_of is None and skip is None
        self._routes: dict[str, Route | Subscription[Any]] = {}
        # Of consumers that came or went since.
        self._copied = 0

    def __iter__(self) -> Iterator[tuple[str, Route | PlainRoute]]:
        for channel, route in tuple(self._routes.items()):
            yield channel, route if isinstance(route, Route) else PlainRoute(route)

    def __len__(self) -> int:
        return len(self._routes)

    def __contains__(self, channel: object) -> bool:
        return channel in self._routes

    @property
    def copied(self) -> int:
        """Messages queued again, for one more consumer of their channel, each time counted."""
        routes = self._routes.values()
        return self._copied + sum([route.copies() for route in routes if isinstance(route, Route)])

    def get(self, channel: str) -> Route | PlainRoute | None:
        """The route of `channel`; None where nobody reads it."""
        route = self._routes.get(channel)
        return route if route is None or isinstance(route, Route) else PlainRoute(route)

    def _whole(self, channel: str) -> Route | None:
        """The same, one that can be changed."""
        route = self._routes.get(channel)
        if route is None or isinstance(route, Route):
            return route
        whole = self._routes[channel] = Route(channel, None)
        whole.shared = route
        whole.asked_on = route.asked_on
        return whole

    def join(
        self, channel: str, consumer: Subscription[Any], ring: Any, *, shared: bool, sequence: Sequence | None = None
    ) -> None:
        """Queue what `channel` brings in `ring` from now on; with `sequence` its numbers are looked at.

        Raises ValueError where another channel's data carry the same key, or its numbers are looked for elsewhere.
        """
        if shared and sequence is None and self._plain and channel not in self._routes:
            self._router.add(channel, ring)
            self._routes[channel] = consumer
            return
        route = self._whole(channel)
        if route is None:
            key = channel if self._key_of is None else self._key_of(channel)
            watched = sequence is not None or self._skip is not None
            route = Route(key, Watch(skip=self._skip, sequence=sequence) if watched else None)
            try:
                self._lead(route, ring, first=True)
            except ValueError:
                raise self._taken(channel, route.key) from None
            self._routes[channel] = route
        else:
            if sequence is not None:
                self._follow(channel, route, sequence)
            self._lead(route, ring, first=False)
        if sequence is not None:
            route.followers += (consumer,)
        self._copied += route.copies()
        if shared:
            route.shared = consumer
        else:
            route.others = (*(route.others or ()), (consumer, ring, 0))
        route.count_copies()

    def _taken(self, channel: str, key: str | None) -> ValueError:
        other = next((name for name, route in self if route.key == key), key)
        return ValueError(f"cannot subscribe to {channel!r} beside {other!r}: the data of both are called {key!r}")

    def _lead(self, route: Route, ring: Any, *, first: bool) -> None:
        if route.key is None:
            return
        if not first:
            self._router.add_ring(route.key, ring)
        elif route.watch is None:
            self._router.add(route.key, ring)
        else:
            self._router.add(route.key, ring, route.watch)

    def _lead_all(self, route: Route) -> None:
        for number, (_, ring) in enumerate(route.readers):
            self._lead(route, ring, first=number == 0)

    def _follow(self, channel: str, route: Route, sequence: Sequence) -> None:
        """One more consumer of the channel wants its numbers looked at."""
        known = None if route.watch is None else route.watch.sequence
        if known is None:
            self._look_for(route, sequence)
        elif (known.path, known.previous, known.first) != (sequence.path, sequence.previous, sequence.first):
            text = f"channel {channel!r} has another sequence already, for another consumer: {known!r}"
            raise ValueError(text)

    def _look_for(self, route: Route, sequence: Sequence | None) -> None:
        """Another watch, on all of the channel's consumers."""
        if route.key is not None:
            self._router.remove(route.key)
        watched = sequence is not None or self._skip is not None
        route.watch = Watch(skip=self._skip, sequence=sequence) if watched else None
        self._lead_all(route)

    def leave(self, channel: str, consumer: Subscription[Any]) -> Any:
        """Queue no more for `consumer`; gives its ring. With its last consumer the channel goes."""
        route = self._routes[channel]
        if not isinstance(route, Route):
            self._router.remove(channel)
            del self._routes[channel]
            return route.ring
        ring = next(ring for reader, ring in route.readers if reader is consumer)
        if route.key is not None:
            if len(route.readers) == 1:
                self._router.remove(route.key)
            else:
                self._router.remove_ring(route.key, ring)
        self._copied += route.copies()
        if route.shared is consumer:
            route.shared = None
        else:
            route.others = tuple(other for other in route.others or () if other[0] is not consumer) or None
        route.count_copies()
        if route.shared is None and route.others is None:
            del self._routes[channel]
        elif consumer in route.followers:
            route.followers = tuple(one for one in route.followers if one is not consumer)
            if not route.followers:
                self._look_for(route, None)
        return ring

    def bind(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or no longer."""
        route = self._whole(channel)
        if route is None:
            return
        if route.key is not None:
            self._router.remove(route.key)
            route.key = None
        if not known:
            return
        # Of an exchange that gives the same key again, the last one counts.
        for other in self._routes.values():
            if isinstance(other, Route) and other.key == key:
                self._router.remove(key)
                other.key = None
        route.key = key
        self._lead_all(route)
