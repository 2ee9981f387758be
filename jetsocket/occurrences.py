"""What handlers of a Multiplex's events are told, and what stands between messages where `events=True` asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .errors import SubscriptionError

GapReason = Literal["reconnect", "resubscribe", "overflow", "sequence"]


@dataclass(slots=True)
class Gap:
    """Messages of `channel` may be missing between the one before and the one behind this.

    `reason`: "reconnect": the connection was lost, or given up; "resubscribe": the channel was asked for anew on the
    same connection, as it was stale, or the exchange had ended it or asked for that; "overflow": the queue was full;
    "sequence": the numbers of the exchange do not follow one another. `since`: when the last message before it was
    received, or the channel was left, `until`: when the first one behind it was, in nanoseconds since the epoch; None:
    there is none (yet). `dropped`: how many are missing; None where nobody can know. `recovered`: what `recover`
    returned.

    A consumer that has read everything is told of a lost connection or channel at once: `until` is set later then, when
    the channel is confirmed again.
    """

    channel: str
    reason: GapReason
    since: int | None = None
    until: int | None = None
    dropped: int | None = None
    recovered: Any = None


class Resubscribed(NamedTuple):
    """After a reconnect all `channels` that are wanted were confirmed, or refused, `seconds` after its opening."""

    channels: int
    seconds: float


class Notice(NamedTuple):
    """The exchange says something. `code`, `message`: in its words. `raw`: the message as it came.

    `then`: what the client does about it.
    """

    code: int | str | None
    message: str | None
    raw: bytes
    then: Literal["nothing", "reconnect", "resubscribe"] = "nothing"


class Stale(NamedTuple):
    """No data of `channel` for `seconds`. `step`: what is done about it."""

    channel: str
    seconds: float
    step: Literal["resubscribe", "reconnect"]


class Silent(NamedTuple):
    """The connection is open, channels are subscribed to, and no data came for `seconds`. It is replaced."""

    seconds: float


class Stalled(NamedTuple):
    """Nothing of the connection was read for `seconds`, as the queue of `channel` is full and blocks.

    `channel`: the `channel` of its subscription, which of a group says what it is.
    """

    channel: str
    seconds: float


class Replaced(NamedTuple):
    """The connection was given up for a new one by the client itself. `why` ends the sentence that begins so."""

    why: str


class Blocked(NamedTuple):
    """The event loop did not run for `seconds`: nothing was read meanwhile, whatever the exchange did. `by`: where."""

    seconds: float
    by: str | None = None


# The events of any connection.
CONNECTION_EVENTS = (
    "connected",
    "disconnected",
    "reconnecting",
    "reconnected",
    "replaced",
    "failed",
    "closed",
    "error",
)
# The events that have a type, which is what their handlers are given.
EVENT_NAMES: dict[type, str] = {
    Resubscribed: "resubscribed",
    SubscriptionError: "refused",
    Notice: "notice",
    Gap: "gap",
    Stale: "stale",
    Silent: "silent",
    Stalled: "stalled",
    Blocked: "blocked",
    Replaced: "replaced",
}
# What a Multiplex has besides a connection's.
MULTIPLEX_EVENTS = tuple(name for name in EVENT_NAMES.values() if name not in CONNECTION_EVENTS)
