"""When to try again, when to ping, when to give up: functions of `now`, seconds on any one steady clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MOST_RETRY_AFTER = 3600.0
"""Seconds that a server's Retry-After is waited for, whatever it says: a wrong one must not end a client's day."""

# Pings of which the answers are still waited for; some servers never answer, and stay for weeks.
_MOST_OUTSTANDING = 16


def check_seconds(name: str, value: object, *, optional: bool = False, positive: bool = True) -> float | None:
    """`value` as a float, if it is a finite number of seconds.

    TypeError or ValueError that names the option. `optional`: None is allowed. `positive`: zero is not.
    """
    if value is None and optional:
        return None
    wanted = f"{name} must be seconds{' or None' if optional else ''}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{wanted}, got {type(value).__name__} {value!r}")
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise ValueError(f"{wanted}, {'more than 0' if positive else 'at least 0'}, got {value!r}")
    return float(value)


def check_timeout(timeout: object) -> None:
    """TypeError or ValueError unless `timeout` is None or a finite number of seconds.

    Less than 0 is a deadline that is past: `deadline - now` is what many callers pass.
    """
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be seconds or None, got {_typed(timeout)}")
    if not math.isfinite(timeout):
        raise ValueError(f"timeout must be seconds or None, got {timeout!r}")


def duration_text(seconds: float) -> str:
    """A duration as one says it: 0.4 ms, 2.0 s, 3 min 5 s, 3 h 2 min, 2 d 3 h."""
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return _two_units(round(seconds), 60, "min", "s")
    if seconds < 86400 - 30:
        return _two_units(round(seconds / 60), 60, "h", "min")
    return _two_units(round(seconds / 3600), 24, "d", "h")


def _two_units(amount: int, ratio: int, large: str, small: str) -> str:
    whole, rest = divmod(amount, ratio)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


@dataclass(frozen=True, slots=True)
class BackoffConfig:
    """Exponential back-off with full jitter.

    Before attempt n (1 is the first retry) the wait is `base * multiplier**(n - 1)` seconds, at most `cap`; with
    `jitter`, a random share of it. `max_attempts`: 0 for no end. `reset_after`: after a connection that lasted so many
    seconds the next failure counts as the first again. A Retry-After of the server's makes the wait longer, up to an
    hour in all.
    """

    base: float = 1.0
    multiplier: float = 2.0
    cap: float = 60.0
    jitter: bool = True
    max_attempts: int = 0
    reset_after: float = 60.0

    def __post_init__(self) -> None:
        for name in ("base", "cap", "reset_after"):
            check_seconds(f"backoff {name}", getattr(self, name), positive=False)
        if isinstance(self.multiplier, bool) or not isinstance(self.multiplier, (int, float)):
            raise TypeError(f"backoff multiplier must be a number, got {_typed(self.multiplier)}")
        if not math.isfinite(self.multiplier) or self.multiplier < 1:
            raise ValueError(f"backoff multiplier must be at least 1, got {self.multiplier!r}")
        if not isinstance(self.jitter, bool):
            raise TypeError(f"backoff jitter must be True or False, got {_typed(self.jitter)}")
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int):
            raise TypeError(f"backoff max_attempts must be a whole number, got {_typed(self.max_attempts)}")
        if self.max_attempts < 0:
            raise ValueError(f"backoff max_attempts must be at least 0 (no end), got {self.max_attempts}")


def backoff_delay(config: BackoffConfig, attempt: int, random: float) -> float:
    """Seconds to wait before retry `attempt` (1 is the first); `random` is 0 to 1, used with jitter."""
    if attempt < 1:
        raise ValueError(f"attempt counts from 1, got {attempt}")
    try:
        delay = min(config.cap, config.base * config.multiplier ** (attempt - 1))
    except OverflowError:
        delay = config.cap if config.base else 0.0
    return delay * random if config.jitter else delay


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """Every `interval` seconds a ping; nothing at all received within `timeout` seconds after it: dead.

    `timeout`: None for as long as `interval`. `use_ws_ping`: a WebSocket ping, its payload a running number, or
    `payload` where that is given. `use_application_ping`: `payload` sent as a message, for venues that want their own.
    `pong_matcher(raw)` tells the answers to it, for the latency and to keep them from consumers; they are not needed as
    a sign of life, which any byte is.
    """

    interval: float = 20.0
    timeout: float | None = None
    payload: bytes | str = b""
    use_ws_ping: bool = True
    use_application_ping: bool = False
    pong_matcher: Callable[[bytes], bool] | None = None

    def __post_init__(self) -> None:
        check_seconds("heartbeat interval", self.interval)
        check_seconds("heartbeat timeout", self.timeout, optional=True)
        if not isinstance(self.payload, (bytes, str)):
            raise TypeError(f"heartbeat payload must be bytes or str, got {_typed(self.payload)}")
        if not self.use_ws_ping and not self.use_application_ping:
            raise ValueError("heartbeat needs use_ws_ping or use_application_ping; for no heartbeat use heartbeat=None")
        if self.use_application_ping and not self.payload:
            raise ValueError("heartbeat use_application_ping needs a payload, the message to send")
        if not self.use_application_ping and len(_encoded(self.payload)) > 125:
            raise ValueError(f"heartbeat payload of a ping is at most 125 bytes, got {len(_encoded(self.payload))}")
        if self.pong_matcher is not None and not callable(self.pong_matcher):
            raise TypeError(f"heartbeat pong_matcher must be callable, got {_typed(self.pong_matcher)}")
        if self.pong_matcher is not None and not self.use_application_ping:
            raise ValueError("heartbeat pong_matcher is for answers to use_application_ping, which is off")

    @property
    def patience(self) -> float:
        """Seconds without a byte after a ping until the connection counts as dead."""
        return self.interval if self.timeout is None else self.timeout


def heartbeat_config(value: float | HeartbeatConfig | None) -> HeartbeatConfig | None:
    """What the option `heartbeat` stands for: seconds between pings, a whole configuration, or None."""
    if isinstance(value, HeartbeatConfig):
        return value
    interval = check_seconds("heartbeat", value, optional=True)
    return None if interval is None else HeartbeatConfig(interval=interval)


class Heartbeat:
    """The deadlines of one connection.

    Ask `due(now)` not before `next_wakeup()`. At "ping" send what `ping(now)` says. At "dead" give the connection up.
    """

    def __init__(self, config: HeartbeatConfig, now: float) -> None:
        self.config = config
        self.last_data = now
        """When bytes were last received; may be set instead of calling `on_bytes`."""
        self.latency: float | None = None
        """The last round trip in seconds."""
        self._next_ping = now + config.interval
        self._asked_at: float | None = None  # the earliest ping that no byte has followed yet
        self._outstanding: dict[bytes, float] = {}
        self._application_ping_at: float | None = None
        self._number = 0

    def on_bytes(self, now: float) -> None:
        """Anything was received: the server lives."""
        self.last_data = now

    def on_pong(self, now: float, payload: bytes) -> float | None:
        """A pong frame came. The round trip in seconds, None if it answers no ping of ours (RFC 6455 §5.5.3)."""
        self.last_data = now
        sent = self._outstanding.pop(payload, None)
        if sent is None:
            return None
        # A server may answer the latest of several pings only; what is older gets no answer any more.
        self._outstanding = {other: at for other, at in self._outstanding.items() if at > sent}
        self.latency = now - sent
        return self.latency

    def on_application_pong(self, now: float) -> float | None:
        """A message came that `pong_matcher` took for a pong. The round trip in seconds, None if none was awaited."""
        self.last_data = now
        sent, self._application_ping_at = self._application_ping_at, None
        if sent is None:
            return None
        self.latency = now - sent
        return self.latency

    def due(self, now: float) -> Literal["nothing", "ping", "dead"]:
        """What is to be done at `now`."""
        if self._unanswered() is not None and now >= self._deadline():
            return "dead"
        return "ping" if now >= self._next_ping else "nothing"

    def ping(self, now: float) -> bytes:
        """A ping is sent at `now`, of each kind that is configured. The payload for the WebSocket ping."""
        if self._unanswered() is None:
            self._asked_at = now
        self._next_ping = now + self.config.interval
        if self.config.use_application_ping:
            if self._application_ping_at is None:
                self._application_ping_at = now
            payload = b""
        else:
            payload = _encoded(self.config.payload)
        if not payload:
            self._number = (self._number + 1) % 2**32
            payload = self._number.to_bytes(4, "big")
        if self.config.use_ws_ping:
            self._outstanding.setdefault(payload, now)
            if len(self._outstanding) > _MOST_OUTSTANDING:
                del self._outstanding[next(iter(self._outstanding))]
        return payload

    def next_wakeup(self) -> float:
        """The time at which `due` can next answer something else than "nothing"."""
        if self._unanswered() is None:
            return self._next_ping
        return min(self._next_ping, self._deadline())

    def unanswered_for(self, now: float) -> float:
        """Seconds since the ping that nothing has followed; 0.0 if something has."""
        asked = self._unanswered()
        return 0.0 if asked is None else now - asked

    def _unanswered(self) -> float | None:
        if self._asked_at is not None and self.last_data >= self._asked_at:
            self._asked_at = None
        return self._asked_at

    def _deadline(self) -> float:
        return math.inf if self._asked_at is None else self._asked_at + self.config.patience


def _encoded(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def _typed(value: object) -> str:
    return f"{type(value).__name__} {value!r}"
