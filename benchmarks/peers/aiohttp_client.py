"""aiohttp with orjson; `decode_text=False` leaves the payload as bytes."""

from __future__ import annotations

from collections import deque

import aiohttp
import orjson

from benchmarks.meter import END, Meter, main, subscribe_text


async def contend(uri: str, meter: Meter) -> int:
    queues: dict[str, deque[bytes]] = {channel: deque(maxlen=meter.queue_size) for channel in [*meter.channels, END]}
    async with aiohttp.ClientSession() as session, session.ws_connect(uri, decode_text=False) as websocket:
        for channel in meter.channels:
            await websocket.send_str(subscribe_text(channel))
        meter.start()
        await websocket.send_str(subscribe_text(END))
        async for message in websocket:
            queues[orjson.loads(message.data)["stream"]].append(message.data)
        meter.stop()
    return sum(map(len, queues.values()))


main(contend)
