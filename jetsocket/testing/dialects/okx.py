"""OKX v5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jetsocket.protocol.pacing import Window

from .dialect import Ask, Dialect, Kind, Message, milliseconds
from .faults import Refusal
from .limits import Limits
from .record import decoded

if TYPE_CHECKING:
    from .peer import VenuePeer

_KINDS: dict[str, Kind] = {"subscribe": "subscribe", "unsubscribe": "unsubscribe", "login": "login"}
_UNKNOWN = "Please use the correct URL, channel and parameters referring to API document."


class OkxDialect(Dialect):
    """Names are `{channel}:{instId}`, or `instFamily` or `instType` where a channel has those. One answer an argument.

    Refused with 60012, a request is refused as a whole and quoted in the error; with any other code, 60018 by default,
    each refused channel has an error of its own. Both carry the request's `id` if it had one.
    """

    name = "okx"
    paths = ("/ws/v5/public", "/ws/v5/private", "/ws/v5/business")
    limits = Limits(requests=(Window(480, 3600.0),), characters_per_message=65536, connects=(Window(3, 1.0),))
    notices = ("maintenance", "reconnect")
    has_login = True

    def read(self, text: str, peer: VenuePeer) -> Ask:  # noqa: ARG002
        request = decoded(text)
        kind = _KINDS.get(str(request.get("op"))) if isinstance(request, dict) else None
        if kind is None or not _are_arguments(request.get("args")):
            return Ask("other", (), request, text)
        if kind == "login":
            return Ask("login", (), request, text)
        return Ask(kind, tuple(_name(argument) for argument in request["args"]), request, text)

    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        if ask.kind == "subscribe" or ask.kind == "unsubscribe":
            if not peer.logged_in:
                return [_error(ask, peer, Refusal("60011", "Please log in."))]
            refused = [refusal for channel in ask.channels if (refusal := peer.refusal(ask.kind, channel))]
            if any(str(refusal.code) == "60012" for refusal in refused):
                return [_invalid(ask, peer)]
            return [self._one(ask, argument, peer) for argument in ask.request["args"]]
        if ask.kind == "login":
            if peer.log_in(ask.request["args"][0]):
                return [{"event": "login", "code": "0", "msg": "", "connId": _connection_id(peer)}]
            return [_error(ask, peer, Refusal("60009", "Login failed."))]
        return ["pong"] if ask.text == "ping" else [_invalid(ask, peer)]

    def _one(self, ask: Ask, argument: dict[str, Any], peer: VenuePeer) -> Message:
        channel = _name(argument)
        refusal = peer.refusal("subscribe" if ask.kind == "subscribe" else "unsubscribe", channel)
        if refusal is not None:
            what = ",".join(f"{key}:{value}" for key, value in argument.items())
            words = f"Wrong URL or {what} doesn't exist. {_UNKNOWN}"
            return _error(ask, peer, Refusal(refusal.code or "60018", refusal.message or words))
        if ask.kind == "subscribe":
            peer.join(channel, argument)
        else:
            peer.leave(channel)
        return _with_id(ask, {"event": ask.kind, "arg": argument, "connId": _connection_id(peer)})

    def revoke(self, channel: str, peer: VenuePeer) -> list[Message]:
        """It names the kind of channel alone: all of that kind are gone."""
        kind = channel.partition(":")[0]
        for held in list(peer.channels):
            if held.partition(":")[0] == kind:
                peer.leave(held)
        connection = _connection_id(peer)
        return [{"event": "channel-conn-count-error", "channel": kind, "connCount": "30", "connId": connection}]

    def notice(self, kind: str, peer: VenuePeer) -> Message:  # noqa: ARG002
        words = "The connection will soon be closed for a service upgrade. Please reconnect."
        return {"event": "notice", "code": "64008", "msg": words, "connId": _connection_id(peer)}

    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:
        argument = peer.details.get(channel) or _argument(channel)
        kind, instrument = argument["channel"], argument.get("instId", "")
        now, first = str(milliseconds()), peer.is_first(channel)
        if kind.startswith("books") and kind != "books5":
            # A snapshot follows nothing.
            numbers = {"prevSeqId": -1 if first else sequence - 1, "seqId": sequence}
            entry = {**_sides(sequence), "ts": now, "checksum": -855196043, **numbers}
            return {"arg": argument, "action": "snapshot" if first else "update", "data": [entry]}
        if kind in ("books5", "bbo-tbt"):
            return {"arg": argument, "data": [{**_sides(sequence), "ts": now, "seqId": sequence}]}
        if kind == "trades":
            trade = {"tradeId": str(sequence), "px": f"{sequence}.8", "sz": "1", "side": "buy", "ts": now}
            return {"arg": argument, "data": [{"instId": instrument, **trade}]}
        if kind.startswith("candle"):
            return {"arg": argument, "data": [[now, *[f"{sequence}.8"] * 4, "45247", "529.5", "5529.5", "1"]]}
        return {"arg": argument, "data": [_ticker(instrument, sequence, now)]}


def _are_arguments(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(argument, dict) for argument in value)


def _name(argument: dict[str, Any]) -> str:
    of = argument.get("instId") or argument.get("instFamily") or argument.get("instType")
    channel = str(argument.get("channel"))
    return f"{channel}:{of}" if of else channel


def _argument(channel: str) -> dict[str, str]:
    kind, _, instrument = channel.partition(":")
    return {"channel": kind, "instId": instrument}


def _connection_id(peer: VenuePeer) -> str:
    """Eight hexadecimal digits, different for each connection."""
    return f"{0xA4D3AE55 + 0x1F3 * peer.number & 0xFFFFFFFF:08x}"


def _with_id(ask: Ask, message: dict[str, Any]) -> dict[str, Any]:
    return {"id": ask.request["id"], **message} if isinstance(ask.request, dict) and "id" in ask.request else message


def _error(ask: Ask, peer: VenuePeer, refusal: Refusal) -> Message:
    code, words = str(refusal.code), refusal.message
    return _with_id(ask, {"event": "error", "code": code, "msg": words, "connId": _connection_id(peer)})


def _invalid(ask: Ask, peer: VenuePeer) -> Message:
    return _error(ask, peer, Refusal("60012", f"Invalid request: {ask.text}"))


def _sides(sequence: int) -> dict[str, Any]:
    return {"asks": [[f"{sequence}.9", "415", "0", "13"]], "bids": [[f"{sequence}.8", "256", "0", "12"]]}


def _ticker(instrument: str, sequence: int, now: str) -> dict[str, str]:
    price = f"{sequence}.8"
    best = {"askPx": f"{sequence}.9", "askSz": "11", "bidPx": price, "bidSz": "5"}
    day = {"open24h": price, "high24h": price, "low24h": price, "volCcy24h": "2222", "vol24h": "2222"}
    open_prices = {"sodUtc0": price, "sodUtc8": price}
    return {
        "instType": "SPOT",
        "instId": instrument,
        "last": price,
        "lastSz": "1",
        **best,
        **day,
        **open_prices,
        "ts": now,
    }
