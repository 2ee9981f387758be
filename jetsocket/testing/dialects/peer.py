"""One client's connection to a loopback exchange."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSMsgType, WSTransport

from ..peer import Peer
from ..wire import OP_PONG, OP_TEXT, close_frame, server_frame
from .dialect import Ask, Message
from .faults import Action, Refusal
from .limits import Spending
from .record import Closing, Connection, Received, Upgrade

if TYPE_CHECKING:
    from .floor import VenueFloor


class VenuePeer(Peer):
    """Reads requests, keeps the limits, and lets the dialect answer. `log` is what tests look at.

    `details`: what the dialect knows of each channel held; `facts`: of the connection. `numbered`: how many messages it
    has numbered.
    """

    floor: VenueFloor

    def __init__(self, floor: VenueFloor, channels: list[str], upgrade: Upgrade) -> None:
        super().__init__(floor, channels)
        self.details: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.numbered = 0
        self.log = Connection(0, upgrade.time, upgrade, subscribed=self.channels)
        self._spending = Spending()
        self._held: list[Message] = []
        self._begun: set[str] = set()
        self._logged_in = False
        self._patience: asyncio.TimerHandle | None = None

    # ---- picows calls these

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        limits = self.floor.limits
        if limits.channels and len(self.channels) > limits.channels:
            self.violated("channels", f"{len(self.channels)} channels")
        if limits.first_subscribe is not None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(limits.first_subscribe, self._lose_patience)
        if not self.floor.stalled:
            for message in self.floor.dialect.welcome(self):
                self.send(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._ended("lost")
        self._stop_waiting()
        self.floor.attached.discard(self)
        super().on_ws_disconnected(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        payload = frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.CLOSE:
            self._closed_by_client(payload)
        elif not self.open:
            return
        elif frame.msg_type == WSMsgType.PING:
            self.log.pings += 1
            if self._is_allowed(self._spending.control(self.floor.limits, monotonic())):
                self.write(server_frame(OP_PONG, payload))
        elif frame.msg_type == WSMsgType.PONG:
            self.log.pongs += 1
            self._is_allowed(self._spending.control(self.floor.limits, monotonic()))
        else:
            self._parts.append(payload)
            if frame.fin:
                message = b"".join(self._parts)
                self._parts.clear()
                self._receive(message)
        self.floor.changed()

    def _closed_by_client(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else None
        self.write(close_frame(code))
        self._ended("client", code, payload[2:].decode(errors="replace"))
        self.open = False
        self._transport.close()
        self.floor.left(self)

    # ---- the exchange calls these

    def send(self, message: Message) -> bool:
        """Encodes it now; False, and nothing sent, once the connection is closing."""
        if not self.open:
            return False
        return self.write(server_frame(OP_TEXT, self.floor.dialect.encode(message, self).encode()))

    def send_data(self, channel: str, sequence: int) -> bool:
        sent = self.send(self.floor.dialect.data(channel, sequence, self))
        self.log.sent[channel] += sent
        return sent

    def release(self) -> int:
        """Sends the answers that were held back; how many."""
        held, self._held = self._held, []
        return sum([self.send(message) for message in held])

    def close(self, code: int | None, reason: str) -> None:
        self._ended("server", code, reason)
        super().close(code, reason)

    def drop(self, *, reset: bool) -> None:
        self._ended("drop")
        super().drop(reset=reset)

    def violated(self, limit: str, text: str) -> None:
        """Writes it down and closes the connection."""
        self.floor.violation(self.number, limit, text)
        said = self.floor.dialect.too_much
        if limit in ("messages", "requests") and said is not None:
            self.send(said)
        self.close(1008, f"Too many requests: {text}")
        self.floor.left(self)

    # ---- the dialect calls these

    @property
    def logged_in(self) -> bool:
        """Whether it is, or need not be."""
        return self._logged_in or not self.floor.faults.login_needed

    def log_in(self, credentials: Any) -> bool:
        accepts = self.floor.faults.login_accepts
        self._logged_in = accepts is None or accepts(credentials)
        return self._logged_in

    def refusal(self, action: Action, channel: str) -> Refusal | None:
        """Whether to refuse it, and how."""
        full = self.floor.limits.channels
        if action == "subscribe" and 0 < full <= len(self.channels) and channel not in self.channels:
            self.floor.violation(self.number, "channels", f"{len(self.channels) + 1} channels")
            return self.floor.dialect.full_refusal
        return self.floor.faults.refusal(action, channel)

    def join(self, channel: str, details: Any = None) -> None:
        self.channels[channel] = None
        self.details[channel] = details

    def leave(self, channel: str) -> None:
        self.channels.pop(channel, None)
        self.details.pop(channel, None)
        self._begun.discard(channel)

    def is_first(self, channel: str) -> bool:
        """True once for each time that it is subscribed to."""
        if channel in self._begun:
            return False
        self._begun.add(channel)
        return True

    # ---- requests

    def _receive(self, message: bytes) -> None:
        floor, text, now = self.floor, message.decode(errors="replace"), monotonic()
        received = Received(now, self.number, text)
        self.log.requests.append(received)
        floor.requests.append(received)
        if not self._is_allowed(self._spending.message(floor.limits, now, text)):
            return
        ask = floor.dialect.read(text, self)
        if ask.kind == "other":
            self._say(floor.dialect.answer(ask, self))
        elif self._is_within_limits(ask, now) and not floor.faults.ignores(ask.channels):
            self._grant(ask)

    def _grant(self, ask: Ask) -> None:
        floor, before = self.floor, set(self.channels)
        answers = floor.dialect.answer(ask, self)
        if floor.faults.data_first:
            for channel in [channel for channel in self.channels if channel not in before]:
                floor.publish(channel)
        if floor.faults.holding:
            self._held += answers
        else:
            self._say(answers)

    def _say(self, answers: list[Message]) -> None:
        for answer in answers:
            self.floor.ledger.answers += self.send(answer)

    def _is_within_limits(self, ask: Ask, now: float) -> bool:
        limits = self.floor.limits
        if not self._is_allowed(self._spending.request(limits, now, len(ask.channels))):
            return False
        if ask.kind != "subscribe":
            return True
        self._stop_waiting()
        held = len({*self.channels, *ask.channels})
        if self.floor.dialect.full_refusal is None and 0 < limits.channels < held:
            self.violated("channels", f"{held} channels")
            return False
        return True

    def _is_allowed(self, broken: tuple[str, str] | None) -> bool:
        if broken is not None:
            self.violated(*broken)
        return broken is None

    def _lose_patience(self) -> None:
        if self.open:
            self.violated("first_subscribe", f"nothing within {self.floor.limits.first_subscribe} s")

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _ended(self, by: Any, code: int | None = None, reason: str = "") -> None:
        if self.log.closing is None:
            self.log.closing = Closing(monotonic(), by, code, reason)
