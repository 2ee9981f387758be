"""What users of a Multiplex subscribe with, and of which type what they get is: messages, or messages and gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

from .wiring import Wired

if TYPE_CHECKING:
    from .occurrences import Gap
    from .subscribing import ManySubscribed
    from .subscription import GroupSubscription, Subscription, SubscriptionGroup
    from .wishes import Plain, Recovering, Telling, Unknown

T = TypeVar("T")
M = TypeVar("M")


class Offers(Wired, Generic[T]):
    """The part of a Multiplex that makes subscriptions. Gaps are among their items with `events=True` or `recover=`."""

    @overload
    async def subscribe(self, channel: str, *, shared: bool = True, **how: Unpack[Plain]) -> Subscription[T]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, message_type: type[M], **how: Unpack[Plain]
    ) -> Subscription[M]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, deserializer: Callable[[bytes], M], **how: Unpack[Plain]
    ) -> Subscription[M]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, **how: Unpack[Telling]
    ) -> Subscription[T | Gap]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, message_type: type[M], **how: Unpack[Telling]
    ) -> Subscription[M | Gap]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, deserializer: Callable[[bytes], M], **how: Unpack[Telling]
    ) -> Subscription[M | Gap]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, **how: Unpack[Recovering]
    ) -> Subscription[T | Gap]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, message_type: type[M], **how: Unpack[Recovering]
    ) -> Subscription[M | Gap]: ...
    @overload
    async def subscribe(
        self, channel: str, *, shared: bool = True, deserializer: Callable[[bytes], M], **how: Unpack[Recovering]
    ) -> Subscription[M | Gap]: ...
    @overload
    async def subscribe(self, channel: str, *, shared: bool = True, **how: Unpack[Unknown]) -> Subscription[Any]: ...
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
        """Subscribe to `channel`; one that is subscribed to is returned as it is, unless other terms are given.

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
        wish = self._wishes.wish("subscribe", deserializer, message_type, terms)
        return await subscribing.one(channel, timeout, wish, shared=shared)

    @overload
    async def subscribe_many(self, channels: Iterable[str], **how: Unpack[Plain]) -> ManySubscribed[T]: ...
    @overload
    async def subscribe_many(
        self, channels: Iterable[str], *, message_type: type[M], **how: Unpack[Plain]
    ) -> ManySubscribed[M]: ...
    @overload
    async def subscribe_many(
        self, channels: Iterable[str], *, deserializer: Callable[[bytes], M], **how: Unpack[Plain]
    ) -> ManySubscribed[M]: ...
    @overload
    async def subscribe_many(self, channels: Iterable[str], **how: Unpack[Telling]) -> ManySubscribed[T | Gap]: ...
    @overload
    async def subscribe_many(
        self, channels: Iterable[str], *, message_type: type[M], **how: Unpack[Telling]
    ) -> ManySubscribed[M | Gap]: ...
    @overload
    async def subscribe_many(
        self, channels: Iterable[str], *, deserializer: Callable[[bytes], M], **how: Unpack[Telling]
    ) -> ManySubscribed[M | Gap]: ...
    @overload
    async def subscribe_many(self, channels: Iterable[str], **how: Unpack[Recovering]) -> ManySubscribed[T | Gap]: ...
    @overload
    async def subscribe_many(
        self, channels: Iterable[str], *, message_type: type[M], **how: Unpack[Recovering]
    ) -> ManySubscribed[M | Gap]: ...
    @overload
    async def subscribe_many(
        self, channels: Iterable[str], *, deserializer: Callable[[bytes], M], **how: Unpack[Recovering]
    ) -> ManySubscribed[M | Gap]: ...
    @overload
    async def subscribe_many(self, channels: Iterable[str], **how: Unpack[Unknown]) -> ManySubscribed[Any]: ...
    async def subscribe_many(
        self,
        channels: Iterable[str],
        *,
        timeout: float | None = None,
        deserializer: Callable[[bytes], Any] | None = None,
        message_type: Any = None,
        **terms: Any,
    ) -> ManySubscribed[Any]:
        """Subscribe to many channels, with as few messages as the venue allows. What failed is told per channel.

        Raises what `subscribe()` does for its arguments and the state; nothing for what the server does.
        """
        wish = self._wishes.wish("subscribe_many", deserializer, message_type, terms)
        return await self._subscribing.many(channels, timeout, wish)

    @overload
    async def subscribe_group(self, channels: Iterable[str], **how: Unpack[Plain]) -> SubscriptionGroup[T]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], *, message_type: type[M], **how: Unpack[Plain]
    ) -> SubscriptionGroup[M]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], *, deserializer: Callable[[bytes], M], **how: Unpack[Plain]
    ) -> SubscriptionGroup[M]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], **how: Unpack[Telling]
    ) -> GroupSubscription[tuple[str, T] | Gap]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], *, message_type: type[M], **how: Unpack[Telling]
    ) -> GroupSubscription[tuple[str, M] | Gap]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], *, deserializer: Callable[[bytes], M], **how: Unpack[Telling]
    ) -> GroupSubscription[tuple[str, M] | Gap]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], **how: Unpack[Recovering]
    ) -> GroupSubscription[tuple[str, T] | Gap]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], *, message_type: type[M], **how: Unpack[Recovering]
    ) -> GroupSubscription[tuple[str, M] | Gap]: ...
    @overload
    async def subscribe_group(
        self, channels: Iterable[str], *, deserializer: Callable[[bytes], M], **how: Unpack[Recovering]
    ) -> GroupSubscription[tuple[str, M] | Gap]: ...
    @overload
    async def subscribe_group(self, channels: Iterable[str], **how: Unpack[Unknown]) -> GroupSubscription[Any]: ...
    async def subscribe_group(
        self,
        channels: Iterable[str],
        *,
        timeout: float | None = None,
        deserializer: Callable[[bytes], Any] | None = None,
        message_type: Any = None,
        **terms: Any,
    ) -> GroupSubscription[Any]:
        """One queue for many channels, which yields `(channel, message)` in the order of arrival: one task for all.

        Its terms are those of one subscription. Channels that the server refuses are told in `group.refused`; if it
        refuses all, SubscriptionError is raised. Else as `subscribe()`.
        """
        wish = self._wishes.wish("subscribe_group", deserializer, message_type, terms)
        return await self._subscribing.group(channels, timeout, wish)
