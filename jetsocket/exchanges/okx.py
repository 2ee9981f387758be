"""OKX, version 5: `tickers:BTC-USDT`, a channel and its instId, instFamily or instType.

From the "Overview" of "WebSocket" in "OKX API v5" (okx.com/docs-v5), where nothing else is said:

- "Connect": 3 connections a second per address; 480 requests to subscribe, unsubscribe or log in an hour on a
  connection. After 30 s without data the server closes: the text `ping` in time is answered by the text `pong`.
- "Subscribe", "Unsubscribe": requests and answers. Each argument has an answer of its own, with the request's id. An id
  is text, up to 32 letters and digits: `classify` gives digits back as the number that they were.
  All arguments together are at most 64 KB.
- "Notification": notice 64008 comes 60 s before the server closes for an upgrade.
- "Connection count limit": 30 connections of a sub-account to one private channel. Beyond it the subscription ends,
  though it was confirmed: `channel-conn-count-error`. It names the channel without its instrument ("orders"), and so
  does the Reply: an element of `Reply.channels` without a colon stands for that channel and for all of `orders:…`.
- "Error codes", "WebSocket": those of a login are notices here, they answer no subscription. 60018 says in words
  which channel there is not, 60012 quotes the request. 60014 "Requests too frequent", and of the general ones 50001
  (unavailable), 50011 (rate limit) and 50013 (busy), are for the moment: they are asked again later.

Data carry their channel at the same place as the answers: `event` comes first in the key, so that an answer is
"subscribe:BTC-USDT", to which nobody is subscribed. Channels that have neither instrument nor family nor type, such as
`status` and `account`, have no key, and are not for this venue: they are not asked for.

Candles and some others have an address of their own, .../ws/v5/business, and what needs a login .../ws/v5/private:
give it as the Multiplex's `uri`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..protocol.pacing import Window
from ..protocol.timing import HeartbeatConfig
from ..venue import Reply, Venue
from .answers import decoded, items, members, scalar, text
from .names import kind_of, name, subject_of

_SUBJECTS = ("instId", "instFamily", "instType")  # in the order of the channel key
_TYPES = frozenset({"SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "ANY"})
_BY_FAMILY = frozenset({"opt-summary"})
_LOGIN = re.compile(r"6000[4-79]|6002[12346]|6003[0-2]|63999")
_LATER = frozenset({"60014", "50001", "50011", "50013"})
_SERVICE_UPGRADE = "64008"
_NO_SUCH_CHANNEL = re.compile(r"channel:([^,\s]+),(?:instId|instFamily|instType):([^,\s]+)")
_ID = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


def _argument(channel: str) -> dict[str, str]:
    kind, subject = kind_of(channel), subject_of(channel)
    if not subject:
        raise ValueError(f"data of {channel!r} name no instrument, family or type, by which they could be found")
    if subject in _TYPES:
        return {"channel": kind, "instType": subject}
    return {"channel": kind, "instFamily" if kind in _BY_FAMILY else "instId": subject}


def _subscribe(channels: Sequence[str], request_id: int) -> dict[str, Any]:
    return {"id": str(request_id), "op": "subscribe", "args": [_argument(channel) for channel in channels]}


def _unsubscribe(channels: Sequence[str], request_id: int) -> dict[str, Any]:
    return {"id": str(request_id), "op": "unsubscribe", "args": [_argument(channel) for channel in channels]}


def _is_pong(raw: bytes) -> bool:
    return raw == b"pong"


def classify(raw: bytes) -> Reply | None:
    """The Reply that a frame is: the text "pong", or one with an `event`; None for data, and for what is neither.

    "Subscribe" and "Notification" have the forms, "Error codes" what an error says; see the module.
    """
    if _is_pong(raw):
        return Reply("pong")
    frame = members(decoded(raw))
    read = _READERS.get(text(frame.get("event")) or "")
    return None if read is None else read(frame)


def _subscribed(frame: dict[str, Any]) -> Reply:
    return Reply("accepted", "subscribe", channels=_names([frame.get("arg")]), request_id=_request_id(frame))


def _unsubscribed(frame: dict[str, Any]) -> Reply:
    return Reply("accepted", "unsubscribe", channels=_names([frame.get("arg")]), request_id=_request_id(frame))


def _error(frame: dict[str, Any]) -> Reply:
    code, message = scalar(frame.get("code")), text(frame.get("msg"))
    if _LOGIN.fullmatch(str(code)):
        return Reply("notice", code=code, message=message)
    if str(code) in _LATER:
        return Reply("later", None, (), _request_id(frame), code, message)
    named = _NO_SUCH_CHANNEL.search(message or "")
    if named is not None:
        return Reply("refused", None, (name(named[1], named[2]),), _request_id(frame), code, message)
    request = _quoted(message or "")
    request_id = _request_id(frame if "id" in frame else request)
    return Reply("refused", _action(request), _names(items(request.get("args"))), request_id, code, message)


def _quoted(message: str) -> dict[str, Any]:
    """The request that the words of an error quote."""
    quoted = message[message.find("{") : message.rfind("}") + 1]
    return members(decoded(quoted.encode("utf-8", "surrogatepass")))


def _action(request: dict[str, Any]) -> Literal["subscribe", "unsubscribe"] | None:
    match request.get("op"):
        case "subscribe":
            return "subscribe"
        case "unsubscribe":
            return "unsubscribe"
    return None


def _notice(frame: dict[str, Any]) -> Reply:
    code, message = scalar(frame.get("code")), text(frame.get("msg"))
    return Reply("notice", code=code, message=message, then="reconnect" if code == _SERVICE_UPGRADE else "nothing")


def _count(frame: dict[str, Any]) -> Reply:
    return Reply("notice", channels=_counted(frame), code=text(frame["event"]), message=_count_text(frame))


def _count_exceeded(frame: dict[str, Any]) -> Reply:
    return Reply("revoked", channels=_counted(frame), code=text(frame["event"]), message=_count_text(frame))


def _counted(frame: dict[str, Any]) -> tuple[str, ...]:
    channel = text(frame.get("channel"))
    return () if channel is None else (channel,)


def _count_text(frame: dict[str, Any]) -> str | None:
    count = scalar(frame.get("connCount"))
    return None if count is None else f"connCount {count}"


def _names(arguments: Sequence[Any]) -> tuple[str, ...]:
    return tuple(channel for argument in arguments if (channel := _name_of(members(argument))))


def _name_of(argument: dict[str, Any]) -> str | None:
    kind = text(argument.get("channel"))
    if kind is None:
        return None
    subjects = (text(argument.get(field)) for field in _SUBJECTS)
    return name(kind, next(filter(None, subjects), ""))


def _request_id(frame: dict[str, Any]) -> int | str | None:
    request_id = scalar(frame.get("id"))
    return int(request_id) if isinstance(request_id, str) and _ID.fullmatch(request_id) else request_id


_READERS: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "subscribe": _subscribed,
    "unsubscribe": _unsubscribed,
    "error": _error,
    "notice": _notice,
    "login": _notice,
    "channel-conn-count": _count,
    "channel-conn-count-error": _count_exceeded,
}

OKX = Venue(
    name="OKX",
    uri="wss://ws.okx.com:8443/ws/v5/public",
    channel_key="{event|arg.channel}:{arg.instId|arg.instFamily|arg.instType}",
    subscribe=_subscribe,
    unsubscribe=_unsubscribe,
    classify=classify,
    matching="request_id",
    characters_per_message=64_000,
    pace=(Window(480, 3600.0),),
    reserve=0,  # its pings and pongs do not count
    connect_pace=(Window(3, 1.0),),
    heartbeat=HeartbeatConfig(
        interval=20.0, payload="ping", use_ws_ping=False, use_application_ping=True, pong_matcher=_is_pong
    ),
)
"""OKX version 5, public channels, `tickers:BTC-USDT`: see the module."""
