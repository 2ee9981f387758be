"""Coinbase Advanced Trade."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jetsocket.protocol.pacing import Window

from .dialect import Ask, Dialect, Kind, Message, texts, timestamp
from .limits import Limits
from .record import decoded

if TYPE_CHECKING:
    from .peer import VenuePeer

_KINDS: dict[str, Kind] = {"subscribe": "subscribe", "unsubscribe": "unsubscribe"}
_CHANNELS = frozenset({"candles", "heartbeats", "level2", "market_trades", "status", "ticker", "ticker_batch", "user"})
_ENTRIES = {"ticker": "tickers", "ticker_batch": "tickers", "market_trades": "trades", "candles": "candles"}


class CoinbaseDialect(Dialect):
    """Names are `{channel}:{product}`: `market_trades:BTC-USD`. The data of `level2:BTC-USD` say `l2_data:BTC-USD`, and
    both name it. An answer lists all that the connection holds; an error says neither what nor whose.
    """

    name = "coinbase"
    paths = ("/",)
    limits = Limits(messages=(Window(8, 1.0),), connects=(Window(8, 1.0),), first_subscribe=5.0)

    def channel_of(self, name: str) -> str:
        return f"level2:{name.removeprefix('l2_data:')}" if name.startswith("l2_data:") else name

    def read(self, text: str, peer: VenuePeer) -> Ask:  # noqa: ARG002
        request = decoded(text)
        if isinstance(request, dict) and (channel := request.get("channel")) in _CHANNELS:
            kind, products = _KINDS.get(str(request.get("type"))), texts(request.get("product_ids", []))
            if kind is not None and products is not None and (products or channel in ("heartbeats", "status")):
                names = tuple(f"{channel}:{product}" for product in products) or (channel,)
                return Ask(kind, names, request, text)
        return Ask("other", (), request, text)

    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        if ask.kind == "subscribe" or ask.kind == "unsubscribe":
            for channel in ask.channels:
                refusal = peer.refusal(ask.kind, channel)
                if refusal is not None:
                    return [{"type": "error", "message": refusal.message or f"failure to {ask.kind}"}]
            for channel in ask.channels:
                if ask.kind == "subscribe":
                    peer.join(channel)
                else:
                    peer.leave(channel)
            return [_subscriptions(peer)]
        wanted = ask.request.get("type") if isinstance(ask.request, dict) else None
        return [{"type": "error", "message": f"failure to {wanted if wanted in _KINDS else 'subscribe'}"}]

    def revoke(self, channel: str, peer: VenuePeer) -> list[Message]:
        peer.leave(channel)
        return [_subscriptions(peer)]

    def heartbeat(self, channel: str | None, peer: VenuePeer) -> list[Message]:  # noqa: ARG002
        count = peer.facts["heartbeats"] = peer.facts.get("heartbeats", 0) + 1
        now = f"{timestamp()[:-1].replace('T', ' ')}000+00:00"
        return [_event("heartbeats", {"current_time": now, "heartbeat_counter": count})]

    def has_data(self, channel: str) -> bool:
        return channel != "heartbeats"

    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:
        kind, _, product = channel.partition(":")
        if kind == "heartbeats":
            return self.heartbeat(channel, peer)[0]
        first = {"type": "snapshot" if peer.is_first(channel) else "update"}
        if kind == "level2":
            now, price = timestamp(), f"{sequence}.00"
            update = {"side": "bid", "event_time": now, "price_level": price, "new_quantity": "2.00000000"}
            return _event("l2_data", {**first, "product_id": product, "updates": [update]})
        return _event(kind, {**first, _ENTRIES.get(kind, kind): [_entry(kind, product, sequence)]})

    def encode(self, message: Message, peer: VenuePeer) -> str:
        """Numbered when it goes out: `sequence_num` counts the connection's messages, whatever they are."""
        if isinstance(message, dict) and "sequence_num" in message:
            message = {**message, "sequence_num": peer.numbered}
            peer.numbered += 1
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def _event(channel: str, event: dict[str, Any]) -> Message:
    return {"channel": channel, "client_id": "", "timestamp": timestamp(), "sequence_num": 0, "events": [event]}


def _subscriptions(peer: VenuePeer) -> Message:
    state: dict[str, list[str]] = {}
    for name in peer.channels:
        channel, _, product = name.partition(":")
        state.setdefault(channel, []).append(product or channel)
    return _event("subscriptions", {"subscriptions": state})


def _entry(kind: str, product: str, sequence: int) -> dict[str, str]:
    price, now = f"{sequence}.50", timestamp()
    if kind == "market_trades":
        trade = {"price": price, "size": "0.00150000", "side": "BUY", "time": now}
        return {"trade_id": str(sequence), "product_id": product, **trade}
    if kind == "candles":
        prices = {"high": price, "low": price, "open": price, "close": price}
        return {"start": "1688998200", **prices, "volume": "0.00150000", "product_id": product}
    day = {"volume_24_h": "15328.12345678", "low_24_h": price, "high_24_h": price, "price_percent_chg_24_h": "1.85"}
    year = {"low_52_w": "25000.00", "high_52_w": "73800.00"}
    best = {"best_bid": price, "best_bid_quantity": "1.5", "best_ask": f"{sequence}.60", "best_ask_quantity": "0.5"}
    return {"type": "ticker", "product_id": product, "price": price, **day, **year, **best}
