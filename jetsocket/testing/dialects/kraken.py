"""Kraken v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jetsocket.protocol.pacing import Window

from .dialect import Ask, Dialect, Message, texts, timestamp
from .faults import Action, Refusal
from .limits import Limits
from .record import decoded

if TYPE_CHECKING:
    from .peer import VenuePeer


class KrakenDialect(Dialect):
    """Names are `{channel}:{symbol}`: `trade:BTC/USD`. One answer a symbol, with the request's `req_id`.

    Kraken's pace of requests is dynamic and not documented: there is no limit on it unless a test sets one.
    """

    name = "kraken"
    paths = ("/v2",)
    limits = Limits(connects=(Window(150, 600.0),))
    notices = ("maintenance", "reconnect", "resumed")
    too_much = {"Error": "Exceeded msg rate"}  # noqa: RUF012

    def welcome(self, peer: VenuePeer) -> list[Message]:
        return [_status("online", peer)]

    def read(self, text: str, peer: VenuePeer) -> Ask:  # noqa: ARG002
        request = decoded(text)
        if isinstance(request, dict) and isinstance(parameters := request.get("params"), dict):
            method, channel, symbols = request.get("method"), parameters.get("channel"), _symbols(parameters)
            if isinstance(channel, str) and symbols is not None:
                names = tuple(_name(channel, symbol) for symbol in symbols)
                if method == "subscribe":
                    return Ask("subscribe", names, request, text)
                if method == "unsubscribe":
                    return Ask("unsubscribe", names, request, text)
        return Ask("other", (), request, text)

    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        came = timestamp()
        if ask.kind == "subscribe" or ask.kind == "unsubscribe":
            symbols = _symbols(ask.request["params"]) or (None,)
            return [self._one(ask, ask.kind, symbol, came, peer) for symbol in symbols]
        if isinstance(ask.request, dict) and ask.request.get("method") == "ping":
            return [{"method": "pong", **_times(ask, came)}]
        return [{"error": "Malformed request", "method": "error", "success": False, **_times(ask, came)}]

    def _one(self, ask: Ask, action: Action, symbol: str | None, came: str, peer: VenuePeer) -> Message:
        parameters = ask.request["params"]
        channel = _name(parameters["channel"], symbol)
        refusal = peer.refusal(action, channel)
        if refusal is None and action == "subscribe" and channel in peer.channels:
            refusal = Refusal(message="Already subscribed")
        if refusal is None and action == "unsubscribe" and channel not in peer.channels:
            refusal = Refusal(message="Subscription Not Found")
        of = {} if symbol is None else {"symbol": symbol}
        if refusal is not None:
            words = refusal.message or f"Currency pair not supported {symbol}"
            return {"error": words, "method": action, "success": False, **of, **_times(ask, came)}
        result = {"channel": parameters["channel"], **of}
        if action == "subscribe":
            peer.join(channel)
            echoed = {name: value for name, value in parameters.items() if name not in ("channel", "symbol", "token")}
            result |= {"snapshot": True, **echoed}
        else:
            peer.leave(channel)
        return {"method": action, "result": result, "success": True, **_times(ask, came)}

    def revoke(self, channel: str, peer: VenuePeer) -> list[Message]:
        """As the answer to a request that nobody made."""
        peer.leave(channel)
        kind, _, symbol = channel.partition(":")
        result = {"channel": kind, "symbol": symbol}
        now = timestamp()
        return [{"method": "unsubscribe", "result": result, "success": True, "time_in": now, "time_out": now}]

    def notice(self, kind: str, peer: VenuePeer) -> Message:
        return _status("online" if kind == "resumed" else "maintenance", peer)

    def heartbeat(self, channel: str | None, peer: VenuePeer) -> list[Message]:  # noqa: ARG002
        return [{"channel": "heartbeat"}]

    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:
        kind, _, symbol = channel.partition(":")
        first = "snapshot" if peer.is_first(channel) and kind != "trade" else "update"
        return {"channel": kind, "type": first, "data": [{"symbol": symbol, **_entry(kind, sequence)}]}


def _entry(kind: str, sequence: int) -> dict[str, Any]:
    price, now = sequence + 0.2, timestamp()
    if kind == "trade":
        trade = {"side": "buy", "price": price, "qty": 0.00027625, "ord_type": "limit"}
        return {**trade, "trade_id": sequence, "timestamp": now}
    if kind == "book":
        bids, asks = [{"price": price, "qty": 0.25}], [{"price": price + 0.1, "qty": 0.136}]
        return {"bids": bids, "asks": asks, "checksum": 2114181697, "timestamp": now}
    if kind == "ohlc":
        prices = {"open": price, "high": price, "low": price, "close": price}
        counts = {"volume": 30927.68, "vwap": price, "trades": sequence}
        return {"interval": 1, "interval_begin": now, **prices, **counts}
    best = {"bid": price, "bid_qty": 2.5, "ask": price + 0.1, "ask_qty": 3.2, "last": price}
    day = {"volume": 163.28, "vwap": price, "low": price, "high": price, "change": 250.0, "change_pct": 0.24}
    return {**best, **day, "timestamp": now}


def _symbols(parameters: dict[str, Any]) -> tuple[str | None, ...] | None:
    """Those that a request names; one None for a channel that has no symbols; None where they are no list of texts."""
    return texts(parameters["symbol"]) if "symbol" in parameters else (None,)


def _name(channel: str, symbol: str | None) -> str:
    return channel if symbol is None else f"{channel}:{symbol}"


def _times(ask: Ask, came: str) -> dict[str, Any]:
    """The end of each answer."""
    times = {"time_in": came, "time_out": timestamp()}
    if isinstance(ask.request, dict) and "req_id" in ask.request:
        return {"req_id": ask.request["req_id"], **times}
    return times


def _status(system: str, peer: VenuePeer) -> Message:
    facts = {
        "version": "2.0.10",
        "system": system,
        "api_version": "v2",
        "connection_id": 15113583034416118705 + peer.number,
    }
    return {"channel": "status", "type": "update", "data": [facts]}
