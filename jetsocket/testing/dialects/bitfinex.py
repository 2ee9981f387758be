"""Bitfinex v2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jetsocket.protocol.pacing import Window

from .dialect import Ask, Dialect, Message, milliseconds
from .faults import Refusal
from .limits import Limits
from .record import decoded

if TYPE_CHECKING:
    from .peer import VenuePeer

_FIRST_ID = 204928
# The flag of `conf` that numbers all data frames of a connection, in their last element.
_SEQ_ALL = 65536
_BOOK = {"prec": "P0", "freq": "F0", "len": "25"}
_USUAL = ":" + ":".join(_BOOK.values())
_NOTICES = {
    "reconnect": (20051, "Stop/Restart WebSocket Server (please reconnect)."),
    "maintenance": (20060, "Entering in Maintenance mode. Please pause any activity and resume after receiving 20061."),
    "resumed": (20061, "Maintenance ended. You can resume normal activity. Please unsubscribe and subscribe again."),
}


class BitfinexDialect(Dialect):
    """Names are `ticker:tBTCUSD`, `trades:tBTCUSD`, `book:tBTCUSD`, `candles:{key}`. A book of other options than P0,
    F0 and 25 has them behind its symbol: `book:tBTCUSD:P0:F0:100`. One channel a request.

    Data carry a number that the answer to the subscription brings. Each connection counts its own, from one higher than
    the connection before: who keeps a number from there takes one channel for another.
    """

    name = "bitfinex"
    paths = ("/ws/2",)
    limits = Limits(channels=25, connects=(Window(20, 60.0),))
    notices = tuple(_NOTICES)
    full_refusal = Refusal(10305, "subscribe: limit")

    def channel_of(self, name: str) -> str:
        """A book with the usual options may be named with them, too."""
        return name.removesuffix(_USUAL) if name.startswith("book:") else name

    def welcome(self, peer: VenuePeer) -> list[Message]:
        server = f"083bd8d4-aca7-4690-a573-{peer.number:012x}"
        return [{"event": "info", "version": 2, "serverId": server, "platform": {"status": 1}}]

    def read(self, text: str, peer: VenuePeer) -> Ask:
        request = decoded(text)
        event = request.get("event") if isinstance(request, dict) else None
        if event == "subscribe" and isinstance(request.get("channel"), str) and _subject(request) is not None:
            return Ask("subscribe", (_name(request),), request, text)
        if event == "unsubscribe":
            held = [name for name, details in peer.details.items() if details["chanId"] == _number(request)]
            return Ask("unsubscribe", tuple(held), request, text)
        return Ask("other", (), request, text)

    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        if ask.kind == "subscribe":
            return [self._subscribe(ask.channels[0], ask.request, peer)]
        if ask.kind == "unsubscribe":
            return [self._unsubscribe(ask, peer)]
        event = ask.request.get("event") if isinstance(ask.request, dict) else None
        if event == "subscribe" and isinstance(ask.request.get("channel"), str):
            return [{**ask.request, "event": "error", "msg": "symbol: invalid", "code": 10300}]
        if event == "conf":
            peer.facts["flags"] = ask.request.get("flags", 0)
            return [{"event": "conf", "status": "OK", "flags": peer.facts["flags"]}]
        if event == "ping":
            cid = {"cid": ask.request["cid"]} if "cid" in ask.request else {}
            return [{"event": "pong", "ts": milliseconds(), **cid}]
        return [{"event": "error", "msg": "unknown event", "code": 10000}]

    def _subscribe(self, channel: str, request: dict[str, Any], peer: VenuePeer) -> Message:
        asked = {name: value for name, value in request.items() if name != "event"}
        pair = {"pair": str(request.get("symbol", ""))[1:]} if "symbol" in request else {}
        if channel in peer.channels:
            number = {"chanId": peer.details[channel]["chanId"]}
            return {**asked, "event": "error", "msg": "subscribe: dup", "code": 10301, **number, **pair}
        refusal = peer.refusal("subscribe", channel)
        if refusal is not None:
            error = {"event": "error", "msg": refusal.message or "symbol: invalid", "code": refusal.code or 10300}
            # This one alone does not say which channel it is about.
            return error if refusal.code == 10001 else {**asked, **error, **pair}
        count = peer.facts["ids"] = peer.facts.get("ids", 0) + 1
        details = {"chanId": _FIRST_ID + peer.number + count, "channel": request["channel"]}
        peer.join(channel, details)
        options = {**_BOOK, **asked} if request["channel"] == "book" else asked
        named = {name: value for name, value in options.items() if name != "channel"}
        # The symbol or the key first, as on the wire.
        first: dict[str, Any] = {name: named.pop(name) for name in ("symbol", "key") if name in named}
        place = {"channel": request["channel"], "chanId": details["chanId"]}
        return {"event": "subscribed", **place, **first, **named, **pair}

    def _unsubscribe(self, ask: Ask, peer: VenuePeer) -> Message:
        number = _number(ask.request)
        refusal = peer.refusal("unsubscribe", ask.channels[0]) if ask.channels else Refusal(10401)
        if refusal is not None:
            words = refusal.message or "unsubscribe: invalid"
            return {"event": "error", "msg": words, "code": refusal.code or 10400, "chanId": number}
        peer.leave(ask.channels[0])
        return {"event": "unsubscribed", "status": "OK", "chanId": number}

    def revoke(self, channel: str, peer: VenuePeer) -> list[Message]:
        number = peer.details[channel]["chanId"]
        peer.leave(channel)
        return [{"event": "unsubscribed", "status": "OK", "chanId": number}]

    def notice(self, kind: str, peer: VenuePeer) -> Message:  # noqa: ARG002
        code, words = _NOTICES[kind]
        return {"event": "info", "code": code, "msg": words}

    def heartbeat(self, channel: str | None, peer: VenuePeer) -> list[Message]:
        channels = list(peer.channels) if channel is None else [channel]
        return [[peer.details[name]["chanId"], "hb"] for name in channels if name in peer.channels]

    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:
        details = peer.details[channel]
        number, kind = details["chanId"], details["channel"]
        if kind == "trades":
            return [number, "te", [sequence, milliseconds(), 0.08980641, sequence + 0.5]]
        if kind == "book":
            return [number, [sequence + 0.5, 1, 0.03460649]]
        if kind == "candles":
            return [number, [milliseconds(), *[sequence + 0.5] * 4, 12.5]]
        price = sequence + 0.5
        return [number, [price, 60157.3, price + 0.1, 48578.5, 0.001969, 0.0262, price, 101459.3, price, price]]

    def encode(self, message: Message, peer: VenuePeer) -> str:
        if isinstance(message, list) and peer.facts.get("flags", 0) & _SEQ_ALL:
            peer.numbered += 1
            message = [*message, peer.numbered]
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def _number(request: dict[str, Any]) -> int | None:
    """The channel's, in a request to unsubscribe; digits will do."""
    number = request.get("chanId")
    return int(number) if isinstance(number, (int, str)) and str(number).isdecimal() else None


def _subject(request: dict[str, Any]) -> str | None:
    """What a request to subscribe is about, if it tells."""
    subject = request.get("symbol") or request.get("key")
    return subject if isinstance(subject, str) else None


def _name(request: dict[str, Any]) -> str:
    channel = request["channel"]
    options = {name: str(request.get(name, usual)) for name, usual in _BOOK.items()}
    name = f"{channel}:{_subject(request)}"
    return ":".join([name, *options.values()]) if channel == "book" and options != _BOOK else name
