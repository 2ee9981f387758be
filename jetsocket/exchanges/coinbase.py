"""Coinbase, Advanced Trade: `market_trades:BTC-USD`, `ticker:BTC-USD`, `level2:BTC-USD`.

From "Advanced Trade WebSocket" (docs.cdp.coinbase.com), where nothing else is said:

- "Overview": requests, each for one channel and any products. The server closes when nothing was subscribed to within
  5 s. Each request is answered by a `subscriptions` message with all that the connection is subscribed to.
- An error has neither channel nor id, so there is one request at a time. One whose words are of a rate limit or too
  many requests is for the moment: what it refuses is asked again later.
- "Channels": what is asked for as `level2` comes as `l2_data`; here both are names of that channel.
  "Most channels close within 60-90 seconds if no updates are sent": subscribe to `heartbeats`, which has no product,
  and they stay. The heartbeats themselves, one a second, are signs of life and are not delivered.
- "Rate Limits": 8 connections and 8 messages a second, per address; no key is needed for market data.

A message goes to the channel of its first product. What has none, `status` and what needs a key (`user`,
`futures_balance_summary`), is not for this venue, and neither is a channel without products: they are not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from ..protocol.pacing import Window
from ..venue import Reply, Venue
from .answers import decoded, items, members, text
from .names import by_kind, kind_of, name, subject_of

_BOOK, _BOOK_DATA = "level2", "l2_data"
_HEARTBEATS = "heartbeats"
_WITHOUT_PRODUCT = frozenset({"status", "user", "futures_balance_summary"})
_LATER = re.compile(r"rate limit|too many requests", re.IGNORECASE)


def _asked_as(channel: str) -> str:
    kind = kind_of(channel)
    return _BOOK if kind == _BOOK_DATA else kind


def _route(channel: str) -> str:
    return name(_BOOK_DATA, subject_of(channel)) if kind_of(channel) == _BOOK else channel


def _request(action: Literal["subscribe", "unsubscribe"], channels: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """One message for each kind; there is but one kind where `together` was heeded."""
    for channel in channels:
        if channel != _HEARTBEATS and (not subject_of(channel) or kind_of(channel) in _WITHOUT_PRODUCT):
            raise ValueError(f"data of {channel!r} do not name it by a product, by which they could be found")
    kinds = by_kind(name(_asked_as(channel), subject_of(channel)) for channel in channels)
    return tuple(
        {"type": action} | ({"product_ids": list(dict.fromkeys(products))} if products else {}) | {"channel": kind}
        for kind, products in kinds.items()
    )


def _subscribe(channels: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:  # noqa: ARG001
    return _request("subscribe", channels)


def _unsubscribe(channels: Sequence[str], request_id: int) -> tuple[dict[str, Any], ...]:  # noqa: ARG001
    return _request("unsubscribe", channels)


def classify(raw: bytes) -> Reply | None:
    """The Reply that a frame is: `subscriptions`, `heartbeats` or an error; None for data, and for what is no JSON.

    "Overview" and "Channels" have the forms; errors name neither channel nor request. See the module.
    """
    frame = members(decoded(raw))
    if frame.get("type") == "error":
        words = [said for part in ("message", "reason") if (said := text(frame.get(part)))]
        message = ": ".join(words) or None
        return Reply("later" if _LATER.search(message or "") else "refused", message=message)
    match frame.get("channel"):
        case "subscriptions":
            return Reply("state", channels=_subscribed(frame))
        case "heartbeats":
            return Reply("heartbeat")
    return None


def _subscribed(frame: dict[str, Any]) -> tuple[str, ...]:
    """All that the connection is subscribed to, under each name that a user may have for it."""
    channels: list[str] = []
    for event in items(frame.get("events")):
        for kind, products in members(members(event).get("subscriptions")).items():
            channels += _names(kind, items(products))
    return tuple(dict.fromkeys(channels))


def _names(kind: str, products: Sequence[Any]) -> list[str]:
    if kind == _HEARTBEATS:  # its one product is called as it is
        return [kind]
    kinds = (_BOOK, _BOOK_DATA) if kind in (_BOOK, _BOOK_DATA) else (kind,)
    return [name(each, subject) for item in products if (subject := text(item)) for each in kinds]


COINBASE = Venue(
    name="Coinbase",
    uri="wss://advanced-trade-ws.coinbase.com",
    channel_key=(
        "{channel}:{events[0].product_id|events[0].trades[0].product_id"
        "|events[0].tickers[0].product_id|events[0].candles[0].product_id}"
    ),
    subscribe=_subscribe,
    unsubscribe=_unsubscribe,
    classify=classify,
    matching="state",
    route=_route,
    together=_asked_as,
    one_at_a_time=True,
    pace=(Window(8, 1.0),),
    reserve=0,
    connect_pace=(Window(8, 1.0),),
    heartbeat=20.0,
)
"""Coinbase Advanced Trade, market data, `market_trades:BTC-USD`: see the module."""
