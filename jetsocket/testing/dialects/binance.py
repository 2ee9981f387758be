"""Binance's combined streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jetsocket.protocol.pacing import Window

from .dialect import Ask, Dialect, Kind, Message, milliseconds, texts
from .faults import Action
from .limits import Limits
from .record import decoded

if TYPE_CHECKING:
    from .peer import VenuePeer

_KINDS: dict[str, Kind] = {"SUBSCRIBE": "subscribe", "UNSUBSCRIBE": "unsubscribe"}
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class BinanceDialect(Dialect):
    """Names are streams: `btcusdt@trade`. One answer a request, by its `id`; an error refuses the whole request.

    `errors_with_id`: errors are seen in two forms, `{"error":{"code":…,"msg":…},"id":…}` and the documented
    `{"code":…,"msg":…}`, which does not say whose it is.
    """

    name = "binance"
    paths = ("/stream",)
    limits = Limits(
        messages=(Window(5, 1.0),),
        control_counts=True,
        channels=1024,
        # Not documented: a frame of more than 4,096 bytes, its header of 8 included, is never answered.
        characters_per_message=4088,
        connects=(Window(300, 300.0),),
    )
    notices = ("maintenance", "reconnect")

    def __init__(self, *, errors_with_id: bool = True) -> None:
        self.errors_with_id = errors_with_id

    def at_connect(self, query: Mapping[str, str]) -> list[str]:
        return [stream for stream in query.get("streams", "").split("/") if stream]

    def read(self, text: str, peer: VenuePeer) -> Ask:  # noqa: ARG002
        request = decoded(text)
        if isinstance(request, dict):
            kind, channels = _KINDS.get(str(request.get("method"))), texts(request.get("params"))
            if kind is not None and channels:
                return Ask(kind, channels, request, text)
        return Ask("other", (), request, text)

    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        if ask.kind == "subscribe" or ask.kind == "unsubscribe":
            return [self._change(ask, ask.kind, peer)]
        return [self._other(ask.request, peer)]

    def _change(self, ask: Ask, action: Action, peer: VenuePeer) -> Message:
        number = ask.request.get("id")
        for channel in ask.channels:
            refusal = peer.refusal(action, channel)
            if refusal is not None:
                return self._error(refusal.code or 2, refusal.message or "Invalid request: invalid stream", number)
        for channel in ask.channels:
            if action == "subscribe":
                peer.join(channel)
            else:
                peer.leave(channel)
        return {"result": None, "id": number}

    def _other(self, request: Any, peer: VenuePeer) -> Message:
        if request is None:
            return {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}
        if not isinstance(request, dict) or "method" not in request:
            return {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 73"}
        method, number = request["method"], request.get("id")
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(peer.channels), "id": number}
        if method == "SET_PROPERTY" and request.get("params") == ["combined", True]:
            return {"result": None, "id": number}
        if method == "SET_PROPERTY":
            return self._error(2, "Invalid request: property name must be a string", number)
        if method in _METHODS:
            return self._error(2, "Invalid request: params must be a list of stream names", number)
        return self._error(2, f"Invalid request: unknown variant `{method}`, expected one of {_METHODS}", number)

    def _error(self, code: int | str, message: str, number: Any) -> Message:
        facts = {"code": code, "msg": message}
        return {"error": facts, "id": number} if self.errors_with_id and number is not None else facts

    def notice(self, kind: str, peer: VenuePeer) -> Message:  # noqa: ARG002
        return {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": milliseconds()}}

    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:  # noqa: ARG002
        symbol, _, kind = channel.partition("@")
        return {"stream": channel, "data": _payload(kind, symbol.upper(), sequence, milliseconds())}


def _payload(kind: str, symbol: str, sequence: int, now: int) -> dict[str, Any]:
    price, size = f"{sequence}.00000000", "0.02000000"
    event: dict[str, Any] = {"e": kind, "E": now, "s": symbol}
    if kind == "trade":
        return {**event, "t": sequence, "p": price, "q": size, "T": now, "m": True, "M": True}
    if kind == "aggTrade":
        ids = {"a": sequence, "p": price, "q": size, "f": sequence, "l": sequence}
        return {**event, **ids, "T": now, "m": False, "M": True}
    if kind == "bookTicker":
        return {"u": sequence, "s": symbol, "b": price, "B": size, "a": f"{sequence}.01000000", "A": size}
    if kind in ("depth", "depth@100ms"):
        # Each is of two updates, so that the first and the last number differ.
        numbers = {"U": 2 * sequence - 1, "u": 2 * sequence}
        return {**event, "e": "depthUpdate", **numbers, "b": [[price, size]], "a": []}
    if kind.startswith("depth"):
        return {"lastUpdateId": sequence, "bids": [[price, size]], "asks": [[price, size]]}
    if kind.startswith("kline_"):
        return {**event, "e": "kline", "k": _candle(kind.removeprefix("kline_"), symbol, sequence, now)}
    return {**event, "c": price, "o": price, "h": price, "l": price, "v": size, "q": size}


def _candle(interval: str, symbol: str, sequence: int, now: int) -> dict[str, Any]:
    price, size = f"{sequence}.00000000", "0.02000000"
    start = now - now % 60_000
    ids = {"t": start, "T": start + 59_999, "s": symbol, "i": interval, "f": sequence, "L": sequence}
    prices = {"o": price, "c": price, "h": price, "l": price}
    return {**ids, **prices, "v": size, "n": 1, "x": False, "q": size, "V": size, "Q": size, "B": "0"}
