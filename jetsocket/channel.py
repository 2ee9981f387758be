"""One channel as its reconciler keeps it, and who is told what becomes of it."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Protocol

from .protocol.channels import ChannelState

if TYPE_CHECKING:
    from .errors import JetSocketError, SubscriptionError
    from .occurrences import Notice
    from .venue import Reply


class Channel:
    """One channel: its `state`; the `key` that its data carry, where that was learned."""

    __slots__ = (
        "asked_at",
        "delay",
        "doubtful",
        "held",
        "key",
        "left_ns",
        "left_out",
        "live_since",
        "most",
        "name",
        "state",
        "unheard",
        "waiters",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = ChannelState.IDLE
        self.key: str | None = None
        # With how many others it may stand in a request; 0: any number. A request that was refused as a whole is asked
        # again in halves, until it is known which channel is at fault.
        self.most = 0
        # It was asked for or left on this connection, and there was no answer: the server may have it all the same.
        self.doubtful = False
        # How often it was left without an answer, since it was wanted last.
        self.unheard = 0
        # How often the server's list of the whole state was without it, though it was asked for.
        self.left_out = 0
        # When it was asked for last, and when it was confirmed.
        self.asked_at = self.live_since = 0.0
        # How long to wait before it is asked for again, if the server ends it; and what ends that wait.
        self.delay = 0.0
        self.held: asyncio.TimerHandle | None = None
        # When the server was told to leave it, until it is known what came of that; 0: it was not.
        self.left_ns = 0
        self.waiters: list[asyncio.Future[None]] = []

    def wake(self, error: JetSocketError | None = None) -> None:
        """Let those who wait look at it again, or raise `error` there, each its own: they keep who raised them."""
        for waiter in self.waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                own = copy(error)
                own.__cause__ = error.__cause__
                waiter.set_exception(own)
                # Who was cancelled has not heard of it.
                waiter.exception()


class Owner(Protocol):
    """Who is told what becomes of the channels."""

    def on_confirmed(self, channel: str) -> None: ...

    def on_interrupted(self, channel: str, since: int) -> None:
        """The server has ended it, or perhaps has, though it is wanted: left at `since` (ns), it is asked for anew."""

    def on_key(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or (not `known`) no longer."""

    def on_asked(self, channel: str) -> None:
        """It was asked for, and its first data will be the answer."""

    def on_refused(self, channel: str, error: SubscriptionError) -> None: ...

    def on_restored(self, channels: int, seconds: float) -> None:
        """After a reconnect all that was wanted has its answer again."""

    def on_notice(self, reply: Reply, raw: bytes) -> None: ...

    def on_told(self, notice: Notice) -> None:
        """The same, of what was logged already."""

    def on_pong(self) -> None: ...

    def is_held_up(self) -> bool:
        """Whether nothing is read at present, and so no answer."""
