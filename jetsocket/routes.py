"""Which queues a channel's messages go to: one consumer's as a rule, of several where they want their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hot import Watch
    from .subscription import Subscription


class Route:
    """One channel: by which `key` its messages are found (None: not known yet), and who reads them.

    `shared`: the subscription that everybody gets who asks for the channel. `others`: consumers with a queue of their
    own, each with its ring. `asked_on`: the connection on which it was asked for, where no server confirms it.
    """

    __slots__ = ("asked_on", "key", "others", "shared", "watch")

    def __init__(self, key: str | None, watch: Watch | None) -> None:
        self.key = key
        self.watch = watch
        self.shared: Subscription[Any] | None = None
        # None, not (): there are very many routes, and few have any.
        self.others: tuple[tuple[Subscription[Any], Any], ...] | None = None
        self.asked_on: object = None

    @property
    def readers(self) -> list[tuple[Subscription[Any], Any]]:
        """All consumers, each with its ring."""
        own = [] if self.shared is None else [(self.shared, self.shared.ring)]
        return own + list(self.others or ())

    def received(self) -> int:
        """How many messages and signs of life came."""
        skipped: int = 0 if self.watch is None else self.watch.skipped
        return skipped + sum([int(ring.received) for _, ring in self.readers])


class Routes:
    """The routes of one router, by channel. `key_of(channel)`: what data carry for it, None until it is learned."""

    def __init__(self, router: Any, key_of: Callable[[str], str | None] | None) -> None:
        self._router = router
        self._key_of = key_of
        self._routes: dict[str, Route] = {}

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        return iter(tuple(self._routes.items()))

    def __len__(self) -> int:
        return len(self._routes)

    def __contains__(self, channel: object) -> bool:
        return channel in self._routes

    def get(self, channel: str) -> Route | None:
        """The route of `channel`; None where nobody reads it."""
        return self._routes.get(channel)

    def join(
        self, channel: str, consumer: Subscription[Any], ring: Any, *, shared: bool, watch: Callable[[], Watch | None]
    ) -> None:
        """Queue what `channel` brings in `ring` from now on. `watch()` is asked for its first consumer.

        Raises ValueError where another channel's data carry the same key.
        """
        route = self._routes.get(channel)
        if route is None:
            key = channel if self._key_of is None else self._key_of(channel)
            route = Route(key, watch())
            self._lead(route, ring, first=True)
            self._routes[channel] = route
        else:
            self._lead(route, ring, first=False)
        if shared:
            route.shared = consumer
        else:
            route.others = (*(route.others or ()), (consumer, ring))

    def _lead(self, route: Route, ring: Any, *, first: bool) -> None:
        if route.key is None:
            return
        if not first:
            self._router.add_ring(route.key, ring)
        elif route.watch is None:
            self._router.add(route.key, ring)
        else:
            self._router.add(route.key, ring, route.watch)

    def leave(self, channel: str, consumer: Subscription[Any]) -> Any:
        """Queue no more for `consumer`; gives its ring. With its last consumer the channel goes."""
        route = self._routes[channel]
        ring = next(ring for reader, ring in route.readers if reader is consumer)
        if route.key is not None:
            if len(route.readers) == 1:
                self._router.remove(route.key)
            else:
                self._router.remove_ring(route.key, ring)
        if route.shared is consumer:
            route.shared = None
        else:
            route.others = tuple(pair for pair in route.others or () if pair[0] is not consumer) or None
        if route.shared is None and route.others is None:
            del self._routes[channel]
        return ring

    def bind(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or no longer."""
        route = self._routes.get(channel)
        if route is None:
            return
        if route.key is not None:
            self._router.remove(route.key)
            route.key = None
        if not known:
            return
        # Of an exchange that gives the same key again, the last one counts.
        for _, other in self:
            if other.key == key:
                self._router.remove(key)
                other.key = None
        route.key = key
        for number, (_, ring) in enumerate(route.readers):
            self._lead(route, ring, first=number == 0)
