"""`websockets`, by its documentation: `recv(decode=False)` saves the text where JSON takes bytes.

The second argument says how a message's channel is found: parsed by orjson or by json, or by `bytes.find` where this
exchange puts it, with nothing parsed.
"""

from __future__ import annotations

import sys
from collections import deque
from importlib import import_module
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from benchmarks.meter import END, Meter, main, subscribe_text

KEY = b'"stream":"'


class Parsing:
    """The queues by the channels' names, which are parsed."""

    def __init__(self, library: str) -> None:
        self.loads = import_module(library).loads

    def key(self, channel: str) -> Any:
        return channel

    def channel(self, raw: bytes) -> Any:
        return self.loads(raw)["stream"]


class Finding:
    """The queues by the channels' bytes."""

    def key(self, channel: str) -> Any:
        return channel.encode()

    def channel(self, raw: bytes) -> Any:
        start = raw.find(KEY) + len(KEY)
        return raw[start : raw.find(b'"', start)]


async def contend(uri: str, meter: Meter) -> int:
    way = Finding() if sys.argv[2] == "find" else Parsing(sys.argv[2])
    queues: dict[Any, deque[bytes]] = {
        way.key(channel): deque(maxlen=meter.queue_size) for channel in [*meter.channels, END]
    }
    channel_of = way.channel
    # "deflate" is what it offers unless told otherwise.
    async with connect(uri, compression="deflate" if meter.course.deflate else None) as websocket:
        for channel in meter.channels:
            await websocket.send(subscribe_text(channel))
        meter.start()
        await websocket.send(subscribe_text(END))
        try:
            while True:
                raw = await websocket.recv(decode=False)
                queues[channel_of(raw)].append(raw)
        except ConnectionClosedOK:
            meter.stop()
    return sum(map(len, queues.values()))


main(contend)
