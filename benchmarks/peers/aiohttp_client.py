"""aiohttp with orjson; `decode_text=False` leaves the payload as bytes."""

from __future__ import annotations

from collections import deque

import aiohttp
import orjson

from benchmarks.meter import CHANNELS, END, QUEUE_SIZE, Meter, main, subscribe_text


async def contend(uri: str, meter: Meter) -> int:
    queues: dict[str, deque[bytes]] = {channel: deque(maxlen=QUEUE_SIZE) for channel in [*CHANNELS, END]}
    async with aiohttp.ClientSession() as session, session.ws_connect(uri, decode_text=False) as websocket:
        for channel in CHANNELS:
            await websocket.send_str(subscribe_text(channel))
        meter.start()
        await websocket.send_str(subscribe_text(END))
        async for message in websocket:
            queues[orjson.loads(message.data)["stream"]].append(message.data)
        meter.stop()
    return sum(map(len, queues.values()))


main(contend)
