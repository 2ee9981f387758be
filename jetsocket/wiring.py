"""The parts of a Multiplex: made here, and connected, so that each hears what the others and the connection do."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .client import Client
from .conversation import Conversation
from .decoding import Serializing, make_decoding
from .occurrences import MULTIPLEX_EVENTS
from .registry import Registry
from .reporting import report
from .session import Session
from .strays import Strays
from .subscribing import Subscribing
from .watching import Watching
from .wishes import Wishes

if TYPE_CHECKING:
    from .arguments import Arguments
    from .errors import JetSocketError
    from .link import Link
    from .occurrences import Gap
    from .subscription import Subscription

logger = logging.getLogger("jetsocket.subscriptions")

# Messages without a channel that wait to be looked at for application pongs.
_SPILL = 1000


class Wired(Client):
    """A Multiplex as its parts know it, without what it offers to its users."""

    def __init__(self, given: Arguments) -> None:
        options, venue = given.options, given.venue
        decoding = make_decoding(options.deserializer, options.message_type)
        serialize = Serializing(options.serializer)
        heartbeat = options.heartbeat_config
        pong_matcher = None if heartbeat is None else heartbeat.pong_matcher
        talks = venue is not None or given.on_connect is not None
        self._reported = False
        self._strays = Strays(pong_matcher, self.on_application_pong, self._report)
        self._registry = Registry(
            channel_key=given.channel_key,
            channel_extractor=given.channel_extractor,
            subscribe_msg=given.subscribe_msg,
            unsubscribe_msg=given.unsubscribe_msg,
            decoding=decoding,
            serialize=serialize,
            close=self._close_subscription,
            on_trouble=self._report,
            on_unroutable=self._strays.take if talks or pong_matcher is not None else None,
            on_gap=self._on_gap,
            spill=0 if talks else _SPILL,
            key_of=given.key_of(),
            skip=None if venue is None else venue.channel_heartbeat,
            sequence=given.sequence_of_connection,
        )
        self._conversation = Conversation(venue, serialize, self._registry, self, given.on_connect)
        self._reconciler = self._conversation.reconciler
        self._strays.attach(self._registry, self._conversation.on_message)
        self._watching = Watching(self, given.data_timeout, lambda: self._registry.routed)
        super().__init__(self._make_session(given, talks), serialize)
        self._registry.make_room = self._session.make_room
        self._wishes = Wishes(replace(given.terms, sequence=None), options.deserializer, options.message_type)
        self._subscribing = Subscribing(self._session, self._registry, self._reconciler, self._watching, self._wishes)

    def _make_session(self, given: Arguments, talks: bool) -> Session:
        assert given.uri is not None
        return Session(
            given.uri,
            given.options,
            self._registry.sink,
            count_messages=self._registry.count,
            on_open=self._on_open,
            on_end=self._on_end,
            on_lost=self._on_lost,
            on_closing=self._registry.stop_blocking,
            greet=self._conversation.greet if talks else None,
            connect_pace=() if given.venue is None else given.venue.connect_pace,
            events=MULTIPLEX_EVENTS,
        )

    # What becomes of the connection.

    def _reopen(self) -> None:
        self._registry.reopen()
        self._strays.reopen()

    def _on_open(self, link: Link, again: bool) -> None:
        """A connection is open: ask on it for all that is wanted."""
        if self._reconciler is None:
            asked = self._registry.ask_all(link)
            if again:
                count = "1 channel" if asked == 1 else f"{asked} channels"
                logger.info("%s: subscribed again, to %s", link.address, count)
        else:
            self._conversation.opened(link, again)
        self._watching.opened()

    def _on_lost(self, link: Link) -> None:
        self._registry.unrouted.end_early()
        self._watching.lost()
        self._conversation.lost()
        if not self._session.is_closing:
            self._registry.lost(time.time_ns() - int((time.monotonic() - link.last_read) * 1e9))

    def _on_end(self, error: JetSocketError | None) -> None:
        self._conversation.end(error)
        self._registry.end(error)
        self._strays.end(error)

    # For those who work for it.

    def emit(self, event: str, *facts: Any) -> None:
        """Call the handlers of `event`."""
        self._session.events.emit(event, *facts)

    def replace_connection(self, why: str) -> None:
        """Go on with a new connection at once; `why` ends the sentence that says so."""
        self._session.replace(why)

    def ask_anew(self, channel: str) -> bool:
        """Ask again for a channel that is stale; whether that was possible."""
        if self._reconciler is not None:
            return self._reconciler.renew(channel)
        link = self._session.link
        return link is not None and link.is_open and self._registry.ask_anew(channel, link)

    @property
    def is_held_up(self) -> bool:
        """Whether nothing is read, as some queue is full and blocks."""
        link = self._session.link
        return link is not None and bool(link.connection.decoder.blocked)

    @property
    def held_up_by(self) -> str | None:
        """The subscription whose queue has refused a message for want of room; None where none has."""
        return next((one.channel for one in self._registry.subscriptions() if one.ring.refused), None)

    def on_application_pong(self) -> None:
        """A message came that answers an application ping."""
        self._session.on_application_pong()

    async def _close_subscription(self, subscription: Subscription[Any]) -> None:
        await self._subscribing.close(subscription)

    def _on_gap(self, gap: Gap) -> None:
        # Not here, where somebody takes a message: a handler may do anything.
        asyncio.get_running_loop().call_soon(self.emit, "gap", gap)

    def _report(self, error: BaseException) -> None:
        """A function of the user's failed on a message: the first time is told, the counters tell the rest."""
        if not self._reported:
            self._reported = True
            report(logger, logging.WARNING, error, f"{self.uri}: a message could not be routed")
            self._session.events.emit("error", error)
