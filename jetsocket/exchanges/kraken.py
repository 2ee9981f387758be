"""Kraken, spot, version 2: `trade:BTC/USD`, a channel and a symbol.

From the pages of "Spot WebSocket v2" (docs.kraken.com), where nothing else is said:

- "Subscribe" of each channel: requests and answers. Each symbol has an answer of its own; `req_id` is repeated in it.
  What is not asked for has its default: a snapshot comes first, books are 10 deep, candles (`ohlc`) are of 1 minute.
- A refusal names the symbol and not the channel. So does the Reply: an element of `Reply.channels` that begins with a
  colon, ":XBT/USD", stands for those channels of the request that end so. A request is of one channel (`together`).
- What a refusal says to be so already ("Already subscribed", "Subscription not found") is accepted. No document has the
  words.
- "Heartbeat": one a second where nothing else is sent. "Status": on each connect, and when the engine's state changes.
- "Rate limits" of spot: 150 connection attempts in 10 minutes per address. Messages have a limit that depends on the
  load and has no number; `{"Error":"Exceeded msg rate"}` says that one was over it, but not which: no more are sent for
  a while, and that one is made again when it was not answered. The pace below is a guess on the safe side: of requests
  sent at once 15 were taken (reported to xchange-stream).
- "API errors": "Rate limit exceeded", "Too many requests", and "Unavailable" or "Busy" of the service are for the
  moment: what they refuse is asked again later.

`instrument` has no symbol in its data, which are an object, and what is asked for without a symbol has data of many:
they have no key of that name, and are not for this venue: they are not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from ..protocol.pacing import Window
from ..venue import Reply, Venue
from .answers import decoded, items, members, scalar, text
from .names import by_kind, kind_of, name, subject_of

Action = Literal["subscribe", "unsubscribe"]

_SO_ALREADY: dict[Action, str] = {"subscribe": "already subscribed", "unsubscribe": "subscription not found"}
_LATER = re.compile(r"rate limit|msg rate|too many requests|EService:\s*(?:Unavailable|Busy)", re.IGNORECASE)


def _request(action: Action, channels: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:
    """One message for each channel; there is but one channel where `together` was heeded."""
    for channel in channels:
        if not subject_of(channel) or kind_of(channel) == "instrument":
            raise ValueError(f"data of {channel!r} do not name it by a symbol, by which they could be found")
    return tuple(
        {"method": action, "params": {"channel": kind, "symbol": symbols}, "req_id": request_id}
        for kind, symbols in by_kind(channels).items()
    )


def _subscribe(channels: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:
    return _request("subscribe", channels, request_id)


def _unsubscribe(channels: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:
    return _request("unsubscribe", channels, request_id)


def classify(raw: bytes) -> Reply | None:
    """The Reply that a frame is: by its `method`, or of the channel `heartbeat` or `status`; None for data and others.

    "Subscribe" of each channel, "Heartbeat" and "Status" have the forms; see the module.
    """
    frame = members(decoded(raw))
    match frame.get("method"):
        case "subscribe":
            return _answer("subscribe", frame)
        case "unsubscribe":
            return _answer("unsubscribe", frame)
        case "pong":
            return Reply("pong", request_id=scalar(frame.get("req_id")))
    match frame.get("channel"):
        case "heartbeat":
            return Reply("heartbeat")
        case "status":
            states = items(frame.get("data"))
            return Reply("notice", message=text(members(states[0]).get("system")) if states else None)
    if "Error" in frame:
        message = text(frame["Error"])
        return Reply("later" if _LATER.search(message or "") else "notice", message=message)
    if "error" in frame:
        return _answer(None, frame)
    return None


def _answer(action: Action | None, frame: dict[str, Any]) -> Reply:
    request_id = scalar(frame.get("req_id"))
    if frame.get("success") is not True:
        symbol, message = text(frame.get("symbol")), text(frame.get("error"))
        channels = () if symbol is None else (f":{symbol}",)
        if _LATER.search(message or ""):
            return Reply("later", action, channels, request_id, message=message)
        is_so = action is not None and (message or "").lower().startswith(_SO_ALREADY[action])
        return Reply("accepted" if is_so else "refused", action, channels, request_id, message=message)
    result = members(frame.get("result"))
    kind = text(result.get("channel"))
    channels = () if kind is None else (name(kind, text(result.get("symbol")) or ""),)
    return Reply("accepted", action, channels, request_id)


KRAKEN = Venue(
    name="Kraken",
    uri="wss://ws.kraken.com/v2",
    channel_key="{channel}:{data[0].symbol}",
    subscribe=_subscribe,
    unsubscribe=_unsubscribe,
    classify=classify,
    matching="request_id",
    together=kind_of,
    pace=(Window(10, 1.0),),
    reserve=0,
    connect_pace=(Window(150, 600.0),),
    heartbeat=10.0,  # a sign of life is due each second
)
"""Kraken spot version 2, `trade:BTC/USD`: see the module."""
