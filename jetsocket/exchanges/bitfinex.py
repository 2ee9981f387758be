"""Bitfinex, version 2: `ticker:tBTCUSD`, `trades:tBTCUSD`, `book:tBTCUSD`, `candles:trade:1m:tBTCUSD`.

From "WebSocket" in the API's documentation (docs.bitfinex.com), where nothing else is said:

- "Public Channels": the address; 20 connections a minute; 25 channels a connection. A request is for one channel.
- "Subscribe to Channels": the answer brings the number that the channel's data carry from now on (`chanId`), on this
  connection; with it one unsubscribes. A channel's own sign of life is "hb" in the place of data, every 15 s. Of 21
  answers in a recorded run of 2021 two came 11 and 13 seconds late, and of one of them an "hb" before it.
- "Error Codes": 10300 cannot be subscribed to, 10301 is subscribed to already, 10305 too many channels; 10400 cannot be
  unsubscribed from, 10401 is not subscribed to. 10301 and 10401 say that what is asked for is so: they are accepted.
  10301 may come before the first request's own answer, and mostly brings the number too.
  11010, the rate limit, is for the moment: what it refuses is asked again later.
- "Info Codes": 20051 please reconnect; 20060 the platform goes into maintenance, pause until 20061; 20061 maintenance
  has ended, "it is advised to unsubscribe/subscribe again all channels". The first message is an info without a code.

A book may have options, precision, frequency and length: `book:tBTCUSD:P0:F0:100`. Symbols hold colons themselves
(`tBTCF0:USTF0`), so options are what stands last, all three of them, in exactly their form: P0 to P4 or R0, F0 or F1,
and 1, 25, 100 or 250. Without them a book is P0, F0, 25, and has no other name.
Candles and status are named by their key in place of a symbol: `status:deriv:tBTCF0:USTF0`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..protocol.pacing import Window
from ..venue import Reply, Venue
from .answers import decoded, members, scalar, text
from .names import kind_of, name, subject_of

_BY_KEY = frozenset({"candles", "status"})
_OPTIONS = {"prec": "P0", "freq": "F0", "len": "25"}
_BOOK = re.compile(r"(?P<symbol>.+):(?P<prec>P[0-4]|R0):(?P<freq>F[01]):(?P<len>1|25|100|250)", re.DOTALL)

_DUPLICATE = 10301
_RATE_LIMIT = 11010
_UNSUBSCRIBE_FAILED = 10400
_NOT_SUBSCRIBED = 10401
_THEN: dict[int | str | None, Literal["reconnect", "resubscribe"]] = {20051: "reconnect", 20061: "resubscribe"}


def _subscribe(channels: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:  # noqa: ARG001
    return tuple({"event": "subscribe"} | _parameters(channel) for channel in channels)


def _parameters(channel: str) -> dict[str, str]:
    kind, subject = kind_of(channel), subject_of(channel)
    if not subject:
        # Its refusal would name no channel.
        raise ValueError(f"{channel!r} has no symbol or key: call it {name(kind, '…')!r}")
    if kind in _BY_KEY:
        return {"channel": kind, "key": subject}
    book = _BOOK.fullmatch(subject) if kind == "book" else None
    if book is None:
        return {"channel": kind, "symbol": subject} | (_OPTIONS if kind == "book" else {})
    parameters = book.groupdict()
    if parameters.items() >= _OPTIONS.items():
        raise ValueError(f"these are the options of every book: call it {name(kind, parameters['symbol'])!r}")
    return {"channel": kind, **parameters}


def _unsubscribe(keys: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:  # noqa: ARG001
    return tuple({"event": "unsubscribe", "chanId": int(key)} for key in keys)


def classify(raw: bytes) -> Reply | None:
    """The Reply that a frame is: one with an `event`, or an "hb" of no known channel; None for data, and for others.

    "Subscribe to Channels", "Error Codes" and "Info Codes" have the forms; see the module.
    """
    frame = decoded(raw)
    if isinstance(frame, list):
        # Of a channel that is unknown, or not any more: those of known ones are `channel_heartbeat`.
        return Reply("heartbeat") if len(frame) > 1 and frame[1] == "hb" else None
    frame = members(frame)
    read = _READERS.get(text(frame.get("event")) or "")
    return None if read is None else read(frame)


def _subscribed(frame: dict[str, Any]) -> Reply:
    return Reply("accepted", "subscribe", channels=_names(frame), key=_key(frame))


def _unsubscribed(frame: dict[str, Any]) -> Reply:
    if frame.get("status") != "OK":
        return Reply("refused", "unsubscribe", message=text(frame.get("status")), key=_key(frame))
    return Reply("accepted", "unsubscribe", key=_key(frame))


def _error(frame: dict[str, Any]) -> Reply:
    code, message, channels = scalar(frame.get("code")), text(frame.get("msg")), _names(frame)
    if code == _RATE_LIMIT:
        return Reply("later", "subscribe" if channels else None, channels, code=code, message=message)
    if code == _DUPLICATE:
        return Reply("accepted", "subscribe", channels, code=code, message=message, key=_key(frame))
    if code == _NOT_SUBSCRIBED:
        return Reply("accepted", "unsubscribe", code=code, message=message, key=_key(frame))
    if code == _UNSUBSCRIBE_FAILED:
        return Reply("refused", "unsubscribe", code=code, message=message, key=_key(frame))
    return Reply("refused", "subscribe" if channels else None, channels, code=code, message=message)


def _info(frame: dict[str, Any]) -> Reply:
    code = scalar(frame.get("code"))
    if code is not None:
        return Reply("notice", code=code, message=text(frame.get("msg")), then=_THEN.get(code, "nothing"))
    version, status = scalar(frame.get("version")), scalar(members(frame.get("platform")).get("status"))
    return Reply("notice", message=f"version {version}, platform status {status}")


def _answered(frame: dict[str, Any]) -> Reply:
    """What one sends besides, as to settings or a login, has been answered."""
    return Reply("notice", message=f"{text(frame.get('event'))}: {text(frame.get('status'))}")


def _pong(frame: dict[str, Any]) -> Reply:
    return Reply("pong", request_id=scalar(frame.get("cid")))


def _names(frame: dict[str, Any]) -> tuple[str, ...]:
    """The channel that an answer names; none where it names none."""
    kind, subject = text(frame.get("channel")), text(frame.get("symbol")) or text(frame.get("key"))
    if kind is None or subject is None:
        return ()
    if kind != "book":
        return (name(kind, subject),)
    options = {option: str(scalar(frame.get(option)) or usual) for option, usual in _OPTIONS.items()}
    return (name(kind, subject) if options == _OPTIONS else ":".join([kind, subject, *options.values()]),)


def _key(frame: dict[str, Any]) -> str | None:
    number = scalar(frame.get("chanId"))
    return str(number) if isinstance(number, int) else None


_READERS: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "subscribed": _subscribed,
    "unsubscribed": _unsubscribed,
    "error": _error,
    "info": _info,
    "conf": _answered,
    "auth": _answered,
    "pong": _pong,
}

BITFINEX = Venue(
    name="Bitfinex",
    uri="wss://api-pub.bitfinex.com/ws/2",
    channel_key="[0]",
    subscribe=_subscribe,
    unsubscribe=_unsubscribe,
    classify=classify,
    matching="learned",
    answer_timeout=30.0,
    max_channels=25,
    channels_per_message=1,
    connect_pace=(Window(20, 60.0),),
    heartbeat=20.0,
    channel_heartbeat=("[1]", "hb"),
)
"""Bitfinex version 2, public channels, `trades:tBTCUSD`: see the module."""
