"""What a Multiplex and its exchange say to one another beside data: logins, requests and answers, notices, pongs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from .errors import JetSocketError, SubscriptionError
from .greeting import Greeting, OnConnect
from .occurrences import Notice, Resubscribed
from .outgoing import Outgoing
from .reconciler import Reconciler

if TYPE_CHECKING:
    from .decoding import Serializing
    from .link import Link
    from .registry import Registry
    from .venue import Reply, Venue

logger = logging.getLogger("jetsocket.subscriptions")


class Host(Protocol):
    """The Multiplex, as far as a conversation needs it."""

    def emit(self, event: str, *facts: Any) -> None: ...

    def replace_connection(self, why: str) -> None: ...

    def on_application_pong(self) -> None: ...


class Conversation:
    """With `venue`, channels are confirmed, and what is sent keeps its pace. `on_connect`: see `Multiplex`."""

    def __init__(
        self,
        venue: Venue | None,
        serialize: Serializing,
        registry: Registry,
        host: Host,
        on_connect: OnConnect | None,
    ) -> None:
        self.outgoing = Outgoing()
        self.reconciler: Reconciler | None = None
        self._serialize = serialize
        self._registry = registry
        self._host = host
        self._on_connect = on_connect
        self._greeting: Greeting | None = None
        if venue is not None:
            self.outgoing = Outgoing(venue.pace, reserve=venue.reserve, counts_control=venue.pace_counts_control)
            self.reconciler = Reconciler(venue, serialize, self.outgoing, self)

    # Connections.

    async def greet(self, link: Link) -> None:
        """The connection is new: run `on_connect` before anything else is sent on it."""
        self.outgoing.opened()
        link.outgoing = self.outgoing
        if self._on_connect is None:
            return
        self._greeting = Greeting(link, self._serialize, self.outgoing)
        try:
            await self._on_connect(self._greeting)
        finally:
            self._greeting = None

    def opened(self, link: Link, again: bool) -> None:
        """The connection is open and greeted."""
        if self.reconciler is not None:
            self.reconciler.opened(link, again)

    def lost(self) -> None:
        """The connection is gone."""
        if self.reconciler is not None:
            self.reconciler.lost()

    def end(self, error: JetSocketError | None) -> None:
        """No connection will come."""
        if self.reconciler is not None:
            self.reconciler.end(error or JetSocketError("the multiplex was closed"))

    def on_message(self, raw: bytes) -> bool:
        """A message that belongs to no channel; whether it was meant for us."""
        if self._greeting is not None:
            self._greeting.offer(raw)
        return self.reconciler is not None and self.reconciler.on_message(raw)

    # What becomes of channels: for the reconciler.

    def on_confirmed(self, channel: str) -> None:
        """The server has confirmed it."""
        self._registry.confirmed(channel)

    def on_key(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or no longer."""
        self._registry.routes.bind(channel, key, known)

    def on_asked(self, channel: str) -> None:
        """Its first data will be the answer."""
        assert self.reconciler is not None
        self._registry.on_first(channel, self.reconciler.on_first_data)

    def on_refused(self, channel: str, error: SubscriptionError) -> None:
        """The server will not send it, or no longer."""
        logger.warning("%s", error)
        self._registry.drop(channel, error)
        self._soon("refused", error)

    def on_restored(self, channels: int, seconds: float) -> None:
        """All that was wanted has its answer again."""
        logger.info(
            "subscribed again, to %s, in %.1f s", "1 channel" if channels == 1 else f"{channels} channels", seconds
        )
        self._soon("resubscribed", Resubscribed(channels, seconds))

    def on_notice(self, reply: Reply, raw: bytes) -> None:
        """The exchange says something to people, and perhaps asks for something."""
        # A welcome is no cause for alarm.
        level = logging.INFO if reply.code is None and reply.then == "nothing" else logging.WARNING
        logger.log(level, "notice %s: %s", reply.code, reply.message)
        self._soon("notice", Notice(reply.code, reply.message, raw, reply.then))
        if reply.then == "reconnect":
            self._host.replace_connection("as the exchange asks for it")
        elif reply.then == "resubscribe" and self.reconciler is not None:
            for channel in tuple(self.reconciler.channels):
                self.reconciler.renew(channel)

    def on_pong(self) -> None:
        """An application ping was answered."""
        self._host.on_application_pong()

    def _soon(self, event: str, fact: object) -> None:
        # Not here, in the middle of a read: a handler may do anything.
        asyncio.get_running_loop().call_soon(self._host.emit, event, fact)
