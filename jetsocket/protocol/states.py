"""The states of a connection as its owner sees it, and which may follow which. Data only."""

from __future__ import annotations

from enum import Enum

from jetsocket.errors import InvalidStateError


class ConnectionState(Enum):
    """Where a WebSocket or Multiplex stands. The values are what `repr` and the statistics print."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"
    DISCONNECTED = "disconnected"
    RECONNECTING = "reconnecting"
    BACKING_OFF = "backing_off"
    FAILED = "failed"
    CLOSED = "closed"


_S = ConnectionState

# IDLE: never connected. CONNECTING, RECONNECTING: an attempt is under way, the first or a later one. BACKING_OFF:
# waiting for the next attempt. DISCONNECTING: close() waits for the closing handshake. DISCONNECTED: lost, and
# reconnecting is off. FAILED: lost for good. CLOSED: by the user; the only state that nothing follows.
TRANSITIONS: dict[ConnectionState, frozenset[ConnectionState]] = {
    _S.IDLE: frozenset({_S.CONNECTING, _S.CLOSED}),
    _S.CONNECTING: frozenset({_S.CONNECTED, _S.BACKING_OFF, _S.DISCONNECTED, _S.FAILED, _S.DISCONNECTING, _S.CLOSED}),
    _S.CONNECTED: frozenset({_S.RECONNECTING, _S.BACKING_OFF, _S.DISCONNECTING, _S.DISCONNECTED, _S.FAILED, _S.CLOSED}),
    _S.DISCONNECTING: frozenset({_S.DISCONNECTED, _S.CLOSED}),
    _S.DISCONNECTED: frozenset({_S.CONNECTING, _S.RECONNECTING, _S.BACKING_OFF, _S.FAILED, _S.CLOSED}),
    _S.RECONNECTING: frozenset({_S.CONNECTED, _S.BACKING_OFF, _S.DISCONNECTED, _S.FAILED, _S.DISCONNECTING, _S.CLOSED}),
    _S.BACKING_OFF: frozenset(
        {_S.CONNECTING, _S.RECONNECTING, _S.DISCONNECTED, _S.FAILED, _S.DISCONNECTING, _S.CLOSED}
    ),
    _S.FAILED: frozenset({_S.CONNECTING, _S.CLOSED}),
    _S.CLOSED: frozenset(),
}


def check_move(current: ConnectionState, following: ConnectionState) -> None:
    """Raise InvalidStateError unless `following` may come straight after `current`."""
    if following not in TRANSITIONS[current]:
        allowed = [state for state, targets in TRANSITIONS.items() if following in targets]
        raise InvalidStateError(current, allowed, operation=f"become {following.value}")
