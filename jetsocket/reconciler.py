"""Brings what a server has confirmed to what is wanted, on one connection after another.

Per channel there is a state (`protocol/channels.py`, kept by `standing.py`). Wishes come from the user, answers and
silence from the server (`replies.py`), and the loss of everything from the connection. Whatever is then to be asked for
or to be left waits until the exchange's pace allows the next message, and goes in as few messages as the exchange
allows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .batches import Batches
from .errors import InvalidStateError, JetSocketError, SubscriptionError
from .protocol.channels import ChannelEvent, ChannelState
from .replies import Replies
from .reporting import FAILURES, report
from .requests import Action, Request
from .standing import Standing

if TYPE_CHECKING:
    from .channel import Channel, Owner
    from .decoding import Serializing
    from .link import Link
    from .outgoing import Outgoing
    from .venue import Venue

logger = logging.getLogger("jetsocket.subscriptions")


class Reconciler:
    """The channels of one Multiplex with a venue."""

    def __init__(
        self,
        venue: Venue,
        serialize: Serializing,
        outgoing: Outgoing,
        owner: Owner,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.venue = venue
        self._standing = Standing(owner, clock)
        self.channels = self._standing.channels
        self._replies = Replies(venue, self._standing, owner)
        # Called for messages: nothing stands between.
        self.on_message = self._replies.on_message
        self.on_first_data = self._replies.on_first_data
        self._requests = self._replies.requests
        self._batches = Batches(venue, serialize)
        self._outgoing = outgoing
        self._owner = owner
        # What of a longer request is still to be sent.
        self._unsent: deque[tuple[bytes, bool, Request | None]] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def unanswered(self) -> int:
        """How many requests had no answer in time."""
        return self._replies.unanswered

    # Wishes.

    def want(self, name: str) -> None:
        """It is wanted from now on. Raises SubscriptionError where the exchange allows no more on one connection."""
        most = self.venue.max_channels
        if most and not self._standing.has_place(name, most):
            text = f"cannot subscribe to {name!r}: {self.venue.name} allows {most} channels on a connection"
            raise SubscriptionError(f"{text}; use another Multiplex for more", channel=name)
        channel = self._standing.enter(name)
        before = channel.state
        channel.unheard = 0
        self._standing.apply(channel, ChannelEvent.WANT)
        if channel.key is not None and channel.state is not before:
            # Who wanted it last is gone; its data still come.
            self._owner.on_key(name, channel.key, True)

    def unwant(self, name: str) -> None:
        """It is not wanted any more; on a connection that has it, the server is told."""
        channel = self.channels.get(name)
        if channel is not None:
            if channel.doubtful and channel.state is ChannelState.WANTED:
                # As if the first request still waited for its answer: so that the server is told.
                self._standing.apply(channel, ChannelEvent.ASKED)
                self._standing.apply(channel, ChannelEvent.UNWANT)
                self._standing.apply(channel, ChannelEvent.SILENT)
            self._standing.apply(channel, ChannelEvent.UNWANT)
            if self.venue.matching == "data" and channel.state is ChannelState.CANCELLING:
                # No answer will tell that the server has it.
                self._standing.apply(channel, ChannelEvent.SILENT)
            channel.wake()

    def renew(self, name: str) -> bool:
        """Ask for it anew, if the server has confirmed it: no data come though they should. Whether it will be."""
        channel = self.channels.get(name)
        if channel is None or channel.state is not ChannelState.SUBSCRIBED:
            return False
        self._standing.apply(channel, ChannelEvent.RENEW)
        return True

    async def settled(self, name: str) -> None:
        """Until the server has confirmed `name`. Raises its refusal, or what `end()` was given.

        InvalidStateError where it is not wanted any more.
        """
        while True:
            channel = self.channels.get(name)
            if channel is None or not (channel.state.is_wanted or channel.state is ChannelState.REFUSED):
                text = f"cannot subscribe: channel {name!r} was unsubscribed meanwhile"
                raise InvalidStateError("closed", "open", "subscribe", text)
            if channel.state is ChannelState.SUBSCRIBED:
                return
            if channel.state is ChannelState.REFUSED:
                assert channel.error is not None
                raise channel.error.with_traceback(None)
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            channel.waiters.append(waiter)
            try:
                await waiter
            finally:
                channel.waiters.remove(waiter)

    def state_of(self, name: str) -> ChannelState:
        """Where `name` stands."""
        channel = self.channels.get(name)
        return ChannelState.IDLE if channel is None else channel.state

    # Connections.

    def opened(self, link: Link, again: bool) -> None:
        """There is a connection, on which nothing is subscribed to yet."""
        self.lost()
        if again:
            self._standing.restore()
        self._task = asyncio.get_running_loop().create_task(self._run(link), name="jetsocket subscribing")

    def lost(self) -> None:
        """The connection is gone, and all that was asked for on it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._requests.clear()
        self._unsent.clear()
        self._standing.lost()

    def end(self, error: JetSocketError) -> None:
        """No connection will come: whoever waits is told."""
        self.lost()
        for channel in self.channels.values():
            channel.wake(error)

    # Out.

    async def _run(self, link: Link) -> None:
        """Ask and leave, as long as the connection lasts."""
        while True:
            if not (self._standing.wanted or self._standing.unwanted or self._unsent) or self._must_wait():
                self._standing.work.clear()
                await self._standing.work.wait()
                continue
            await link.drain()
            await self._outgoing.turn()
            if not link.is_open:
                return
            if not self._unsent:
                self._request_next()
            if self._unsent:
                payload, binary, request = self._unsent.popleft()
                link.write(link.connection.message(payload, binary))
                if request is not None:
                    self._requests.begin(request)

    def _must_wait(self) -> bool:
        return self.venue.one_at_a_time and len(self._requests) > 0 and not self._unsent

    def _request_next(self) -> None:
        """Make the next request: what is to be left goes first, it makes room for what is to be asked for."""
        action: Action = "unsubscribe" if self._standing.unwanted else "subscribe"
        queue = self._standing.unwanted or self._standing.wanted
        if not queue:
            return
        if action == "unsubscribe" and self._leave_unsaid(queue):
            return
        number = self._requests.next_number()
        batch = [next(iter(queue.values()))]
        try:
            batch = self._batches.first_of(queue)
            batch, messages = self._batches.messages(action, batch, number)
        except FAILURES as error:  # the venue's function: these channels end by it, no others
            self._unmade(action, batch, error)
            return
        request = Request(number, action, [channel.name for channel in batch])
        self._unsent.extend((*message, None) for message in messages[:-1])
        self._unsent.append((*messages[-1], None if self.venue.matching == "data" else request))
        self._requests.add(request, answered=False)
        for channel in batch:
            self._standing.apply(channel, ChannelEvent.LEFT if action == "unsubscribe" else ChannelEvent.ASKED)
            if self.venue.matching == "data":
                self._requests.settle(request, channel.name)
                if action == "unsubscribe":
                    self._standing.apply(channel, ChannelEvent.RELEASED)
                else:
                    self._owner.on_asked(channel.name)

    def _leave_unsaid(self, queue: dict[str, Channel]) -> bool:
        """Leave what the server cannot be told of: it goes on sending, and nobody listens.

        A channel without its key, where it is named by that, is one that the server has not answered: if it does after
        all, it is told then.
        """
        by_key = self.venue.matching == "learned"
        unsaid = [one for one in queue.values() if self.venue.unsubscribe is None or (by_key and one.key is None)]
        for channel in unsaid:
            self._standing.apply(channel, ChannelEvent.LEFT)
            self._standing.apply(channel, ChannelEvent.RELEASED)
        return bool(unsaid)

    def _unmade(self, action: Action, batch: list[Channel], error: BaseException) -> None:
        for channel in batch:
            text = f"cannot {action} {channel.name!r}: {self.venue.name}'s {action} failed"
            report(logger, logging.ERROR, error, text)
            if action == "unsubscribe":
                self._standing.apply(channel, ChannelEvent.LEFT)
                self._standing.apply(channel, ChannelEvent.RELEASED)
                continue
            refused = SubscriptionError(f"{text}: {error}", channel=channel.name)
            refused.__cause__ = error
            self._standing.apply(channel, ChannelEvent.ASKED)
            self._standing.refuse(channel, refused)
