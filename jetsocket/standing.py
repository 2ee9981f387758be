"""Where each channel of a Multiplex with a venue stands, and what follows when that changes.

What is to be asked for or to be left stands in a queue then; who waits is woken; the owner is told of what is confirmed
or refused, of keys that are learned or mean the channel no longer, and when after a reconnect all is there again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .channel import Channel, Owner
from .pausing import longer
from .protocol.channels import ChannelEvent, ChannelState, next_state

if TYPE_CHECKING:
    from .errors import SubscriptionError

_SETTLED = (ChannelState.SUBSCRIBED, ChannelState.REFUSED)
# Of those that a connection may have: what is being left makes room, the server hears of that first.
_TAKES_A_PLACE = frozenset({state for state in ChannelState if state.is_wanted} | {ChannelState.CANCELLING})
# The unsubscribe is to be sent, as soon as the pace allows.
_TO_BE_LEFT = (ChannelState.LEAVING, ChannelState.LINGERING, ChannelState.RENEWING)
_TO_COME = (ChannelState.WANTED, ChannelState.SUBSCRIBING)
# After these a key means the channel no longer.
_ENDS_A_KEY = frozenset({ChannelEvent.RELEASED, ChannelEvent.REVOKED, ChannelEvent.LOST})
# Live for so many seconds, a channel that the server ends is asked for again at once.
FORGIVEN = 60.0


class Standing:
    """The channels by name: those that are in some state but IDLE. `clock()`: seconds."""

    def __init__(self, owner: Owner, clock: Callable[[], float]) -> None:
        self.channels: dict[str, Channel] = {}
        # What is to be asked for and to be left, the oldest wish first; set when there may be some of it.
        self.wanted: dict[str, Channel] = {}
        self.unwanted: dict[str, Channel] = {}
        self.work = asyncio.Event()
        # How many of those that a connection may have are taken.
        self.taken = 0
        self._owner = owner
        self._clock = clock
        # After a reconnect: what has no answer yet, how much that was, since when.
        self._restoring: set[str] = set()
        self._to_restore = 0
        self._restoring_since = 0.0

    def has_place(self, name: str, most: int) -> bool:
        """Whether `name` is among so many on a connection, or can be."""
        channel = self.channels.get(name)
        return self.taken < most or (channel is not None and channel.state in _TAKES_A_PLACE)

    def enter(self, name: str) -> Channel:
        """The channel of that name; a new one is IDLE, which it must not stay."""
        return self.channels.setdefault(name, Channel(name))

    def enter_late(self, name: str, key: str) -> None:
        """The server has it though it was given up, as an answer says that brings its `key`: it can be left by that."""
        channel = self.enter(name)
        channel.state, channel.key = ChannelState.CANCELLING, key
        self.taken += 1
        self.apply(channel, ChannelEvent.ACCEPTED)

    def apply(self, channel: Channel, event: ChannelEvent) -> None:
        """`event` happens to `channel`."""
        before = channel.state
        channel.state = state = next_state(before, event)
        if channel.held is not None and state is not ChannelState.WANTED:
            self._let_go(channel)
        _keep(self.wanted, channel, state is ChannelState.WANTED and channel.held is None)
        _keep(self.unwanted, channel, state in _TO_BE_LEFT)
        if self.wanted or self.unwanted:
            self.work.set()
        self._watch_the_end(channel, before, event)
        if state is before:
            return
        if state is ChannelState.WANTED and (event is ChannelEvent.SILENT or before is ChannelState.LINGERING):
            channel.doubtful = True
        elif state in _SETTLED:
            channel.doubtful = False
        self.taken += (state in _TAKES_A_PLACE) - (before in _TAKES_A_PLACE)
        if event in _ENDS_A_KEY:
            self.forget_key(channel)
        if state is ChannelState.IDLE:
            self.forget_key(channel)
            del self.channels[channel.name]
        if state is ChannelState.SUBSCRIBED:
            channel.most = channel.left_out = 0
            channel.live_since = self._clock()
            self._owner.on_confirmed(channel.name)
        if state in _SETTLED:
            channel.wake()
        if self._restoring and (state in _SETTLED or not state.is_wanted):
            self._restored(channel.name)

    def _watch_the_end(self, channel: Channel, before: ChannelState, event: ChannelEvent) -> None:
        """Tell the owner where the server has ended what is wanted, or perhaps has."""
        if event is ChannelEvent.LEFT:
            channel.left_ns = time.time_ns()
            return
        lost, there = event is ChannelEvent.LOST, channel.state is ChannelState.SUBSCRIBED
        if channel.state in _TO_COME:
            ended = event is ChannelEvent.RELEASED or (before is ChannelState.RETURNING and not lost)
        else:
            # It was left, nobody knows whether in vain, and was wanted again.
            ended = there and before is ChannelState.SUBSCRIBING and channel.left_ns > 0
        since = channel.left_ns or time.time_ns()
        if ended or there or lost:
            channel.left_ns = 0
        if ended:
            self._owner.on_interrupted(channel.name, since)

    def refuse(self, channel: Channel, error: SubscriptionError, event: ChannelEvent = ChannelEvent.REFUSED) -> None:
        """The server does not send it, or (REVOKED) no longer, for what `error` says: whoever waits is told.

        Nobody wants it any more then, and it is forgotten.
        """
        if next_state(channel.state, event) is ChannelState.REFUSED:
            channel.wake(error)
        self.apply(channel, event)
        if channel.state is ChannelState.REFUSED:
            self.forget_key(channel)
            self._owner.on_refused(channel.name, error)
            self.apply(channel, ChannelEvent.UNWANT)

    def put_off(self, channel: Channel) -> float:
        """The server has ended it by itself: after how many seconds it is asked for again, at once the first time."""
        if self._clock() - channel.live_since >= FORGIVEN:
            channel.delay = 0.0
        seconds, channel.delay = channel.delay, longer(channel.delay)
        if seconds and channel.state is ChannelState.WANTED:
            channel.held = asyncio.get_running_loop().call_later(seconds, self._go_on, channel)
            _keep(self.wanted, channel, False)
        return seconds

    def _go_on(self, channel: Channel) -> None:
        self._let_go(channel)
        _keep(self.wanted, channel, channel.state is ChannelState.WANTED)
        self.work.set()

    def _let_go(self, channel: Channel) -> None:
        if channel.held is not None:
            channel.held.cancel()
            channel.held = None

    # Connections.

    def restore(self) -> None:
        """There is a connection again: the owner is told when all that is to be asked for has its answer."""
        self._restoring = set(self.wanted)
        self._to_restore = len(self._restoring)
        self._restoring_since = self._clock()

    def _restored(self, name: str) -> None:
        self._restoring.discard(name)
        if not self._restoring:
            self._owner.on_restored(self._to_restore, self._clock() - self._restoring_since)

    def lost(self) -> None:
        """The connection is gone, and with it whatever was there."""
        self._restoring.clear()
        for channel in tuple(self.channels.values()):
            self.forget_key(channel)
            channel.most = channel.left_out = 0
            channel.doubtful = False
            self._let_go(channel)
            self.apply(channel, ChannelEvent.LOST)

    # Keys.

    def learn(self, channel: Channel, key: str) -> None:
        """Its data carry `key` from now on."""
        if key == channel.key:
            return
        # The server has begun it anew: of what it sent under the old key the end may be missing.
        anew = channel.key is not None and channel.state is ChannelState.SUBSCRIBED
        if anew:
            self._owner.on_interrupted(channel.name, time.time_ns())
        self.forget_key(channel)
        for other in self.channels.values():
            # Given away by the server, which has ended the other without a word.
            if other.key == key:
                self.forget_key(other)
        channel.key = key
        self._owner.on_key(channel.name, key, True)
        if anew:
            self._owner.on_confirmed(channel.name)

    def forget_key(self, channel: Channel) -> None:
        """Its key means it no longer."""
        if channel.key is not None:
            key, channel.key = channel.key, None
            self._owner.on_key(channel.name, key, False)


def _keep(queue: dict[str, Channel], channel: Channel, wanted: bool) -> None:
    if wanted:
        queue.setdefault(channel.name, channel)
    else:
        queue.pop(channel.name, None)
