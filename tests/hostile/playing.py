"""A server that misbehaves on its first connection as it is told, then serves well; and who looks what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from ssl import SSLContext
from typing import Any

from jetsocket import JetSocketError, Multiplex

from ..conftest import Serve
from ..peers import CLOSE, PING, PONG, TEXT, Conversation, Received, Script, frame, multiplex, text, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


def data(channel: str, value: Any) -> bytes:
    """A message of `channel`."""
    return text(json.dumps({"stream": channel, "data": value}))


async def serve(peer: Conversation) -> None:
    """A peer that behaves: each channel that is asked for gets one message, "after"."""
    await peer.accept()
    await go_on_serving(peer)


async def go_on_serving(peer: Conversation) -> None:
    """The same once the connection is open."""
    while (received := await peer.read_frame()).opcode != CLOSE:
        if received.opcode == TEXT:
            request = json.loads(received.payload)
            if request["method"] == "SUBSCRIBE":
                await peer.send(data(request["params"][0], "after"))
        elif received.opcode == PING:
            await peer.send(frame(PONG, received.payload))
    await peer.send(frame(CLOSE, received.payload))


async def read_close(peer: Conversation) -> Received:
    """The client's close frame, whatever it says before."""
    while (received := await peer.read_frame()).opcode != CLOSE:
        pass
    return received


class Misbehaving:
    """Sends `bad` behind one whole message; `told` then holds the close frame that the client answered with.

    `subscriptions`: requests to read before it does. `headers`: of the answer to the upgrade. Then the client has to
    end the stream, unless `hangs_up`.
    """

    def __init__(self, bad: bytes, *headers: str, subscriptions: int = 0, hangs_up: bool = False) -> None:
        self.bad = bad
        self.headers = headers
        self.subscriptions = subscriptions
        self.hangs_up = hangs_up
        self.told: asyncio.Future[Received] = asyncio.get_running_loop().create_future()

    async def __call__(self, peer: Conversation) -> None:
        await peer.accept(*self.headers)
        for _ in range(self.subscriptions):
            await peer.read_frame()
        # Not drained: the client need not read all of it.
        peer.writer.write(data(BTC, "before") + self.bad)
        self.told.set_result(await read_close(peer))
        if not self.hangs_up:
            await peer.ended()

    async def close_code(self) -> tuple[int, str]:
        """What the client gave as its reason."""
        payload = (await asyncio.wait_for(self.told, 5)).payload
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


async def recover(
    scripted: Serve,
    script: Script,
    *,
    ssl: SSLContext | None = None,
    before: bool = True,
    then: Callable[[Multiplex[Any]], Any] | None = None,
    **options: Any,
) -> JetSocketError:
    """A Multiplex with two subscriptions meets `script`, then a server that behaves: data flows again on both.

    The error that the first connection ended with. `before`: one message of BTC came whole on it, and is delivered.
    `then(mux)` is called once the two subscriptions are made.
    """
    server = await scripted(script, serve, ssl=ssl)
    async with multiplex(server.uri, **options) as mux:
        disconnected = told(mux, "disconnected")
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        if then is not None:
            then(mux)
        async with asyncio.timeout(10):
            error: JetSocketError = await disconnected.get()
            if before:
                assert await btc.recv() == {"stream": BTC, "data": "before"}
            assert await btc.recv() == {"stream": BTC, "data": "after"}
            assert await eth.recv() == {"stream": ETH, "data": "after"}
        assert server.accepted == 2
        stats = mux.stats()
        assert stats.connection_stats.reconnect_count == 1
        assert stats.connection_stats.errors == 1
        assert stats.connection_stats.messages_received == stats.total_messages_routed + stats.unroutable_messages
        assert stats.total_messages_routed == stats.total_messages_delivered == 2 + before
    return error
