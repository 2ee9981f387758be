"""Binance, spot: combined streams, `btcusdt@trade`, `btcusdt@depth@100ms`; all symbols in lower case.

From "WebSocket Streams for Binance" (developers.binance.com, Spot), where nothing else is said:

- "General WSS information": the address; a connection lives 24 hours; a `serverShutdown` event asks for a new one; the
  server pings every 20 s and wants its pong within a minute.
- "WebSocket Limits": 5 incoming messages a second, where pings and pongs count as requests do, beyond which the
  connection is closed and the address may be banned; 1,024 streams a connection; 300 connection attempts in 5 minutes
  per address.
- "Live Subscribing/Unsubscribing to streams": requests and answers. One answer for all streams of a request, by its id;
  errors come as `{"code","msg"}`, or nested with the id. Without one they decide about nothing.
- "Error Codes": -1003 (too many requests) and -1008 (overloaded) are for the moment: what they refuse is asked again
  later.

No document limits the length of a request, but the server reads 4,096 bytes and never answers one that is longer:
4,088 bytes and the frame's header (reported to binance-connector-rust).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..protocol.pacing import Window
from ..venue import Reply, Venue
from .answers import decoded, members, scalar, text

_SHUTDOWN = "serverShutdown"
_LATER = (-1003, -1008)


def _subscribe(channels: Sequence[str], request_id: int) -> dict[str, Any]:
    return {"method": "SUBSCRIBE", "params": list(channels), "id": request_id}


def _unsubscribe(channels: Sequence[str], request_id: int) -> dict[str, Any]:
    return {"method": "UNSUBSCRIBE", "params": list(channels), "id": request_id}


def classify(raw: bytes) -> Reply | None:
    """The Reply that a frame is: `serverShutdown`, or the answer to a request; None for data, and for what is no JSON.

    "Live Subscribing/Unsubscribing to streams" has the answers; what was asked besides, as a list, is none of them.
    """
    frame = members(decoded(raw))
    if _SHUTDOWN in (frame.get("e"), members(frame.get("data")).get("e")):
        return Reply("notice", message=_SHUTDOWN, then="reconnect")
    if "result" in frame:
        # Anything but null answers what the user has asked besides: LIST_SUBSCRIPTIONS, GET_PROPERTY.
        return Reply("accepted", request_id=scalar(frame.get("id"))) if frame["result"] is None else None
    error = members(frame["error"]) if "error" in frame else frame
    if "code" not in error:
        return None
    code = scalar(error["code"])
    return Reply(
        "later" if code in _LATER else "refused",
        request_id=scalar(frame.get("id")),
        code=code,
        message=text(error.get("msg")),
    )


BINANCE = Venue(
    name="Binance",
    uri="wss://stream.binance.com:9443/stream",
    channel_key="stream",
    subscribe=_subscribe,
    unsubscribe=_unsubscribe,
    classify=classify,
    matching="request_id",
    max_channels=1024,
    characters_per_message=4000,
    pace=(Window(5, 1.0),),
    reserve=1,
    pace_counts_control=True,
    connect_pace=(Window(300, 300.0),),
    heartbeat=20.0,
    max_connection_age=85_800.0,  # ten minutes before the server ends it
)
"""Binance spot, `btcusdt@trade`: see the module."""
