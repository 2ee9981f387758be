"""picows' re-implementation of the `websockets` interface, with orjson."""

from __future__ import annotations

from collections import deque

import orjson
from picows.websockets.asyncio.client import connect
from picows.websockets.exceptions import ConnectionClosedOK

from benchmarks.meter import END, Meter, main, subscribe_text


async def contend(uri: str, meter: Meter) -> int:
    queues: dict[str, deque[str | bytes]] = {
        channel: deque(maxlen=meter.queue_size) for channel in [*meter.channels, END]
    }
    async with connect(uri, compression=None) as websocket:
        for channel in meter.channels:
            await websocket.send(subscribe_text(channel))
        meter.start()
        await websocket.send(subscribe_text(END))
        try:
            while True:
                raw = await websocket.recv(decode=False)
                queues[orjson.loads(raw)["stream"]].append(raw)
        except ConnectionClosedOK:
            meter.stop()
    return sum(map(len, queues.values()))


main(contend)
