"""What an exchange says of channels, and that it is silent, brought to where they stand.

Answers are matched with requests by their number, by the channels that they name, or by the keys of these; some
exchanges list all that a connection has in place of an answer. What it says to people, and its pongs, go to the owner.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import SubscriptionError
from .occurrences import Notice
from .pausing import Pause
from .protocol.channels import ChannelEvent, ChannelState
from .reporting import FAILURES, report
from .requests import Action, Request, Requests
from .venue import Reply

if TYPE_CHECKING:
    from .channel import Channel, Owner
    from .standing import Standing
    from .venue import Venue

logger = logging.getLogger("jetsocket.subscriptions")

# How often the server is told to leave a channel before the client gives up.
MOST_LEAVES = 3

# The answer to that request is still to come.
_ASKED = (ChannelState.SUBSCRIBING, ChannelState.CANCELLING)
_LEFT = (ChannelState.UNSUBSCRIBING, ChannelState.RETURNING)


class Replies:
    """Of one exchange. `requests`: those that wait for its answer; `unanswered`: how many waited in vain."""

    def __init__(self, venue: Venue, standing: Standing, owner: Owner) -> None:
        self.requests = Requests(
            venue.answer_timeout, self._on_silent, one_at_a_time=venue.one_at_a_time, held_up=owner.is_held_up
        )
        self.unanswered = 0
        self.pause = Pause(standing.work.set)
        self._venue = venue
        self._standing = standing
        self._owner = owner

    def on_message(self, raw: bytes) -> bool:
        """A message without a channel that is subscribed to; whether it is one of the exchange's own."""
        try:
            reply = self._venue.classify(raw)
        except FAILURES as error:  # the venue's function: this message stays unknown
            report(logger, logging.WARNING, error, f"{self._venue.name}'s classify failed on a message")
            return False
        if not isinstance(reply, Reply):
            return False
        if reply.outcome in ("accepted", "refused"):
            self._on_answer(reply, raw)
        elif reply.outcome == "later":
            self._on_later(reply, raw)
        elif reply.outcome == "state":
            self._on_state(frozenset(reply.channels), raw)
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
        request = self.requests.answered_by(reply)
        if request is None and (reply.request_id is not None or not reply.channels):
            # The answer to a message of the user's own, or one that comes too late.
            if reply.outcome == "refused":
                self._owner.on_notice(reply, raw)
            return
        meant = _meant(reply, request)
        for name in meant:
            channel = self._standing.channels.get(name)
            if request is not None:
                self.requests.settle(request, name)
            if channel is None:
                self._on_unwanted(name, reply)
                continue
            action = reply.action or (request.action if request is not None else self._action_of(channel))
            if reply.outcome == "refused":
                self._on_refused(channel, action, reply, raw, len(meant))
            elif action == "unsubscribe":
                self._release(channel, raw)
            else:
                self.pause.answered()
                if reply.key is not None:
                    self._standing.learn(channel, reply.key)
                self._standing.apply(channel, ChannelEvent.ACCEPTED)
        self._standing.work.set()

    def _on_later(self, reply: Reply, raw: bytes) -> None:
        """The exchange has too much to do: what it speaks of is asked again when it has had a pause."""
        request = self.requests.answered_by(reply)
        if request is None and reply.request_id is not None:
            # Of the user's own.
            self._owner.on_notice(reply, raw)
            return
        for name in _meant(reply, request):
            channel = self._standing.channels.get(name)
            if request is not None:
                self.requests.settle(request, name)
            if channel is not None:
                self._standing.apply(channel, ChannelEvent.POSTPONED)
        first = self.pause.seconds == 0
        if self.pause.begin():
            # Where it is not known whose it is, it may quote what the user has sent.
            why = f": {reply.message}" if request is not None and reply.message else ""
            code = "" if reply.code is None else f" (code {reply.code})"
            text = "%s asks to wait%s%s; asking again in %g s"
            level = logging.WARNING if first else logging.INFO
            logger.log(level, text, self._venue.name, why, code, self.pause.seconds)
        self._owner.on_told(Notice(reply.code, reply.message, raw))
        self._standing.work.set()

    def _release(self, channel: Channel, raw: bytes) -> None:
        """The server sends it no longer: as it was asked, or by itself. Then it may do so again and again."""
        by_itself = channel.state in (ChannelState.SUBSCRIBED, ChannelState.RENEWING)
        self._standing.apply(channel, ChannelEvent.RELEASED)
        if by_itself:
            seconds = self._standing.put_off(channel)
            when = f" in {seconds:g} s" if seconds else ""
            text = f"{self._venue.name} has ended {channel.name!r} by itself; asking again{when}"
            logger.warning("%s", text)
            self._owner.on_told(Notice(None, text, raw))

    def _on_unwanted(self, name: str, reply: Reply) -> None:
        """An answer that comes when the channel was given up: where only that brings its key, it can be left now."""
        if reply.outcome == "accepted" and reply.action == "subscribe" and reply.key is not None:
            self._standing.enter_late(name, reply.key)

    def _on_key_answer(self, reply: Reply, raw: bytes) -> None:
        """The answer names its channel by the key of its data alone."""
        for channel in tuple(self._standing.channels.values()):
            if channel.key == reply.key:
                self._on_answer(replace(reply, channels=(channel.name,), key=None), raw)

    def _action_of(self, channel: Channel) -> Action:
        return "unsubscribe" if channel.state in _LEFT else "subscribe"

    def _on_refused(self, channel: Channel, action: Action, reply: Reply, raw: bytes, together: int) -> None:
        """It was refused with others, so many `together`: then nobody knows which of them is at fault."""
        if action == "unsubscribe":
            self._standing.apply(channel, ChannelEvent.KEPT)
        elif together > 1:
            channel.most = max(1, together // 2)
            self._standing.apply(channel, ChannelEvent.UNDECIDED)
        else:
            self._standing.refuse(channel, self._refusal(channel, "refused", reply, raw))

    def _refusal(self, channel: Channel, verb: str, reply: Reply, raw: bytes) -> SubscriptionError:
        why = reply.message or "without a reason"
        code = "" if reply.code is None else f" (code {reply.code})"
        text = f"{self._venue.name} {verb} {channel.name!r}: {why}{code}"
        return SubscriptionError(text, channel=channel.name, code=reply.code, message=reply.message, raw=raw)

    def _on_state(self, there: frozenset[str], raw: bytes) -> None:
        """The server has said all that it has for this connection: the answer to whatever was asked."""
        self.pause.answered()
        for request in self.requests:
            self.requests.close(request)
        for channel in tuple(self._standing.channels.values()):
            if channel.name in there:
                leaving = channel.state in (ChannelState.UNSUBSCRIBING, ChannelState.RETURNING)
                self._standing.apply(channel, ChannelEvent.KEPT if leaving else ChannelEvent.ACCEPTED)
            elif channel.state is ChannelState.SUBSCRIBING:
                self._on_left_out(channel)
            elif channel.state is ChannelState.CANCELLING:
                self._standing.apply(channel, ChannelEvent.UNDECIDED)
            else:
                self._release(channel, raw)
        self._standing.work.set()

    def _on_left_out(self, channel: Channel) -> None:
        """It was asked for, and the server's list has it not: once that may be an older list, twice it is an answer."""
        channel.left_out += 1
        if channel.left_out == 1:
            self._standing.apply(channel, ChannelEvent.SILENT)
            return
        text = f"{self._venue.name} refused {channel.name!r}: it is not in the list of what is subscribed to"
        self._standing.refuse(channel, SubscriptionError(text, channel=channel.name))

    def _on_revoked(self, reply: Reply, raw: bytes) -> None:
        """A name without a colon stands for all channels that begin so.

        It is not about what has no answer yet: the server has not got the request, or its answer comes behind this.
        """
        for channel in tuple(self._standing.channels.values()):
            if channel.state is ChannelState.WANTED or channel.state in _ASKED:
                continue
            if channel.name in reply.channels or channel.name.partition(":")[0] in reply.channels:
                self._standing.refuse(channel, self._refusal(channel, "ended", reply, raw), ChannelEvent.REVOKED)

    def on_first_data(self, name: str) -> None:
        """Data of `name` came, which are the answer where no other comes."""
        channel = self._standing.channels.get(name)
        if channel is not None and channel.state is ChannelState.SUBSCRIBING:
            self._standing.apply(channel, ChannelEvent.ACCEPTED)

    def _on_silent(self, request: Request) -> None:
        self.unanswered += 1
        waiting = _ASKED if request.action == "subscribe" else _LEFT
        given_up: list[str] = []
        for name in request.pending:
            channel = self._standing.channels.get(name)
            if channel is None or channel.state not in waiting:
                # What has become of it since is no matter of this request.
                continue
            event = ChannelEvent.SILENT
            if channel.state is ChannelState.UNSUBSCRIBING:
                channel.unheard += 1
                if channel.unheard == MOST_LEAVES:
                    event = ChannelEvent.UNHEARD
                    given_up.append(name)
            self._standing.apply(channel, event)
        self._say_silent(request.action, [name for name in request.pending if name not in given_up], "asking again")
        self._say_silent(request.action, given_up, "it may go on sending")
        self._standing.work.set()

    def _say_silent(self, action: Action, names: list[str], then: str) -> None:
        if names:
            of = repr(names[0]) if len(names) == 1 else f"{len(names)} channels"
            logger.warning("%s has not answered: %s %s; %s", self._venue.name, action, of, then)


def _meant(reply: Reply, request: Request | None) -> list[str]:
    """The channels that an answer is about."""
    pending = [] if request is None else list(request.pending)
    names: list[str] = []
    for name in reply.channels:
        names += [one for one in pending if one.endswith(name)] if name.startswith(":") else [name]
    return names or (pending if not reply.channels else [])
