"""`websockets`, by its documentation: `recv(decode=False)` saves the text where JSON takes bytes.

The second argument chooses the JSON library: orjson or json.
"""

from __future__ import annotations

import sys
from collections import deque
from importlib import import_module

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from benchmarks.meter import CHANNELS, END, QUEUE_SIZE, Meter, main, subscribe_text

loads = import_module(sys.argv[2]).loads


async def contend(uri: str, meter: Meter) -> int:
    queues: dict[str, deque[bytes]] = {channel: deque(maxlen=QUEUE_SIZE) for channel in [*CHANNELS, END]}
    async with connect(uri, compression=None) as websocket:
        for channel in CHANNELS:
            await websocket.send(subscribe_text(channel))
        meter.start()
        await websocket.send(subscribe_text(END))
        try:
            while True:
                raw = await websocket.recv(decode=False)
                queues[loads(raw)["stream"]].append(raw)
        except ConnectionClosedOK:
            meter.stop()
    return sum(map(len, queues.values()))


main(contend)
