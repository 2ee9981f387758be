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
from collections.abc import Callable, Iterable
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
        self._clock = clock
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
            if channel is None or not channel.state.is_wanted:
                text = f"cannot subscribe: channel {name!r} was unsubscribed meanwhile"
                raise InvalidStateError("closed", "open", "subscribe", text)
            if channel.state is ChannelState.SUBSCRIBED:
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            channel.waiters.append(waiter)
            try:
                await waiter
            finally:
                channel.waiters.remove(waiter)
                # It has the error, which has this frame.
                del waiter

    def state_of(self, name: str) -> ChannelState:
        """Where `name` stands."""
        channel = self.channels.get(name)
        return ChannelState.IDLE if channel is None else channel.state

    def lack(self, names: Iterable[str]) -> str:
        """What the first of `names` that is not there waits for, as the end of a sentence; empty: none waits."""
        for name in names:
            channel = self.channels.get(name)
            if channel is not None and channel.state.is_wanted and channel.state is not ChannelState.SUBSCRIBED:
                return self._lack(channel)
        return ""

    def _lack(self, channel: Channel) -> str:
        venue = self.venue.name
        if self._task is None:
            return "there is no connection"
        if channel.state is not ChannelState.WANTED:
            ago = self._clock() - channel.asked_at
            return f"{channel.name!r} was asked for {ago:.1f} s ago, and {venue} is silent"
        if channel.held is not None:
            return f"{venue} ends {channel.name!r} again and again by itself, and is asked again later"
        text = f"{channel.name!r} still waits for its turn"
        if self._replies.pause.is_on:
            return f"{text}: {venue} asks to wait, {self._replies.pause.left:.1f} s more"
        before = list(self._standing.wanted).index(channel.name) + len(self._standing.unwanted)
        delay = self._outgoing.turn_delay()
        pace = f" in {delay:.1f} s, by its pace" if delay > 0 else ""
        if self._must_wait():
            pace = ", after the answer to the last"
        return f"{text}, {before} before it: the next request to {venue} goes{pace or ' now'}"

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
        self._replies.pause.clear()
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
            if self._replies.pause.is_on:
                continue
            if not self._unsent:
                self._request_next()
            if self._unsent:
                payload, binary, request = self._unsent.popleft()
                link.write(link.connection.message(payload, binary))
                if request is not None:
                    self._requests.begin(request)

    def _must_wait(self) -> bool:
        if self._replies.pause.is_on:
            return True
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
        try:
            batch, messages = self._batches.messages(action, self._batches.first_of(queue), number)
        except FAILURES as error:  # the venue's function: these channels end by it, no others
            self._end_unmade(action, queue, error)
            self._request_next()
            return
        request = Request(number, action, [channel.name for channel in batch])
        self._unsent.extend((*message, None) for message in messages[:-1])
        self._unsent.append((*messages[-1], None if self.venue.matching == "data" else request))
        self._requests.add(request, answered=False)
        for channel in batch:
            channel.asked_at = self._clock()
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

    def _end_unmade(self, action: Action, queue: dict[str, Channel], error: BaseException) -> None:
        """End those whose own message cannot be made; where each can, but not together, all of them."""
        waiting = tuple(queue.values())
        alone = {channel.name: self._batches.failure(action, channel) for channel in waiting}
        for channel in waiting:
            why = alone[channel.name] if any(alone.values()) else error
            if why is not None:
                self._unmade(action, channel, why)

    def _unmade(self, action: Action, channel: Channel, error: BaseException) -> None:
        text = f"cannot {action} {channel.name!r}: {self.venue.name}'s {action} failed"
        report(logger, logging.ERROR, error, text)
        if action == "unsubscribe":
            self._standing.apply(channel, ChannelEvent.LEFT)
            self._standing.apply(channel, ChannelEvent.RELEASED)
            return
        refused = SubscriptionError(f"{text}: {error}", channel=channel.name)
        refused.__cause__ = error
        self._standing.apply(channel, ChannelEvent.ASKED)
        self._standing.refuse(channel, refused)
