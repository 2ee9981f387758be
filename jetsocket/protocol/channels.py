"""The states of a channel, between what the user wants and what the server has confirmed. Data only."""

from __future__ import annotations

from enum import Enum

from jetsocket.errors import InvalidStateError


class ChannelState(Enum):
    """Where a channel stands. The values are what `repr` and the statistics print."""

    IDLE = "idle"
    WANTED = "wanted"
    SUBSCRIBING = "subscribing"
    SUBSCRIBED = "subscribed"
    REFUSED = "refused"
    CANCELLING = "cancelling"
    LEAVING = "leaving"
    UNSUBSCRIBING = "unsubscribing"
    LINGERING = "lingering"
    RENEWING = "renewing"
    RETURNING = "returning"

    @property
    def is_wanted(self) -> bool:
        """Whether the client is to have the channel: by what it has, does, or will do. Not of one that was refused."""
        return self in _WANTED


class ChannelEvent(Enum):
    """What happens to a channel."""

    WANT = "want"
    UNWANT = "unwant"
    ASKED = "asked"
    LEFT = "left"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    RELEASED = "released"
    KEPT = "kept"
    SILENT = "silent"
    UNHEARD = "unheard"
    UNDECIDED = "undecided"
    POSTPONED = "postponed"
    REVOKED = "revoked"
    RENEW = "renew"
    LOST = "lost"


_S = ChannelState
_E = ChannelEvent

# Of the user: WANT, UNWANT. Of the client: the request went out, ASKED to subscribe and LEFT to unsubscribe; RENEW: the
# channel is stale, ask anew. Of the server: the answers to subscribe, ACCEPTED and REFUSED, and to unsubscribe,
# RELEASED and KEPT; REVOKED: it ended the subscription by itself. SILENT: no answer in time. UNHEARD: none to the last
# unsubscribe that is sent. UNDECIDED: a batch was refused, and it is not known because of which channel. POSTPONED: the
# server wants to be asked later. LOST: the connection is gone.
#
# IDLE: not wanted, and not there, or given up. WANTED: to be asked for as soon as connection and pace allow.
# SUBSCRIBING: asked for, unanswered. SUBSCRIBED: confirmed. REFUSED, or revoked: not asked for again until the user
# does. CANCELLING: asked for, unanswered, no longer wanted. LEAVING: there, not wanted, the unsubscribe is to be sent.
# UNSUBSCRIBING: sent, unanswered. LINGERING: the server was silent, so perhaps there; not wanted, the unsubscribe is to
# be sent, or to be sent again. RENEWING: there and stale, the unsubscribe is to be sent. RETURNING: sent, unanswered,
# and wanted again.
#
# What is not listed changes nothing: an answer that comes late, a wish that is fulfilled already.
TRANSITIONS: dict[ChannelState, dict[ChannelEvent, ChannelState]] = {
    _S.IDLE: {
        _E.WANT: _S.WANTED,
    },
    _S.WANTED: {
        _E.UNWANT: _S.IDLE,
        _E.ASKED: _S.SUBSCRIBING,
        _E.ACCEPTED: _S.SUBSCRIBED,
        _E.REFUSED: _S.REFUSED,
        _E.REVOKED: _S.REFUSED,
    },
    _S.SUBSCRIBING: {
        _E.UNWANT: _S.CANCELLING,
        _E.ACCEPTED: _S.SUBSCRIBED,
        _E.REFUSED: _S.REFUSED,
        _E.REVOKED: _S.REFUSED,
        _E.SILENT: _S.WANTED,
        _E.UNDECIDED: _S.WANTED,
        _E.POSTPONED: _S.WANTED,
        _E.LOST: _S.WANTED,
    },
    _S.SUBSCRIBED: {
        _E.UNWANT: _S.LEAVING,
        _E.RELEASED: _S.WANTED,
        _E.REVOKED: _S.REFUSED,
        _E.RENEW: _S.RENEWING,
        _E.LOST: _S.WANTED,
    },
    _S.REFUSED: {
        _E.WANT: _S.WANTED,
        _E.UNWANT: _S.IDLE,
    },
    _S.CANCELLING: {
        _E.WANT: _S.SUBSCRIBING,
        _E.ACCEPTED: _S.LEAVING,
        _E.SILENT: _S.LINGERING,
        _E.REFUSED: _S.IDLE,
        _E.UNDECIDED: _S.IDLE,
        _E.POSTPONED: _S.IDLE,
        _E.REVOKED: _S.IDLE,
        _E.LOST: _S.IDLE,
    },
    _S.LEAVING: {
        _E.WANT: _S.SUBSCRIBED,
        _E.LEFT: _S.UNSUBSCRIBING,
        _E.RELEASED: _S.IDLE,
        _E.REVOKED: _S.IDLE,
        _E.LOST: _S.IDLE,
    },
    _S.UNSUBSCRIBING: {
        _E.WANT: _S.RETURNING,
        _E.RELEASED: _S.IDLE,
        _E.KEPT: _S.IDLE,
        _E.SILENT: _S.LINGERING,
        _E.UNHEARD: _S.IDLE,
        _E.UNDECIDED: _S.IDLE,
        _E.POSTPONED: _S.LEAVING,
        _E.REVOKED: _S.IDLE,
        _E.LOST: _S.IDLE,
    },
    _S.LINGERING: {
        # Not SUBSCRIBED: nobody knows whether it is there.
        _E.WANT: _S.WANTED,
        _E.LEFT: _S.UNSUBSCRIBING,
        _E.RELEASED: _S.IDLE,
        _E.KEPT: _S.IDLE,
        _E.REVOKED: _S.IDLE,
        _E.LOST: _S.IDLE,
    },
    _S.RENEWING: {
        _E.UNWANT: _S.LEAVING,
        _E.LEFT: _S.RETURNING,
        _E.RELEASED: _S.WANTED,
        _E.REVOKED: _S.REFUSED,
        _E.LOST: _S.WANTED,
    },
    _S.RETURNING: {
        _E.UNWANT: _S.UNSUBSCRIBING,
        _E.RELEASED: _S.WANTED,
        _E.KEPT: _S.SUBSCRIBED,
        _E.SILENT: _S.WANTED,
        _E.UNDECIDED: _S.WANTED,
        _E.POSTPONED: _S.RENEWING,
        # It was being left when the server ended it: that says nothing about having it anew.
        _E.REVOKED: _S.WANTED,
        _E.LOST: _S.WANTED,
    },
}

# What the client itself does, and in which states alone: elsewhere it is a mistake of its own.
_OURS: dict[ChannelEvent, tuple[ChannelState, ...]] = {
    _E.ASKED: (_S.WANTED,),
    _E.LEFT: (_S.LEAVING, _S.LINGERING, _S.RENEWING),
}

_SENDING = {_E.ASKED: "ask for a channel", _E.LEFT: "leave a channel"}

_WANTED = frozenset({_S.WANTED, _S.SUBSCRIBING, _S.SUBSCRIBED, _S.RENEWING, _S.RETURNING})


def next_state(state: ChannelState, event: ChannelEvent) -> ChannelState:
    """The state after `event`; InvalidStateError where the client sends what does not fit the state."""
    following = TRANSITIONS[state].get(event)
    if following is not None:
        return following
    if event in _OURS:
        raise InvalidStateError(state, _OURS[event], operation=_SENDING[event])
    return state
