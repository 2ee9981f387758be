"""What consumers get, and what blocks, while the server does not send their channels: after a loss, or asked anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .gaps import Healing, Losses

if TYPE_CHECKING:
    from .occurrences import Gap, GapReason
    from .routes import PlainRoute, Route, Routes
    from .subscription import Subscription
    from .terms import Terms


class Interruptions:
    """Of the subscriptions of one Multiplex. `on_gap(gap)` is told what their consumers are.

    A queue that blocks has no bounds until all that it is for is confirmed: the server's answer may stand behind data,
    and a consumer that recovers waits for it.
    """

    def __init__(self, routes: Routes, on_gap: Callable[[Gap], None]) -> None:
        self._routes = routes
        self._on_gap = on_gap
        # Of those whose consumer is told of gaps.
        self._losses: dict[Subscription[Any], Losses] = {}
        # Of those that block: their bounds, and which of their channels are to be confirmed again.
        self._blocking: dict[Subscription[Any], tuple[Terms, set[str]]] = {}

    def begin(self, subscription: Subscription[Any], terms: Terms) -> None:
        """A new one, whose messages are routed already."""
        if terms.tells_gaps or terms.overflow == "error":
            losses = self._losses[subscription] = Losses(subscription, terms, self._on_gap, self._rings(subscription))
            if terms.recover is not None:
                subscription.take_from(Healing(subscription.stream, losses, terms.recover))
        if terms.overflow == "block":
            self._blocking[subscription] = (terms, set())
            self._bound(subscription)

    def _rings(self, subscription: Subscription[Any]) -> dict[str, Any]:
        """What each channel's messages go to."""
        rings: dict[str, Any] = {}
        for channel in subscription.channels:
            readers = _readers(self._routes.get(channel))
            rings[channel] = next(ring for reader, ring in readers if reader is subscription)
        return rings

    def established(self, subscription: Subscription[Any]) -> None:
        """It has been asked for, and confirmed where servers do that."""
        subscription.established = True
        self._bound(subscription)

    def forget(self, subscription: Subscription[Any]) -> None:
        """It is no more."""
        self._blocking.pop(subscription, None)
        losses = self._losses.pop(subscription, None)
        if losses is not None:
            losses.stop()

    def left(self, group: Subscription[Any], channel: str) -> None:
        """The group goes on without `channel`."""
        if group in self._losses:
            self._losses[group].left(channel)
        self._settle(group, channel)

    def stop(self, subscription: Subscription[Any]) -> None:
        """Nothing will come any more."""
        if subscription in self._losses:
            self._losses[subscription].stop()

    def go_on(self, subscription: Subscription[Any]) -> None:
        """After `stop()`: it may come after all."""
        if subscription in self._losses:
            self._losses[subscription].go_on()

    # What the server does.

    def lost(self, since: int) -> None:
        """The connection is gone; the last data on it were received at `since` (ns)."""
        for subscription, losses in tuple(self._losses.items()):
            for channel in subscription.channels:
                losses.interrupted(subscription, channel, "reconnect", since)
        for subscription, (_, awaited) in self._blocking.items():
            awaited.update(subscription.channels)
            self._bound(subscription)
        for _, route in self._routes:
            _count_anew(route)

    def interrupted(self, channel: str, since: int) -> None:
        """The server has ended `channel`, or perhaps has, and will be asked for it again; it was left at `since`."""
        route = self._routes.get(channel)
        if route is None:
            return
        _count_anew(route)
        reason: GapReason = "resubscribe"
        for reader, ring in route.readers:
            losses = self._losses.get(reader)
            # Of what was never there nothing is missing.
            if losses is not None and (reader.established or ring.received):
                losses.interrupted(reader, channel, reason, since)
            if reader in self._blocking:
                self._blocking[reader][1].add(channel)
                # Not here, in the middle of a read: what has no room then must be offered again behind it.
                asyncio.get_running_loop().call_soon(self._bound, reader)

    def confirmed(self, channel: str) -> None:
        """The server sends it."""
        for reader, _ in _readers(self._routes.get(channel)):
            if reader in self._losses:
                self._losses[reader].restored(channel)
            self._settle(reader, channel)

    def _settle(self, subscription: Subscription[Any], channel: str) -> None:
        if subscription in self._blocking:
            self._blocking[subscription][1].discard(channel)
            self._bound(subscription)

    def _bound(self, subscription: Subscription[Any]) -> None:
        """Give a queue that blocks its bounds, or none, as is due."""
        if subscription not in self._blocking or subscription.ring.overflow != "block":
            return
        terms, awaited = self._blocking[subscription]
        is_there = subscription.established and not awaited
        bounds = (terms.queue_size, terms.max_bytes) if is_there else (0, 0)
        ring = subscription.ring
        if (ring.capacity, ring.max_bytes) != bounds:
            ring.set_bounds(*bounds)


def _readers(route: Route | PlainRoute | None) -> list[tuple[Subscription[Any], Any]]:
    return [] if route is None else route.readers


def _count_anew(route: Route | PlainRoute) -> None:
    """The channel's numbers need not follow those before."""
    if route.watch is not None and route.watch.sequence is not None:
        route.watch.sequence.reset()
