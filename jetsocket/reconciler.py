"""Brings what a server has confirmed to what is wanted, on one connection after another.

Per channel there is a state (`protocol/channels.py`). Wishes come from the user, answers from the server, silence from
timers, and the loss of everything from the connection. Whatever is then to be asked for or to be left waits until the
exchange's pace allows the next message, and goes in as few messages as the exchange allows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .batches import Batches
from .channel import Channel, Owner
from .errors import InvalidStateError, JetSocketError, SubscriptionError
from .protocol.channels import ChannelEvent, ChannelState, next_state
from .reporting import report
from .requests import Action, Request, Requests
from .venue import Reply

if TYPE_CHECKING:
    from .decoding import Serializing
    from .link import Link
    from .outgoing import Outgoing
    from .venue import Venue

logger = logging.getLogger("jetsocket.subscriptions")

# How often the server is told to leave a channel before the client gives up.
MOST_LEAVES = 3

_SETTLED = (ChannelState.SUBSCRIBED, ChannelState.REFUSED)
# Of those that a connection may have: what is being left makes room, the server hears of that first.
_TAKES_A_PLACE = frozenset({state for state in ChannelState if state.is_wanted} | {ChannelState.CANCELLING})
# The unsubscribe is to be sent, as soon as the pace allows.
_TO_BE_LEFT = (ChannelState.LEAVING, ChannelState.LINGERING, ChannelState.RENEWING)
# After these a key means the channel no longer.
_ENDS_A_KEY = frozenset({ChannelEvent.RELEASED, ChannelEvent.REVOKED, ChannelEvent.LOST})


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
        self.channels: dict[str, Channel] = {}
        self.unanswered = 0
        self._batches = Batches(venue, serialize)
        self._outgoing = outgoing
        self._owner = owner
        self._clock = clock
        self._requests = Requests(venue.answer_timeout, self._on_silent)
        # What is to be asked for and to be left, the oldest wish first; what of a longer request is still to be sent.
        self._wanted: dict[str, Channel] = {}
        self._unwanted: dict[str, Channel] = {}
        self._unsent: deque[tuple[bytes, bool, Request | None]] = deque()
        self._taken = 0
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # After a reconnect: what has no answer yet, how much that was, since when.
        self._restoring: set[str] = set()
        self._to_restore = 0
        self._restoring_since = 0.0

    # Wishes.

    def want(self, name: str) -> None:
        """It is wanted from now on. Raises SubscriptionError where the exchange allows no more on one connection."""
        channel = self.channels.get(name)
        most = self.venue.max_channels
        if most and self._taken >= most and (channel is None or channel.state not in _TAKES_A_PLACE):
            text = f"cannot subscribe to {name!r}: {self.venue.name} allows {most} channels on a connection"
            raise SubscriptionError(f"{text}; use another Multiplex for more", channel=name)
        if channel is None:
            channel = self.channels[name] = Channel(name)
        before = channel.state
        channel.unheard = 0
        self._apply(channel, ChannelEvent.WANT)
        if channel.key is not None and channel.state is not before:
            # Who wanted it last is gone; its data still come.
            self._owner.on_key(name, channel.key, True)

    def unwant(self, name: str) -> None:
        """It is not wanted any more; on a connection that has it, the server is told."""
        channel = self.channels.get(name)
        if channel is not None:
            if channel.doubtful and channel.state is ChannelState.WANTED:
                # As if the first request still waited for its answer: so that the server is told.
                self._apply(channel, ChannelEvent.ASKED)
                self._apply(channel, ChannelEvent.UNWANT)
                self._apply(channel, ChannelEvent.SILENT)
            self._apply(channel, ChannelEvent.UNWANT)
            if self.venue.matching == "data" and channel.state is ChannelState.CANCELLING:
                # No answer will tell that the server has it.
                self._apply(channel, ChannelEvent.SILENT)
            channel.wake()

    def renew(self, name: str) -> bool:
        """Ask for it anew, if the server has confirmed it: no data come though they should. Whether it will be."""
        channel = self.channels.get(name)
        if channel is None or channel.state is not ChannelState.SUBSCRIBED:
            return False
        self._apply(channel, ChannelEvent.RENEW)
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
            self._restoring = set(self._wanted)
            self._to_restore = len(self._restoring)
            self._restoring_since = self._clock()
        self._task = asyncio.get_running_loop().create_task(self._run(link), name="jetsocket subscribing")

    def lost(self) -> None:
        """The connection is gone, and all that was asked for on it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._requests.clear()
        self._unsent.clear()
        self._restoring.clear()
        for channel in tuple(self.channels.values()):
            self._forget_key(channel)
            channel.most = channel.left_out = 0
            channel.doubtful = False
            self._apply(channel, ChannelEvent.LOST)

    def end(self, error: JetSocketError) -> None:
        """No connection will come: whoever waits is told."""
        self.lost()
        for channel in self.channels.values():
            channel.wake(error)

    # Out.

    async def _run(self, link: Link) -> None:
        """Ask and leave, as long as the connection lasts."""
        while True:
            if not (self._wanted or self._unwanted or self._unsent) or self._must_wait():
                self._work.clear()
                await self._work.wait()
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
        action: Action = "unsubscribe" if self._unwanted else "subscribe"
        queue = self._unwanted or self._wanted
        if not queue:
            return
        if action == "unsubscribe" and self._leave_unsaid(queue):
            return
        number = self._requests.next_number()
        batch = [next(iter(queue.values()))]
        try:
            batch = self._batches.first_of(queue)
            batch, messages = self._batches.messages(action, batch, number)
        except Exception as error:  # noqa: BLE001  # the venue's function: these channels end by it, no others
            self._unmade(action, batch, error)
            return
        request = Request(number, action, [channel.name for channel in batch])
        self._unsent.extend((*message, None) for message in messages[:-1])
        self._unsent.append((*messages[-1], None if self.venue.matching == "data" else request))
        self._requests.add(request, answered=False)
        for channel in batch:
            self._apply(channel, ChannelEvent.LEFT if action == "unsubscribe" else ChannelEvent.ASKED)
            if self.venue.matching == "data":
                self._requests.settle(request, channel.name)
                if action == "unsubscribe":
                    self._apply(channel, ChannelEvent.RELEASED)
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
            self._apply(channel, ChannelEvent.LEFT)
            self._apply(channel, ChannelEvent.RELEASED)
        return bool(unsaid)

    def _unmade(self, action: Action, batch: list[Channel], error: Exception) -> None:
        for channel in batch:
            text = f"cannot {action} {channel.name!r}: {self.venue.name}'s {action} failed"
            report(logger, logging.ERROR, error, text)
            if action == "unsubscribe":
                self._apply(channel, ChannelEvent.LEFT)
                self._apply(channel, ChannelEvent.RELEASED)
                continue
            refused = SubscriptionError(f"{text}: {error}", channel=channel.name)
            refused.__cause__ = error
            self._apply(channel, ChannelEvent.ASKED)
            self._refuse(channel, refused)

    # In.

    def on_message(self, raw: bytes) -> bool:
        """A message without a channel that is subscribed to; whether it is one of the exchange's own."""
        try:
            reply = self.venue.classify(raw)
        except Exception as error:  # noqa: BLE001  # the venue's function: this message stays unknown
            report(logger, logging.WARNING, error, f"{self.venue.name}'s classify failed on a message")
            return False
        if not isinstance(reply, Reply):
            return False
        if reply.outcome in ("accepted", "refused"):
            self._on_answer(reply, raw)
        elif reply.outcome == "state":
            self._on_state(frozenset(reply.channels))
        elif reply.outcome == "revoked":
            self._on_revoked(reply, raw)
        elif reply.outcome == "pong":
            self._owner.on_pong()
        elif reply.outcome == "notice":
            self._owner.on_notice(reply, raw)
        return True

    def _on_answer(self, reply: Reply, raw: bytes) -> None:
        if reply.key is not None and not reply.channels:
            self._on_key_answer(reply, raw)
            return
        request = self._requests.answered_by(reply)
        if request is None and (reply.request_id is not None or not reply.channels):
            # The answer to a message of the user's own, or one that comes too late.
            if reply.outcome == "refused":
                self._owner.on_notice(reply, raw)
            return
        meant = _meant(reply, request)
        for name in meant:
            channel = self.channels.get(name)
            if request is not None:
                self._requests.settle(request, name)
            if channel is None:
                self._on_unwanted(name, reply)
                continue
            action = reply.action or (request.action if request is not None else self._action_of(channel))
            if reply.outcome == "refused":
                self._on_refused(channel, action, reply, raw, len(meant))
            elif action == "unsubscribe":
                self._apply(channel, ChannelEvent.RELEASED)
            else:
                self._learn(channel, reply.key)
                self._apply(channel, ChannelEvent.ACCEPTED)
        self._work.set()

    def _on_unwanted(self, name: str, reply: Reply) -> None:
        """An answer that comes when the channel was given up: where only that brings its key, it can be left now."""
        if reply.outcome == "accepted" and reply.action == "subscribe" and reply.key is not None:
            channel = self.channels[name] = Channel(name)
            channel.state, channel.key = ChannelState.CANCELLING, reply.key
            self._taken += 1
            self._apply(channel, ChannelEvent.ACCEPTED)

    def _on_key_answer(self, reply: Reply, raw: bytes) -> None:
        """The answer names its channel by the key of its data alone."""
        for channel in tuple(self.channels.values()):
            if channel.key == reply.key:
                self._on_answer(replace(reply, channels=(channel.name,), key=None), raw)

    def _action_of(self, channel: Channel) -> Action:
        leaving = (ChannelState.UNSUBSCRIBING, ChannelState.RETURNING)
        return "unsubscribe" if channel.state in leaving else "subscribe"

    def _on_refused(self, channel: Channel, action: Action, reply: Reply, raw: bytes, together: int) -> None:
        """It was refused with others, so many `together`: then nobody knows which of them is at fault."""
        if action == "unsubscribe":
            self._apply(channel, ChannelEvent.KEPT)
        elif together > 1:
            channel.most = max(1, together // 2)
            self._apply(channel, ChannelEvent.UNDECIDED)
        else:
            self._refuse(channel, self._refusal(channel, "refused", reply, raw))

    def _refusal(self, channel: Channel, verb: str, reply: Reply, raw: bytes) -> SubscriptionError:
        why = reply.message or "without a reason"
        code = "" if reply.code is None else f" (code {reply.code})"
        text = f"{self.venue.name} {verb} {channel.name!r}: {why}{code}"
        return SubscriptionError(text, channel=channel.name, code=reply.code, message=reply.message, raw=raw)

    def _refuse(self, channel: Channel, error: SubscriptionError, event: ChannelEvent = ChannelEvent.REFUSED) -> None:
        before = channel.state
        channel.error = error
        self._apply(channel, event)
        if channel.state is ChannelState.REFUSED and before is not ChannelState.REFUSED:
            self._forget_key(channel)
            self._owner.on_refused(channel.name, error)

    def _on_state(self, there: frozenset[str]) -> None:
        """The server has said all that it has for this connection: the answer to whatever was asked."""
        for request in self._requests:
            self._requests.close(request)
        for channel in tuple(self.channels.values()):
            if channel.name in there:
                leaving = channel.state in (ChannelState.UNSUBSCRIBING, ChannelState.RETURNING)
                self._apply(channel, ChannelEvent.KEPT if leaving else ChannelEvent.ACCEPTED)
            elif channel.state is ChannelState.SUBSCRIBING:
                self._on_left_out(channel)
            elif channel.state is ChannelState.CANCELLING:
                self._apply(channel, ChannelEvent.UNDECIDED)
            else:
                self._apply(channel, ChannelEvent.RELEASED)
        self._work.set()

    def _on_left_out(self, channel: Channel) -> None:
        """It was asked for, and the server's list has it not: once that may be an older list, twice it is an answer."""
        channel.left_out += 1
        if channel.left_out == 1:
            self._apply(channel, ChannelEvent.SILENT)
            return
        text = f"{self.venue.name} refused {channel.name!r}: it is not in the list of what is subscribed to"
        self._refuse(channel, SubscriptionError(text, channel=channel.name))

    def _on_revoked(self, reply: Reply, raw: bytes) -> None:
        """A name without a colon stands for all channels that begin so.

        It is not about what has no answer yet: the server has not got the request, or its answer comes behind this.
        """
        unanswered = (ChannelState.WANTED, ChannelState.SUBSCRIBING, ChannelState.CANCELLING)
        for channel in tuple(self.channels.values()):
            if channel.state in unanswered:
                continue
            if channel.name in reply.channels or channel.name.partition(":")[0] in reply.channels:
                self._refuse(channel, self._refusal(channel, "ended", reply, raw), ChannelEvent.REVOKED)

    def on_first_data(self, name: str) -> None:
        """Data of `name` came, which are the answer where no other comes."""
        channel = self.channels.get(name)
        if channel is not None and channel.state is ChannelState.SUBSCRIBING:
            self._apply(channel, ChannelEvent.ACCEPTED)

    def _on_silent(self, request: Request) -> None:
        self.unanswered += 1
        asking = (ChannelState.SUBSCRIBING, ChannelState.CANCELLING)
        leaving = (ChannelState.UNSUBSCRIBING, ChannelState.RETURNING)
        given_up: list[str] = []
        for name in request.pending:
            channel = self.channels.get(name)
            if channel is None or channel.state not in (asking if request.action == "subscribe" else leaving):
                # What has become of it since is no matter of this request.
                continue
            event = ChannelEvent.SILENT
            if channel.state is ChannelState.UNSUBSCRIBING:
                channel.unheard += 1
                if channel.unheard == MOST_LEAVES:
                    event = ChannelEvent.UNHEARD
                    given_up.append(name)
            self._apply(channel, event)
        self._say_silent(request.action, [name for name in request.pending if name not in given_up], "asking again")
        self._say_silent(request.action, given_up, "it may go on sending")
        self._work.set()

    def _say_silent(self, action: Action, names: list[str], then: str) -> None:
        if names:
            of = repr(names[0]) if len(names) == 1 else f"{len(names)} channels"
            logger.warning("%s has not answered: %s %s; %s", self.venue.name, action, of, then)

    # The states.

    def _apply(self, channel: Channel, event: ChannelEvent) -> None:
        before = channel.state
        channel.state = state = next_state(before, event)
        _keep(self._wanted, channel, state is ChannelState.WANTED)
        _keep(self._unwanted, channel, state in _TO_BE_LEFT)
        if self._wanted or self._unwanted:
            self._work.set()
        if state is before:
            return
        if state is ChannelState.WANTED and (event is ChannelEvent.SILENT or before is ChannelState.LINGERING):
            channel.doubtful = True
        elif state in _SETTLED:
            channel.doubtful = False
        self._taken += (state in _TAKES_A_PLACE) - (before in _TAKES_A_PLACE)
        if event in _ENDS_A_KEY:
            self._forget_key(channel)
        if state is ChannelState.IDLE:
            self._forget_key(channel)
            del self.channels[channel.name]
        if state is ChannelState.SUBSCRIBED:
            channel.most = channel.left_out = 0
            self._owner.on_confirmed(channel.name)
        if state in _SETTLED:
            channel.wake()
        if self._restoring and (state in _SETTLED or not state.is_wanted):
            self._restored(channel.name)

    def _restored(self, name: str) -> None:
        self._restoring.discard(name)
        if not self._restoring:
            self._owner.on_restored(self._to_restore, self._clock() - self._restoring_since)

    def _learn(self, channel: Channel, key: str | None) -> None:
        if key is not None and key != channel.key:
            self._forget_key(channel)
            for other in self.channels.values():
                # Given away by the server, which has ended the other without a word.
                if other.key == key:
                    self._forget_key(other)
            channel.key = key
            self._owner.on_key(channel.name, key, True)

    def _forget_key(self, channel: Channel) -> None:
        if channel.key is not None:
            key, channel.key = channel.key, None
            self._owner.on_key(channel.name, key, False)


def _meant(reply: Reply, request: Request | None) -> list[str]:
    """The channels that an answer is about."""
    pending = [] if request is None else list(request.pending)
    names: list[str] = []
    for name in reply.channels:
        names += [one for one in pending if one.endswith(name)] if name.startswith(":") else [name]
    return names or (pending if not reply.channels else [])


def _keep(queue: dict[str, Channel], channel: Channel, wanted: bool) -> None:
    if wanted:
        queue.setdefault(channel.name, channel)
    else:
        queue.pop(channel.name, None)
