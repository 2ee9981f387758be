"""websocket-rs, by its own notes: the native client. The second argument chooses between its two ways to receive:

- iterated: `async for`, the channel parsed by orjson;
- callback: `on_message`, called inside the read, the channel by `bytes.find`, nothing parsed: as picows' listener.

Every message is a view, and has to be copied out (`bytes`) by whoever keeps it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from importlib import import_module
from typing import Any

from benchmarks.meter import END, Meter, main, subscribe_text

KEY = b'"stream":"'
# By name: it is for Python 3.12 and later alone.
connect: Any = import_module("websocket_rs").connect


async def iterated(uri: str, meter: Meter) -> int:
    loads = import_module("orjson").loads
    queues: dict[str, deque[bytes]] = {channel: deque(maxlen=meter.queue_size) for channel in [*meter.channels, END]}
    async with await connect(uri) as websocket:
        for channel in meter.channels:
            websocket.send(subscribe_text(channel))
        meter.start()
        websocket.send(subscribe_text(END))
        async for message in websocket:
            raw = bytes(message)
            queues[loads(raw)["stream"]].append(raw)
        meter.stop()
    return sum(map(len, queues.values()))


async def callback(uri: str, meter: Meter) -> int:
    queues: dict[bytes, deque[bytes]] = {
        channel.encode(): deque(maxlen=meter.queue_size) for channel in [*meter.channels, END]
    }
    last = queues[END.encode()]
    done = asyncio.Event()

    def on_message(message: Any) -> None:
        raw = bytes(message)
        start = raw.find(KEY) + len(KEY)
        queue = queues[raw[start : raw.find(b'"', start)]]
        queue.append(raw)
        if queue is last:
            done.set()

    async with await connect(uri, on_message=on_message) as websocket:
        for channel in meter.channels:
            websocket.send(subscribe_text(channel))
        meter.start()
        websocket.send(subscribe_text(END))
        await done.wait()
        meter.stop()
    return sum(map(len, queues.values()))


main({"iterated": iterated, "callback": callback}[sys.argv[2]])
