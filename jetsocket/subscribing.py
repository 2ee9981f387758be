"""How subscriptions come about and end: asked for one by one, many at once, or as a group."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from .errors import InvalidStateError, JetSocketError, SubscriptionError, TimeoutError
from .protocol.states import ConnectionState
from .protocol.timing import check_timeout
from .subscription import Subscription, SubscriptionGroup

if TYPE_CHECKING:
    from .reconciler import Reconciler
    from .registry import Registry
    from .session import Session
    from .terms import Terms
    from .watching import Watching
    from .wishes import Wish, Wishes

T = TypeVar("T")


class ManySubscribed(NamedTuple, Generic[T]):
    """What came of many channels: `subscriptions` of those that are there, `failures` of the others, by channel."""

    subscriptions: dict[str, Subscription[T]]
    failures: dict[str, JetSocketError]

    def raise_failed(self) -> None:
        """Raise the first failure, if there is one."""
        for error in self.failures.values():
            raise error


class Subscribing:
    """For one Multiplex. With a `reconciler` the server has to confirm; else what was sent is subscribed to."""

    def __init__(
        self,
        session: Session,
        registry: Registry,
        reconciler: Reconciler | None,
        watching: Watching,
        wishes: Wishes,
    ) -> None:
        self._session = session
        self._registry = registry
        self._reconciler = reconciler
        self._watching = watching
        self._wishes = wishes
        # After how many seconds their channels are stale: of consumers that gave such a time.
        self._stale_after: WeakKeyDictionary[Subscription[Any], float] = WeakKeyDictionary()
        registry.on_dropped = self._rewatch

    def check(self, channel: object, timeout: object) -> None:
        """TypeError, ValueError; InvalidStateError where no connection is being made."""
        if not isinstance(channel, str):
            raise TypeError(f"channel must be a str, got {type(channel).__name__} {channel!r}")
        check_timeout(timeout)

    def _check_begun(self) -> None:
        if self._session.state in (ConnectionState.IDLE, ConnectionState.CLOSED):
            raise self._session.unusable("subscribe")
        greeting = self._session.greeting
        if greeting is not None and greeting is asyncio.current_task():
            # It would wait for the connection, which waits for it.
            text = "cannot subscribe within on_connect: the connection is open once that has returned; "
            hint = "send on the connection that it is given, and subscribe after connect()"
            raise InvalidStateError(self._session.state, ConnectionState.CONNECTED, "subscribe", text + hint, hint=hint)

    # One.

    async def one(self, channel: str, timeout: float | None, wish: Wish, *, shared: bool) -> Subscription[Any]:
        """See `Multiplex.subscribe`."""
        subscription = self._there(channel, wish) if shared else None
        if subscription is not None and subscription.established:
            return subscription
        self._check_begun()
        if subscription is None:
            subscription = self._registry.create(channel, wish.decoding, wish.terms, shared=shared)
            subscription.given = wish.given
            self._watch(subscription, wish.terms)
        subscription.askers += 1
        try:
            async with asyncio.timeout(timeout):
                await self._establish(subscription, channel)
            self._registry.established(subscription)
        except BaseException as error:
            late = self._late(error, timeout, f"subscribe {channel!r}", [channel])
            if subscription.askers == 1 and not subscription.established:
                self._withdraw(subscription, error)
            if late is not None:
                raise late from None
            raise
        finally:
            subscription.askers -= 1
        return subscription

    def _there(self, channel: str, wish: Wish) -> Subscription[Any] | None:
        """The one that everybody gets. Raises ValueError where something else is wished for."""
        subscription = self._registry.shared(channel)
        if subscription is not None and wish.given:
            self._wishes.check_same(subscription, wish)
        return subscription

    async def _establish(self, subscription: Subscription[Any], channel: str) -> None:
        """Until it has been asked for, and confirmed where the server does that."""
        if self._reconciler is not None:
            self._reconciler.want(channel)
            await self._session.opened("subscribe")
            await self._reconciler.settled(channel)
            self._check_kept(subscription, channel)
            return
        while True:
            link = await self._session.opened("subscribe")
            # Who gives up waiting for room, and tries again, must not pile up requests.
            await link.drain()
            if not link.is_open:
                continue
            self._check_kept(subscription, channel)
            self._registry.asking.ask(channel, link)
            await link.drain()
            # A connection that was lost before the message got out is made again, and asked again.
            if link.is_open:
                return

    def _check_kept(self, subscription: Subscription[Any], channel: str) -> None:
        """Whether it is that subscription still that is wanted, and not one that was made after its end."""
        if not self._registry.has(subscription, channel):
            text = f"cannot subscribe: channel {channel!r} was unsubscribed meanwhile"
            raise InvalidStateError("closed", "open", "subscribe", text)

    def _watch(self, subscription: Subscription[Any], terms: Terms) -> None:
        if terms.stale_after is not None:
            self._stale_after[subscription] = terms.stale_after
        if terms.overflow == "block":
            self._watching.watch_hold()
        for channel in subscription.channels:
            self._rewatch(channel)

    def _rewatch(self, channel: str) -> None:
        """Its consumers are others now: of their times the shortest counts."""
        route = self._registry.routes.get(channel)
        readers = [] if route is None else [reader for reader, _ in route.readers]
        times = [self._stale_after[reader] for reader in readers if reader in self._stale_after]
        if times:
            self._watching.add(channel, min(times), partial(self._registry.received, channel))
        else:
            self._watching.remove(channel)
        self._watching.expect(len(self._registry.routes) > 0)

    # Many.

    async def many(self, channels: Iterable[str], timeout: float | None, wish: Wish) -> ManySubscribed[Any]:
        """See `Multiplex.subscribe_many`."""
        names = self._names(channels, timeout)
        for name in names:
            self._there(name, wish)
        found = await asyncio.gather(
            *(self.one(name, timeout, wish, shared=True) for name in names), return_exceptions=True
        )
        outcome: ManySubscribed[Any] = ManySubscribed({}, {})
        for name, one in zip(names, found, strict=True):
            if isinstance(one, Subscription):
                outcome.subscriptions[name] = one
            elif isinstance(one, JetSocketError):
                outcome.failures[name] = one
            else:
                raise one
        return outcome

    def _names(self, channels: Iterable[str], timeout: float | None) -> list[str]:
        if isinstance(channels, str):
            raise TypeError(f"channels must be several names, got str {channels!r}; use subscribe() for one")
        if not isinstance(channels, Iterable):
            raise TypeError(f"channels must be several names, got {type(channels).__name__} {channels!r}")
        names = list(channels)
        for name in names:
            self.check(name, timeout)
        self._check_begun()
        return list(dict.fromkeys(names))

    async def group(self, channels: Iterable[str], timeout: float | None, wish: Wish) -> SubscriptionGroup[Any]:
        """See `Multiplex.subscribe_group`."""
        names = self._names(channels, timeout)
        if not names:
            raise ValueError("a group needs at least one channel")
        group = self._registry.create_group(names, wish.decoding, wish.terms)
        self._watch(group, wish.terms)
        try:
            async with asyncio.timeout(timeout):
                outcomes = await asyncio.gather(
                    *(self._establish(group, name) for name in names), return_exceptions=True
                )
            failed = {name: error for name, error in zip(names, outcomes, strict=True) if error is not None}
            for name, error in failed.items():
                # What was refused is told by `group.refused`, as long as there is something else.
                if len(failed) == len(names) or not isinstance(error, SubscriptionError):
                    raise error
                if self._registry.has(group, name):
                    # No server has refused it: there was no place for it.
                    self._leave_group(group, name)
                    group.refused[name] = error
        except BaseException as error:
            late = self._late(error, timeout, f"subscribe to {len(names)} channels", names)
            self._withdraw(group, error)
            if late is not None:
                raise late from None
            raise
        self._registry.established(group)
        return group

    def _late(
        self, error: BaseException, timeout: float | None, operation: str, channels: list[str]
    ) -> TimeoutError | None:
        """If it is the end of the time: what is raised, which says what was waited for."""
        if not _is_timeout(error):
            return None
        lack = "" if self._reconciler is None else self._reconciler.lack(channels)
        return TimeoutError(timeout, operation, f"{operation} timed out after {timeout} s: {lack}" if lack else None)

    # Ending.

    async def unsubscribe(self, channel: str) -> bool:
        """See `Multiplex.unsubscribe`."""
        route = self._registry.routes.get(channel)
        if route is None:
            return False
        sent = False
        for reader, _ in route.readers:
            if isinstance(reader, SubscriptionGroup):
                sent |= self._leave_group(reader, channel)
            else:
                sent |= self._withdraw(reader)
        link = self._session.link
        if sent and link is not None:
            await link.drain()
        return True

    async def close(self, subscription: Subscription[Any]) -> None:
        """A subscription's own `close()`."""
        if self._withdraw(subscription):
            link = self._session.link
            if link is not None:
                await link.drain()

    def _leave_group(self, group: SubscriptionGroup[Any], channel: str) -> bool:
        if len(group.channels) == 1:
            return self._withdraw(group)
        route = self._registry.routes.get(channel)
        asked_on = None if route is None else route.asked_on
        self._registry.part(group, channel)
        return self._unwanted(channel, asked_on, None)

    def _withdraw(self, subscription: Subscription[Any], error: BaseException | None = None) -> bool:
        """End it; whether a message was sent for that. What was refused stays so, until it is asked for again."""
        asked = {}
        for channel in subscription.channels:
            route = self._registry.routes.get(channel)
            if route is not None and self._registry.has(subscription, channel):
                asked[channel] = route.asked_on
        self._registry.forget(subscription, None)
        sent = False
        for channel, asked_on in asked.items():
            sent |= self._unwanted(channel, asked_on, error)
        return sent

    def _unwanted(self, channel: str, asked_on: object, error: BaseException | None) -> bool:
        """One consumer less: with the last one the server is told."""
        self._rewatch(channel)
        if channel in self._registry.routes:
            return False
        if self._reconciler is None:
            return self._registry.asking.leave(channel, self._session.link, asked_on)
        if not isinstance(error, SubscriptionError):
            self._reconciler.unwant(channel)
        return False


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, builtins.TimeoutError) and not isinstance(error, TimeoutError)
