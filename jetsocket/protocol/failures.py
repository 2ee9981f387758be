"""The sentences: facts about a failure in, the error to raise out.

Every function takes the facts that its caller has (the address, seconds, the operating system's words) and
gives an error that says what happened, in which phase, and what to do, with the same facts as attributes. `elapsed` is
seconds since the phase began. Nothing of the server's is quoted with control characters in it. TLS has its own module,
`tls_failures`.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Literal, TypeVar

from jetsocket.errors import (
    FATAL_CLOSE_CODES,
    FATAL_STATUS_CODES,
    CloseError,
    ConnectionError,
    HandshakeError,
    InvalidStateError,
    Phase,
    ProtocolError,
    TimeoutError,
)
from jetsocket.protocol.states import ConnectionState
from jetsocket.protocol.timing import MOST_RETRY_AFTER, duration_text
from jetsocket.protocol.uri import Address

AnyFailure = TypeVar("AnyFailure", bound=ConnectionError | TimeoutError)

CLOSE_NAMES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code given",
    1006: "abnormal closure",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "extension missing",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}

_QUOTED_BODY = 200  # characters of a refusal's body that go into its sentence


def quoted(text: str, limit: int = _QUOTED_BODY) -> str:
    """The server's text fit for a message: one line, printable, at most `limit` characters."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def with_next_attempt(error: AnyFailure, attempt: int, retry_in: float | None) -> AnyFailure:
    """The same error, which now also tells which attempt it ended and when the next one begins (None: never)."""
    error.attempt = attempt
    error.retry_in = retry_in
    if retry_in is None and not error.retryable:
        return error  # its sentence says so already
    text = f"attempt {attempt}, {'the last' if retry_in is None else f'next in {retry_in:.1f} s'}"
    error.reworded(f"{error} ({text})" if str(error).endswith("?") else f"{error}, {text}")
    return error


# Before there is a connection.


def connect_failed(address: Address, elapsed: float, error: OSError, phase: Phase = "connect") -> ConnectionError:
    """No TCP connection. `phase` "resolve": `error` came from the name resolution."""
    reason = quoted(error.strerror or str(error) or type(error).__name__)
    if phase == "resolve":
        hint = "check the host name and this machine's DNS"
        text = f"cannot resolve {address.host!r} ({reason})"
    elif isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        hint = "is the server running?"
        text = f"{address} refused the connection; {hint}"
    else:
        hint = None
        text = f"{address} cannot be reached: {reason}"
    return ConnectionError(text, uri=address.safe, phase=phase, elapsed=elapsed, hint=hint)


def connect_timed_out(
    address: Address,
    phase: Phase,
    timeout: float,
    elapsed: float,
    *,
    connected_in: float | None = None,
    option: str = "connect_timeout",
) -> TimeoutError:
    """`phase` was not over when the time was. `connected_in`: seconds that the TCP connection took, if there is one."""
    waited = duration_text(elapsed)
    tcp = "" if connected_in is None else f" (TCP connected in {duration_text(connected_in)})"
    limit = f"{option} sets the limit"
    hint = limit
    if phase == "resolve":
        text = f"{address.host!r} was not resolved in {waited}; {limit}"
    elif phase == "tls":
        hint = "a plain ws:// port?"
        text = f"{address}: TLS handshake not finished in {waited}{tcp}; {hint}"
    elif phase == "upgrade":
        text = f"{address}: no answer to the upgrade in {waited}{tcp}; {limit}"
    else:
        via = "the proxy gave no connection" if phase == "proxy" else "no TCP connection"
        text = f"{address}: {via} in {waited}; {limit}"
    return TimeoutError(timeout, f"connect ({phase})", text, uri=address.safe, phase=phase, elapsed=elapsed, hint=hint)


# The upgrade.


def closed_before_upgrade(address: Address, detail: str = "") -> HandshakeError:
    """The stream ended, or broke (`detail` says how), before a whole answer had come."""
    hint = None if address.secure else f"try {with_scheme(address, 'wss')}"
    text = f"{address} closed before the upgrade{f' ({quoted(detail)})' if detail else ''}"
    return HandshakeError(f"{text}; {hint}" if hint else text, uri=address.safe, phase="upgrade", hint=hint)


def not_http(address: Address, first: bytes, problem: str = "") -> HandshakeError:
    """What came is no HTTP. `first`: its first bytes; `problem`: in the parser's words."""
    hint = None
    if first[:1] in (b"\x15", b"\x16"):  # TLS records: an alert, a handshake
        hint = f"try {with_scheme(address, 'wss')}"
        text = f"{address} answered with TLS; {hint}"
    else:
        said = f" ({quoted(problem)})" if problem else ""
        text = f"{address} did not answer with HTTP{said}; it began with {first[:40]!r}"
    return HandshakeError(text, uri=address.safe, phase="upgrade", hint=hint)


def upgrade_refused(
    address: Address,
    status_code: int,
    reason: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    retry_after: float | None,
) -> HandshakeError:
    """The server answered with something else than 101."""
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    media_type = content_type.partition(";")[0].strip().lower()
    hint: str | None = None
    if 200 <= status_code < 300:
        kind = "a web page, not" if media_type == "text/html" else "not"
        hint = "check the path"
        with_type = f" with {quoted(media_type)}" if media_type else ""
        text = f"{address} answered {status_code}{with_type}: {kind} a WebSocket endpoint; {hint}"
    else:
        text = f"{address} answered {status_code} {quoted(reason)}".rstrip()
        shown = "" if media_type == "text/html" else quoted(body.decode(errors="replace"))
        text += f": {shown}" if shown else ""
        if status_code == 400 and not address.secure and b"sent to HTTPS port" in body:
            hint = f"try {with_scheme(address, 'wss')}"
            text += f"; {hint}"
        if retry_after is not None and retry_after > MOST_RETRY_AFTER:
            text += f"; it asks to wait {duration_text(retry_after)}, {duration_text(MOST_RETRY_AFTER)} is the most"
        elif retry_after is not None:
            text += f"; it asks to wait {retry_after:g} s"
        if status_code in FATAL_STATUS_CODES:
            text += " (not retried)"
    return HandshakeError(
        text,
        status_code=status_code,
        headers=headers,
        body=body,
        retry_after=retry_after,
        uri=address.safe,
        phase="upgrade",
        hint=hint,
    )


def upgrade_invalid(address: Address, headers: Sequence[tuple[str, str]], problem: str) -> HandshakeError:
    """The server answered 101, but not as RFC 6455 §4.1 asks."""
    text = f"{address} answered 101, but {quoted(problem)}"
    return HandshakeError(text, status_code=101, headers=headers, uri=address.safe, phase="upgrade")


def redirected_too_often(
    address: Address,
    limit: int,
    last: Address,
    elapsed: float,
    status_code: int,
    headers: Sequence[tuple[str, str]],
) -> HandshakeError:
    """One redirect more than are followed; `last` is where it leads, `status_code` and `headers` are its own."""
    return HandshakeError(
        f"{address} redirects more than {limit} times, last to {last}",
        status_code=status_code,
        headers=headers,
        uri=address.safe,
        phase="upgrade",
        elapsed=elapsed,
        retryable=False,
    )


# While it is open, and after.


def closed(
    address: Address, code: int, reason: str, by: Literal["server", "client"], age: float, messages: int
) -> CloseError:
    """A close frame ended the connection, which was `age` seconds old and had brought so many messages."""
    name = CLOSE_NAMES.get(code, "private code" if code >= 4000 else "registered code" if code >= 3000 else "unknown")
    if code == 1006 and by == "client":
        text = f"{address}: closed by the client, and the server did not answer the close frame"
    else:
        text = f"{address}: closed by the {by} with {code} ({name})"
    if reason:
        text += f": {quoted(reason)}"
    text += f", after {duration_text(age)} and {messages:,} message{'' if messages == 1 else 's'}"
    if code in FATAL_CLOSE_CODES:
        text += "; not retried"
    return CloseError(text, code=code, reason=reason, by=by, uri=address.safe, phase="open", elapsed=age)


def lost(
    address: Address, age: float, last_message: float | None, *, reset: bool, in_message: bool = False, detail: str = ""
) -> ConnectionError:
    """The stream broke (`reset`) or ended without a close frame. `last_message`: its age in seconds, None for none."""
    if reset:
        text = f"{address}: the connection was reset"
    else:
        text = f"{address}: the server ended the stream without a close frame"
    if in_message:
        text += ", amid a message"
    if detail:
        text += f" ({quoted(detail)})"
    text += f", after {duration_text(age)}, "
    text += "without a message" if last_message is None else f"last message {duration_text(last_message)} ago"
    return ConnectionError(text, uri=address.safe, phase="open", elapsed=age)


def no_pong(address: Address, waited: float, last_data: float) -> ConnectionError:
    """The heartbeat found the connection dead, `waited` seconds after its ping; `last_data`: age of the last byte."""
    text = f"{address}: no pong in {waited:.2f} s, last data {last_data:.2f} s ago"
    return ConnectionError(text, uri=address.safe, phase="open", elapsed=waited)


def violated(address: Address, code: int, reason: str, max_message_size: int) -> ProtocolError:
    """The server broke the protocol, or the limit on messages (1009)."""
    hint = None
    if code == 1009:
        # Said below, in digits that can be read.
        reason = reason.removesuffix(f", over {max_message_size}").removesuffix(f" than {max_message_size} bytes")
    text = f"{address}: closed with {code} ({CLOSE_NAMES.get(code, 'error')}), the server sent {quoted(reason)}"
    if code == 1009:
        hint = "max_message_size sets the limit"
        text = f"{text}; {hint}, now {max_message_size:,} bytes"
    return ProtocolError(text, code=code, uri=address.safe, phase="open", hint=hint)


def used_after_close(operation: str, state: Enum | str, closed_ago: float | None, why: str) -> InvalidStateError:
    """`operation` on a connection that was closed so many seconds ago, for the reason `why` (an error's text)."""
    when = "" if closed_ago is None else f" {duration_text(closed_ago)} ago"
    message = f"cannot {operation}: the connection was closed{when}{f' ({why})' if why else ''}"
    return InvalidStateError(state, ConnectionState.CONNECTED, operation, message)


def unserialisable(serializer: str, value: object, error: BaseException) -> TypeError:
    """`send` was given what `serializer` (its name) cannot serialise."""
    return TypeError(f"send: {serializer} cannot serialise {type(value).__name__}: {error}; see serializer=")


def unknown_option(function: str, name: str, known: Collection[str]) -> TypeError:
    """`function` of ours was given the keyword `name`; the nearest known one is suggested."""
    from difflib import get_close_matches  # noqa: PLC0415  # a slow import that only a mistake needs

    near = get_close_matches(name, known, 1, 0.6)
    return TypeError(f"{function}() has no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def with_scheme(address: Address, scheme: str) -> str:
    """The address with another scheme, to be shown."""
    return f"{scheme}://{address.safe.partition('://')[2]}"
