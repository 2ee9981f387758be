"""How an exchange talks: a `Venue` is what a Multiplex has to know of one, as data as far as that is possible.

Those of known exchanges are in `jetsocket.exchanges`. One of your own is a `Venue(...)` with a few small functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .hot import ChannelKey
from .options import check_count, check_flag
from .protocol.pacing import Window
from .protocol.timing import HeartbeatConfig, check_seconds, heartbeat_config

Outcome = Literal["accepted", "refused", "later", "revoked", "state", "notice", "pong", "heartbeat"]
Matching = Literal["request_id", "echo", "state", "learned", "data"]

_MATCHING = ("request_id", "echo", "state", "learned", "data")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server's message means that is no data; a venue's `classify` makes it.

    `outcome`:

    - "accepted", "refused": the answer to a request. `action` says to which kind, None where the answer does not tell.
      Whose answer it is: `request_id` and `channels`, as far as the server names them. With neither it decides about
      nothing, and an error is a notice, unless the venue asks `one_at_a_time`: it may be the answer to what the user
      has sent. A name that begins with a colon stands for those of the request that end so.
    - "later": as "refused", but for the moment alone: too many requests, or too busy. What was asked is asked again
      after a pause, in which nothing else is asked on that connection: of 1 s, then doubling up to 60 s. Where nothing
      says what is meant, there is the pause alone.
    - "revoked": the server has ended the subscriptions to `channels` by itself. A name without a colon stands for all
      channels whose names begin so, up to their colon.
    - "state": `channels` is all that this connection is subscribed to.
    - "notice": something that a person may want to know; `then` says what the client is asked to do.
    - "pong", "heartbeat": signs of life, of the connection or of `channels`.

    `code`, `message`: as the server put it. `key`: of a venue whose keys are learned, what data frames of the channel
    carry in place of its name, from now on where it is accepted. It may stand in place of `channels`, once it is known.
    """

    outcome: Outcome
    action: Literal["subscribe", "unsubscribe"] | None = None
    channels: tuple[str, ...] = ()
    request_id: int | str | None = None
    code: int | str | None = None
    message: str | None = None
    key: str | None = None
    then: Literal["nothing", "reconnect", "resubscribe"] = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """How one exchange talks. Sizes of 0 and paces of () mean no limit; seconds everywhere.

    - `name`, for people. `uri`: where it is, unless the Multiplex is given another.
    - `channel_key`: where data frames carry their channel, as for `Multiplex`. Must not find a subscribed channel in an
      acknowledgement.
    - `subscribe(channels, request_id)`: the message that asks for these, or a tuple of messages. Numbers begin at
      2,000,000,001, and are below 2**31, so that yours are others: begin at 1. `unsubscribe`: the
      same; where keys are learned it is given those in place of channels. None: the exchange knows no such request.
    - `classify(raw)`: the Reply that a message without a known channel is, or None where it is none.
    - `matching`: how answers are matched to requests. "request_id": by it, and by channels where the answer names some.
      "echo": by the channels that answers name. "state": each answer lists the whole state. "learned": as echo, and the
      answer brings the key of the channel's data. "data": no answers come, the first data frame is one.
    - `route(channel)`: what data frames carry for it, where that is not its name.
    - `together(channel)`: channels for which this is the same may stand in one message; None: any.
    - `answer_timeout`: seconds until a request counts as unanswered, and is made again; one to leave, twice at most.
    - `one_at_a_time`: the next request only after the answer to the last; for exchanges whose errors name neither
      request nor channel.
    - `max_channels` of a connection; `channels_per_message`, `characters_per_message` of a request.
    - `pace`: windows for all that the client sends on a connection. `pace_counts_control`: whether pings and pongs
      count; `reserve` are then kept for pongs. `connect_pace`: windows for connection attempts per host.
    - `heartbeat`, `max_connection_age`: as for `Multiplex`, where that is not given its own.
    - `data_timeout`: so long without any data frame, though some channel is subscribed to, and the connection is
      replaced; None: never.
    - `channel_heartbeat`: path and text of a data frame that is but a channel's sign of life, ("[1]", "hb"); it is not
      delivered.
    """

    name: str
    uri: str
    channel_key: str
    subscribe: Callable[[Sequence[str], int], Any]
    classify: Callable[[bytes], Reply | None]
    unsubscribe: Callable[[Sequence[str], int], Any] | None = None
    matching: Matching = "request_id"
    route: Callable[[str], str] | None = None
    together: Callable[[str], str] | None = None
    answer_timeout: float = 10.0
    one_at_a_time: bool = False
    max_channels: int = 0
    channels_per_message: int = 0
    characters_per_message: int = 0
    pace: tuple[Window, ...] = ()
    reserve: int = 1
    pace_counts_control: bool = False
    connect_pace: tuple[Window, ...] = ()
    heartbeat: float | HeartbeatConfig | None = None
    max_connection_age: float | None = None
    data_timeout: float | None = None
    channel_heartbeat: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("name", "uri", "channel_key"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise TypeError(f"venue {name} must be a text, got {type(value).__name__} {value!r}")
        for name, optional in _FUNCTIONS.items():
            value = getattr(self, name)
            if not callable(value) and not (optional and value is None):
                raise TypeError(f"venue {name} must be callable, got {type(value).__name__} {value!r}")
        if self.matching not in _MATCHING:
            raise ValueError(f"venue matching must be one of {', '.join(_MATCHING)}, got {self.matching!r}")
        for name in ("one_at_a_time", "pace_counts_control"):
            check_flag(f"venue {name}", getattr(self, name))
        for name in ("max_channels", "channels_per_message", "characters_per_message", "reserve"):
            check_count(f"venue {name}", getattr(self, name))
        for name in ("pace", "connect_pace"):
            windows = getattr(self, name)
            if not isinstance(windows, tuple) or not all(isinstance(window, Window) for window in windows):
                raise TypeError(f"venue {name} must be a tuple of Window, got {windows!r}")
        for window in self.pace:
            if self.pace_counts_control and window.count <= self.reserve:
                raise ValueError(f"venue pace {window} leaves nothing when {self.reserve} are kept for pongs")
        check_seconds("venue answer_timeout", self.answer_timeout)
        check_seconds("venue max_connection_age", self.max_connection_age, optional=True)
        check_seconds("venue data_timeout", self.data_timeout, optional=True)
        heartbeat_config(self.heartbeat)
        ChannelKey(self.channel_key)
        if self.channel_heartbeat is not None:
            self._check_channel_heartbeat(self.channel_heartbeat)

    def _check_channel_heartbeat(self, given: object) -> None:
        if not isinstance(given, tuple) or len(given) != 2 or not all(isinstance(part, str) for part in given):
            raise TypeError(f"venue channel_heartbeat must be a path and a text, got {given!r}")
        ChannelKey(given[0])


_FUNCTIONS = {"subscribe": False, "classify": False, "unsubscribe": True, "route": True, "together": True}
