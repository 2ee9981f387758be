"""Every error that JetSocket raises.

::

    JetSocketError                  the root: `except JetSocketError` catches all of them
    ├── ConnectionError             also builtins.ConnectionError: could not connect, or lost the connection
    │   ├── CertificateError        the server's certificate does not verify; not retried
    │   ├── HandshakeError          the server answered the upgrade with something else than 101
    │   ├── ProtocolError           the peer broke RFC 6455 or RFC 7692, or a limit
    │   └── CloseError              a close frame ended the connection
    ├── TimeoutError                also builtins.TimeoutError
    ├── InvalidStateError           the call does not fit the state
    ├── InvalidURIError             also ValueError: not a ws:// or wss:// address
    ├── BufferOverflowError         a bounded queue is full, and its policy is to say so
    ├── DecodeError                 also ValueError: one message could not be decoded
    ├── SubscriptionError           the server refused a subscription
    └── MissingExtraError           also ImportError: an optional dependency is not installed

`str(error)` is the whole sentence. What it says is there as attributes too, so that no caller has to take text apart.
Addresses never carry user information, neither in the text nor in `uri`. Every error survives `pickle` and `copy`.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Literal, Self, TypedDict, Unpack

Phase = Literal["resolve", "connect", "proxy", "tls", "upgrade", "open"]

# Trying again cannot help with these: credentials or the address must change first.
FATAL_STATUS_CODES = frozenset({401, 403, 404, 410})
FATAL_CLOSE_CODES = frozenset({1008, 4401, 4403})

_USERINFO = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?[^/?#]*@")


def without_userinfo(uri: str) -> str:
    """`uri` with a `user:password@` cut out; works on malformed addresses too."""
    return _USERINFO.sub(r"\1", uri)


class Facts(TypedDict, total=False):
    """What may be known about any failure; each becomes an attribute, None where unknown."""

    uri: str | None
    phase: Phase | None
    elapsed: float | None
    attempt: int | None
    retry_in: float | None
    hint: str | None
    retryable: bool


class JetSocketError(Exception):
    """The root of every error of this library.

    `uri`: the address, without user information. `phase`: how far the connection had got. `elapsed`: seconds since the
    phase's beginning. `attempt`: 1 for the first. `retry_in`: seconds to the next attempt, None when there is none.
    `hint`: what to do about it. `retryable`: whether trying again without a change can help.
    """

    uri: str | None = None
    phase: Phase | None = None
    elapsed: float | None = None
    attempt: int | None = None
    retry_in: float | None = None
    hint: str | None = None
    retryable: bool = False

    def __init__(self, text: str, /, **facts: Unpack[Facts]) -> None:
        super().__init__(text)
        for name, value in facts.items():
            if name not in Facts.__optional_keys__:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
            if name == "uri" and isinstance(value, str):
                value = without_userinfo(value)
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call cls(*args), which the classes with other parameters than a text do not take.
        return _restore, (type(self), self.args, self.__dict__)

    def reworded(self, text: str) -> Self:
        """This very error with another sentence: for who knows more (the next attempt's time) than who raised it."""
        self.args = (text,)
        return self


def _restore(cls: type[JetSocketError], args: tuple[Any, ...], facts: dict[str, Any]) -> JetSocketError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConnectionError(JetSocketError, builtins.ConnectionError):
    """Could not connect, or lost the connection."""

    retryable = True


class CertificateError(ConnectionError):
    """The server's certificate does not verify."""

    retryable = False


class HandshakeError(ConnectionError):
    """The server refused or misanswered the upgrade.

    `status_code`: None when no valid HTTP response came. `body`: its first bytes, at most 4 KiB. `retry_after`: seconds
    that the server asks to wait, from its Retry-After header.
    """

    def __init__(
        self,
        text: str,
        /,
        *,
        status_code: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        retry_after: float | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        self.status_code = status_code
        self.headers: list[tuple[str, str]] = list(headers)
        self.body = body
        self.retry_after = retry_after
        facts.setdefault("retryable", status_code not in FATAL_STATUS_CODES)
        super().__init__(text, **facts)


class ProtocolError(ConnectionError):
    """The peer broke the protocol or a limit. `code`: the close code that it was told (RFC 6455 §7.4.1)."""

    def __init__(self, text: str, /, *, code: int = 1002, **facts: Unpack[Facts]) -> None:
        self.code = code
        super().__init__(text, **facts)


class CloseError(ConnectionError):
    """A close frame ended the connection. `by`: who sent the first one. `code` 1005: it carried none."""

    def __init__(
        self,
        text: str,
        /,
        *,
        code: int = 1005,
        reason: str = "",
        by: Literal["server", "client"] = "server",
        **facts: Unpack[Facts],
    ) -> None:
        self.code = code
        self.reason = reason
        self.by = by
        facts.setdefault("retryable", code not in FATAL_CLOSE_CODES)
        super().__init__(text, **facts)


class TimeoutError(JetSocketError, builtins.TimeoutError):
    """`operation` was not done within `timeout` seconds."""

    retryable = True

    def __init__(
        self, timeout: float | None, operation: str, message: str | None = None, **facts: Unpack[Facts]
    ) -> None:
        self.timeout = timeout
        self.operation = operation
        super().__init__(message or f"{operation} timed out after {timeout} s", **facts)


class InvalidStateError(JetSocketError):
    """The call does not fit the state. `required_states`: those in which it would have been allowed."""

    def __init__(
        self,
        current_state: Enum | str,
        required_states: Enum | str | Sequence[Enum | str] = (),
        operation: str | None = None,
        message: str | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        if isinstance(required_states, (Enum, str)):
            required_states = (required_states,)
        self.current_state = current_state
        self.required_states = tuple(required_states)
        self.operation = operation
        if message is None:
            message = f"cannot {operation or 'do this'}: the state is {_state_name(current_state)}"
            if self.required_states:
                message += f", must be {' or '.join(map(_state_name, self.required_states))}"
        super().__init__(message, **facts)


def _state_name(state: Enum | str) -> str:
    return str(state.value) if isinstance(state, Enum) else state


class InvalidURIError(JetSocketError, ValueError):
    """Not an address that a WebSocket can be opened to; `uri` is what was given."""


class BufferOverflowError(JetSocketError):
    """A bounded queue is full, and its policy is to say so."""


class DecodeError(JetSocketError, ValueError):
    """One message could not be decoded; the stream goes on. `raw`: its payload. `channel`: None without a Multiplex."""

    def __init__(self, text: str, /, *, raw: bytes = b"", channel: str | None = None, **facts: Unpack[Facts]) -> None:
        self.raw = raw
        self.channel = channel
        super().__init__(text, **facts)


class SubscriptionError(JetSocketError):
    """The server refused a subscription. `code`, `message`: as the server put it. `raw`: its answer's payload."""

    def __init__(
        self,
        text: str,
        /,
        *,
        channel: str | None = None,
        code: int | str | None = None,
        message: str | None = None,
        raw: bytes = b"",
        **facts: Unpack[Facts],
    ) -> None:
        self.channel = channel
        self.code = code
        self.message = message
        self.raw = raw
        super().__init__(text, **facts)


class MissingExtraError(JetSocketError, ImportError):
    """An optional dependency is not installed. `extra`: what to put in the brackets of `pip install 'jetsocket[…]'`."""

    def __init__(self, text: str, /, *, extra: str, **facts: Unpack[Facts]) -> None:
        self.extra = extra
        super().__init__(text, **facts)

    @classmethod
    def needed_by(cls, feature: str, extra: str) -> Self:
        """The usual sentence: `feature` (what the user asked for) needs `extra`."""
        return cls(f"{feature} needs an extra that is not installed: pip install 'jetsocket[{extra}]'", extra=extra)
