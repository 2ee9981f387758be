"""JetSocket. The second argument says what becomes of the messages:

- kept: raw payloads stay in the queues, nobody reads;
- iterated: every channel has a task with `async for`, raw payloads;
- batches: the same with `batches()`;
- typed: the same with `async for`, each message decoded into a msgspec Struct;
- dicts: the same with `async for`, each message parsed into a dict (the default);
- json, orjson: dicts too, parsed by that library.

JETSOCKET_EXTENSIONS chooses the twin, as for any user.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

import jetsocket
from benchmarks.consuming import batches, iterate
from benchmarks.meter import END, Meter, main
from benchmarks.peers.shapes import Combined
from jetsocket import Multiplex

MANNER = sys.argv[2]


def decoding() -> dict[str, Any]:
    if MANNER == "typed":
        return {"message_type": Combined}
    if MANNER == "dicts":
        return {}
    return {"deserializer": import_module(MANNER).loads if MANNER in {"json", "orjson"} else bytes}


async def contend(uri: str, meter: Meter) -> int:
    mux = Multiplex[Any](
        uri,
        channel_key="stream",
        subscribe_msg=lambda channel: {"method": "SUBSCRIBE", "params": [channel], "id": 1},
        # A queue that nobody reads drops the oldest; whoever reads gets all.
        queue_size=meter.queue_size if MANNER == "kept" else 0,
        reconnect=False,
        compress=meter.course.deflate,
        **decoding(),
    )
    async with mux:
        subscriptions = [await mux.subscribe(channel) for channel in meter.channels]
        if MANNER == "kept":
            meter.start()
            last = await mux.subscribe(END, deserializer=bytes)
            await last.recv()
            meter.stop()
            return sum(subscription.stats().queue_size for subscription in subscriptions) + 1
        read = batches if MANNER == "batches" else iterate
        readers = [asyncio.create_task(read(subscription)) for subscription in subscriptions]
        await asyncio.sleep(0)
        meter.start()
        last = await mux.subscribe(END, deserializer=bytes)
        await last.recv()
        # Each reader ends when its queue is closed and drained.
        for subscription in subscriptions:
            await subscription.close()
        counts = await asyncio.gather(*readers)
        meter.stop()
        return sum(counts) + 1


main(contend, compiled=jetsocket.COMPILED)
