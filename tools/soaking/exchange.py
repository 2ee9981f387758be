"""`python -m tools.soaking.exchange OPTIONS`: the soak's exchange, a process of its own.

It speaks Binance's dialect and keeps its limits strictly (`VenueExchange`); its data are a `Market`'s. OPTIONS is a
JSON object: `channels`, `seed`, and the limits `per_second`, a client's messages in any second, and `connects`, its
attempts in five minutes. It prints a JSON object a line: first `{"uri"}`, then an answer to each command, `{"id",
"command", "args", "kwargs"}`, that it is given a line on its standard input. It ends with that.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import Any, get_args

from jetsocket.protocol.pacing import Window
from jetsocket.running import run
from jetsocket.testing.dialects.binance import BinanceDialect
from jetsocket.testing.dialects.exchange import VenueExchange
from jetsocket.testing.obeying import obey_lines
from jetsocket.testing.wire import OP_TEXT, Garbage, garbage, server_frame

from .market import Market


class SoakExchange(VenueExchange):
    """A VenueExchange with a market, and faults that cannot be committed through its own interface."""

    def __init__(self, *, channels: int, seed: int, per_second: int, connects: int) -> None:
        messages, attempts = Window(per_second, 1.0), Window(connects, 300.0)
        limits = replace(BinanceDialect.limits, messages=(messages,), connects=(attempts,))
        super().__init__("binance", limits=limits)
        self._market = Market(self._floor, channels, seed)

    def go(self, rate: float) -> None:
        """See Market."""
        self._market.go(rate)

    async def pause(self) -> dict[str, int]:
        """See Market."""
        return await self._market.pause()

    def numbers(self) -> dict[str, int]:
        """See Market."""
        return self._market.numbers()

    def firsts(self) -> dict[str, int]:
        """See Market."""
        return self._market.firsts()

    def leap(self, channel: str, count: int) -> None:
        """So many numbers of it are left out."""
        self._market.channels[channel].number += count

    def garble(self, kind: str) -> int:
        """Send every client what is no message, or no frame; how many there were."""
        if kind not in get_args(Garbage):
            raise ValueError(f"no such garbage: {kind!r}")
        return sum([peer.write(garbage(kind)) for peer in self._floor.peers])  # type: ignore[arg-type]

    def cut_off(self, channel: str) -> int:
        """Send those who follow `channel` a message of it that is half a JSON text; how many there were."""
        frame = server_frame(OP_TEXT, f'{{"stream":"{channel}","data":{{"e":"tra'.encode())
        return sum([peer.write(frame) for peer in self._floor.peers if channel in peer.channels])

    def facts(self) -> dict[str, Any]:
        """The account so far."""
        present = self.present
        return {
            "accepted": len(self.connections),
            "open": len(self._floor.peers),
            "refused": self._floor.ledger.refused,
            "pongs": sum(connection.pongs for connection in self.connections),
            "requests": len(self.requests),
            "held": 0 if present is None else len(present.subscribed),
            "numbered": self._market.numbered,
            "sent": self._market.sent,
            "violations": [f"{found.limit}: {found.text}" for found in self.violations],
        }

    def relent(self) -> None:
        """No fault goes on."""
        self.accept()
        self.unsilence()
        self.unmute()
        self.accept_handshakes()
        self.release_acks()


async def _obey(exchange: SoakExchange, request: dict[str, Any]) -> None:
    answer = {"id": request["id"]}
    try:
        result = getattr(exchange, request["command"])(*request["args"], **request["kwargs"])
        if isawaitable(result):
            result = await result
    except Exception as error:  # noqa: BLE001  # it is raised where the command came from
        answer["error"] = f"{type(error).__name__}: {error}"
    else:
        answer["result"] = result
    _tell(answer)


def _tell(answer: dict[str, Any]) -> None:
    try:
        print(json.dumps(answer), flush=True)
    except BrokenPipeError:
        # Nobody is left to tell; the end of the input ends this process.
        pass


async def serve(options: dict[str, Any]) -> None:
    """Until the standard input ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with SoakExchange(**options) as exchange:
        _tell({"uri": exchange.uri})
        await obey_lines(reader.readline, partial(_obey, exchange))
        await exchange.pause()
    pipe.close()


if __name__ == "__main__":
    run(serve(json.loads(sys.argv[1])))
