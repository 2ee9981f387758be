"""One client's connection to the embedded exchange."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from .account import Request
from .wire import OP_PONG, OP_TEXT, close_frame, server_frame

if TYPE_CHECKING:
    from .floor import Floor

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")
_LINGER_NOT = struct.pack("ii", 1, 0)


class RequestError(Exception):
    """A request that is answered by an error, in Binance's form."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


class Peer(WSListener):
    """Answers requests and control frames; the feeds write their data through it.

    All bytes go out through the asyncio transport, none through picows' own fast path: one order of writing.
    """

    def __init__(self, floor: Floor, channels: list[str]) -> None:
        self.floor = floor
        self.number = 0
        self.channels: dict[str, None] = dict.fromkeys(channels)
        self.writable = asyncio.Event()
        self.writable.set()
        self.open = False
        self._transport: asyncio.Transport
        self._parts: list[bytes] = []

    # ---- picows calls these

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport.underlying_transport
        self.open = True
        self.floor.joined(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self.open = False
        self.writable.set()
        self.floor.left(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        payload = frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.PING:
            self.floor.ledger.pings += 1
            self.write(server_frame(OP_PONG, payload))
        elif frame.msg_type == WSMsgType.CLOSE:
            self.write(close_frame(int.from_bytes(payload[:2], "big") if payload else None))
            self.open = False
            self._transport.close()
            self.floor.left(self)
        elif frame.msg_type != WSMsgType.PONG:
            self._parts.append(payload)
            if frame.fin:
                message = b"".join(self._parts)
                self._parts.clear()
                self._receive(message)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    # ---- the exchange and its feeds call these

    def write(self, data: bytes) -> bool:
        """Hands bytes to the transport; False, and nothing sent, once the connection is closing."""
        if self.open:
            self._transport.write(data)
        return self.open

    def close(self, code: int | None, reason: str) -> None:
        """Starts a close handshake; the connection ends with the client's answer."""
        self.write(close_frame(code, reason))
        self.open = False

    def drop(self, *, reset: bool) -> None:
        """Cuts the TCP connection: by a reset, or by an end of stream without a close frame."""
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.open = False
        self._transport.abort()

    def read(self, wanted: bool) -> None:
        """Whether to read from the socket. A client that is not read from gets no answer, no pong either."""
        if self._transport.is_closing():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # ---- requests

    def _receive(self, message: bytes) -> None:
        ledger = self.floor.ledger
        text = message.decode(errors="replace")
        try:
            request = json.loads(message)
        except ValueError:
            request = None
            answer: dict[str, Any] | None = {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}
        else:
            answer = self._answer(request)
        ledger.requests.append(Request(self.number, request, text))
        if answer is not None and not (self.floor.replaying and _METHODS.count(_method(request)) == 0):
            ledger.answers += self.write(server_frame(OP_TEXT, json.dumps(answer, separators=(",", ":")).encode()))
        self.floor.changed()

    def _answer(self, request: Any) -> dict[str, Any]:
        number = request.get("id") if isinstance(request, dict) else None
        try:
            return {"result": self._obey(request), "id": number}
        except RequestError as error:
            facts = {"code": error.code, "msg": error.msg}
            return facts if number is None else {"error": facts, "id": number}

    def _obey(self, request: Any) -> list[str] | None:
        if not isinstance(request, dict):
            raise RequestError(2, "Invalid request: expected an object")
        if "method" not in request:
            raise RequestError(2, "Invalid request: missing field `method`")
        if isinstance(request.get("id"), (bool, float, list, dict)):
            raise RequestError(2, "Invalid request: request ID must be an unsigned integer")
        method = _method(request)
        if method not in _METHODS:
            raise RequestError(2, f"Invalid request: unknown variant {method!r}, expected one of {', '.join(_METHODS)}")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.channels)
        channels = request.get("params")
        if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
            raise RequestError(2, "Invalid request: params must be a list of stream names")
        if method == "SUBSCRIBE":
            self.floor.subscribe(self, channels)
        else:
            self.floor.unsubscribe(self, channels)
        return None


def _method(request: Any) -> str:
    return str(request.get("method")) if isinstance(request, dict) else ""
