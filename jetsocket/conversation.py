"""What a Multiplex and its exchange say to one another beside data: logins, requests and answers, notices, pongs."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Protocol

from .errors import InvalidStateError, JetSocketError, SubscriptionError
from .first_data import FirstData
from .greeting import Greeting, Inbox, OnConnect
from .occurrences import Notice, Resubscribed
from .outgoing import Outgoing

if TYPE_CHECKING:
    from .decoding import Serializing
    from .link import Link
    from .reconciler import Reconciler
    from .registry import Registry
    from .venue import Reply, Venue

logger = logging.getLogger("jetsocket.subscriptions")


class Host(Protocol):
    """The Multiplex, as far as a conversation needs it."""

    def emit(self, event: str, *facts: Any) -> None: ...

    def replace_connection(self, why: str) -> None: ...

    @property
    def is_held_up(self) -> bool: ...

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
        # While there is no open connection: what comes on the next one, for `on_connect`.
        self._inbox = self._new_inbox()
        if venue is not None:
            # A sixth of what importing jetsocket would cost.
            from .reconciler import Reconciler  # noqa: PLC0415

            self.outgoing = Outgoing(venue.pace, reserve=venue.reserve, counts_control=venue.pace_counts_control)
            self.reconciler = Reconciler(venue, serialize, self.outgoing, self)
            self._first_data = FirstData(registry.routes, self.reconciler.on_first_data)

    # Connections.

    async def greet(self, link: Link) -> None:
        """The connection is new: run `on_connect` before anything else is sent on it."""
        self.outgoing.opened(link.pongs)
        link.outgoing = self.outgoing
        if self._on_connect is None:
            return
        self._inbox = inbox = self._inbox or Inbox()
        # The next connection's messages are another's, also while a hook that was given up still cleans up.
        link.ended.add_done_callback(lambda _: self._leave_inbox(inbox))
        try:
            outcome = self._on_connect(Greeting(link, self._serialize, self.outgoing, inbox))
            if inspect.isawaitable(outcome):
                await outcome
        except BaseException:
            self._leave_inbox(inbox)
            raise

    def _leave_inbox(self, inbox: Inbox) -> None:
        if self._inbox is inbox:
            self._inbox = Inbox()

    def _new_inbox(self) -> Inbox | None:
        return None if self._on_connect is None else Inbox()

    def opened(self, link: Link, again: bool) -> None:
        """The connection is open and greeted."""
        self._inbox = None
        if self.reconciler is not None:
            self.reconciler.opened(link, again)

    def lost(self) -> None:
        """The connection is gone."""
        self._inbox = self._new_inbox()
        if self.reconciler is not None:
            self._first_data.clear()
            self.reconciler.lost()
        self.outgoing.lost()

    def end(self, error: JetSocketError | None) -> None:
        """No connection will come."""
        self.outgoing.lost()
        if self.reconciler is not None:
            closed = InvalidStateError("closed", "open", "subscribe", "cannot subscribe: the multiplex was closed")
            self.reconciler.end(error or closed)

    def on_message(self, raw: bytes) -> bool:
        """A message that belongs to no channel; whether it was meant for us."""
        if self._inbox is not None:
            self._inbox.put(raw)
        return self.reconciler is not None and self.reconciler.on_message(raw)

    # What becomes of channels: for the reconciler.

    def on_confirmed(self, channel: str) -> None:
        """The server has confirmed it."""
        self._registry.confirmed(channel)

    def on_interrupted(self, channel: str, since: int) -> None:
        """It will be asked for anew, on the same connection."""
        self._registry.interrupted(channel, since)

    def on_key(self, channel: str, key: str, known: bool) -> None:
        """Data of `channel` carry `key` from now on, or no longer."""
        self._registry.learned(channel, key, known)

    def on_asked(self, channel: str) -> None:
        """Its first data will be the answer."""
        self._first_data.expect(channel)

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
        # A welcome is no cause for alarm, nor is a login that succeeded.
        level = logging.INFO if reply.code in (None, 0, "0") and reply.then == "nothing" else logging.WARNING
        # An answer to what the user sent may quote it: a login, with its key.
        words = reply.message if reply.outcome == "notice" else "an error that answers no subscription"
        logger.log(level, "notice %s: %s", reply.code, words)
        self._soon("notice", Notice(reply.code, reply.message, raw, reply.then))
        if reply.then == "reconnect":
            self._host.replace_connection("as the exchange asks for it")
        elif reply.then == "resubscribe" and self.reconciler is not None:
            for channel in tuple(self.reconciler.channels):
                self.reconciler.renew(channel)

    def on_told(self, notice: Notice) -> None:
        """Something like a notice, which was logged already."""
        self._soon("notice", notice)

    def is_held_up(self) -> bool:
        """Whether nothing is read, as some queue is full and blocks."""
        return self._host.is_held_up

    def on_pong(self) -> None:
        """An application ping was answered."""
        self._host.on_application_pong()

    def _soon(self, event: str, fact: object) -> None:
        # Not here, in the middle of a read: a handler may do anything.
        asyncio.get_running_loop().call_soon(self._host.emit, event, fact)
