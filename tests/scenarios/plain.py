"""What people write on top of a WebSocket library: the client of a hundred trading bots, each fault of it reported.

It connects again when the connection ends, asks again for its channels, and puts each message into the queue of its
channel. Its methods are those of a Multiplex, as far as the programs here use them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

_CONNECTION: dict[str, Any] = {"compression": None, "proxy": None, "close_timeout": 0.1, "ping_interval": None}
# Seconds between two attempts to connect.
_PAUSE = 0.02


def binance_request(action: str, channels: list[str]) -> Any:
    """Always the same number: nobody looks at the answers."""
    return {"method": action.upper(), "params": channels, "id": 1}


def okx_request(action: str, channels: list[str]) -> Any:
    """Without a number, as in the documentation's examples."""
    arguments = [dict(zip(("channel", "instId"), channel.split(":", 1), strict=True)) for channel in channels]
    return {"op": action, "args": arguments}


def bitfinex_request(action: str, channels: list[str]) -> Any:
    """For one channel."""
    kind, symbol = channels[0].split(":", 1)
    return {"event": action, "channel": kind, "symbol": symbol}


def okx_channel(message: Any) -> str | None:
    """That of a data message."""
    return f"{message['arg']['channel']}:{message['arg']['instId']}" if "data" in message else None


class PlainStream:
    """A channel's queue. Its messages can be listened to, too: in the task that reads. `queue_size` 0: no bound."""

    def __init__(self, queue_size: int) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(queue_size)
        self._callback: Callable[[Any], object] | None = None

    async def recv(self, timeout: float | None = None) -> Any:
        """The next message."""
        async with asyncio.timeout(timeout):
            return await self._queue.get()

    def listen(self, callback: Callable[[Any], object]) -> None:
        """Call `callback` for each message from now on."""
        self._callback = callback

    async def take(self, message: Any) -> None:
        """It has come."""
        if self._callback is not None:
            self._callback(message)
        else:
            await self._queue.put(message)


class PlainClient:
    """`request(action, channels)` makes the message, `channel_of(message)` finds a message's channel.

    `asks_again`: after a reconnect; each channel by itself. `confirms`: wait for the answer before a subscription
    counts. `most_attempts`: to connect, one after another. `queue_size`: of a channel; who reads waits for room.
    `options`: those of `websockets.connect`.
    """

    def __init__(
        self,
        uri: str,
        *,
        request: Callable[[str, list[str]], Any] = binance_request,
        channel_of: Callable[[Any], str | None] = lambda message: message.get("stream"),
        asks_again: bool = True,
        confirms: bool = False,
        most_attempts: int = 1_000,
        queue_size: int = 0,
        **options: Any,
    ) -> None:
        self._uri = uri
        self._options = {**_CONNECTION, **options}
        self._request = request
        self._channel_of = channel_of
        self._asks_again = asks_again
        self._confirms = confirms
        self._most_attempts = most_attempts
        self._queue_size = queue_size
        self._connection: ClientConnection | None = None
        self._connected = asyncio.Event()
        self._streams: dict[str, PlainStream] = {}
        self._to_restore: list[str] = []
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await self._connected.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        # What killed the task that reads, its user never heard of.
        await asyncio.gather(self._task, return_exceptions=True)

    async def subscribe(self, channel: str, timeout: float | None = None) -> PlainStream:
        """As of a Multiplex."""
        async with asyncio.timeout(timeout):
            await self.send(self._request("subscribe", [channel]))
            if self._confirms:
                answer = await self._answers.get()
                if "error" in answer:
                    raise ValueError(answer["error"])
        return self._add(channel)

    async def subscribe_many(self, channels: list[str]) -> dict[str, PlainStream]:
        """With one message."""
        await self.send(self._request("subscribe", channels))
        return {channel: self._add(channel) for channel in channels}

    def _add(self, channel: str) -> PlainStream:
        self._to_restore.append(channel)
        return self._streams.setdefault(channel, PlainStream(self._queue_size))

    async def unsubscribe(self, channel: str) -> None:
        """As of a Multiplex."""
        await self.send(self._request("unsubscribe", [channel]))

    async def send(self, message: Any) -> None:
        """Where there is no connection, nothing."""
        if self._connection is None:
            return
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed:
            # Connected again, it will ask for everything.
            pass

    async def _run(self) -> None:
        for _ in range(self._most_attempts):
            try:
                async with connect(self._uri, **self._options) as self._connection:
                    await self._read(self._connection)
            except (ConnectionClosed, InvalidStatus, OSError):
                pass
            self._connection = None
            await asyncio.sleep(_PAUSE)

    async def _read(self, connection: ClientConnection) -> None:
        self._connected.set()
        if self._asks_again:
            for channel in self._to_restore:
                await connection.send(json.dumps(self._request("subscribe", [channel])))
        async for text in connection:
            message = json.loads(text)
            found = self._channel_of(message)
            if found is None:
                self._answers.put_nowait(message)
            elif found in self._streams:
                await self._streams[found].take(message)


class PlainConnection:
    """One connection and one channel, read by who consumes it: the first example in the documentation."""

    def __init__(self, uri: str, **options: Any) -> None:
        self._connecting = connect(uri, **{**_CONNECTION, **options})
        self._connection: ClientConnection

    async def __aenter__(self) -> Self:
        self._connection = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._connecting.__aexit__(*error)  # type: ignore[arg-type]

    async def subscribe(self, channel: str) -> Self:
        """Its channel."""
        await self._connection.send(json.dumps(binance_request("subscribe", [channel])))
        # The answer.
        await self._connection.recv()
        return self

    async def recv(self) -> Any:
        """The next message."""
        return json.loads(await self._connection.recv())


class PlainBitfinex(PlainClient):
    """Finds a message's channel by the number that the exchange has given it."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, request=bitfinex_request, channel_of=self._by_number)
        self._numbers: dict[int, str] = {}

    def _by_number(self, message: Any) -> str | None:
        if isinstance(message, list):
            return self._numbers.get(message[0])
        if message["event"] == "subscribed":
            self._numbers[message["chanId"]] = f"{message['channel']}:{message['symbol']}"
        return None


class PlainLimiter:
    """So many messages in so many seconds: those that the program sends."""

    def __init__(self, count: int, seconds: float) -> None:
        self._seconds = seconds
        self._sent: deque[float] = deque([0.0] * count, maxlen=count)

    async def turn(self) -> None:
        """Wait until another may be sent."""
        await asyncio.sleep(max(0.0, self._sent[0] + self._seconds - time.monotonic()))
        self._sent.append(time.monotonic())
