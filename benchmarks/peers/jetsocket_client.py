"""JetSocket. The second argument says what becomes of the messages:

- kept: raw payloads stay in the queues, nobody reads;
- iterated: every channel has a task with `async for`, raw payloads;
- batches: the same with `batches()`;
- dicts: the same with `async for`, each message parsed into a dict (the default).

JETSOCKET_EXTENSIONS chooses the twin, as for any user.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import jetsocket
from benchmarks.meter import CHANNELS, END, QUEUE_SIZE, Meter, main
from jetsocket import Multiplex, Subscription

MANNER = sys.argv[2]


async def iterate(subscription: Subscription[Any]) -> int:
    count = 0
    async for _ in subscription:
        count += 1
    return count


async def batches(subscription: Subscription[Any]) -> int:
    count = 0
    async for batch in subscription.batches():
        count += len(batch)
    return count


async def contend(uri: str, meter: Meter) -> int:
    options: dict[str, Any] = {} if MANNER == "dicts" else {"deserializer": bytes}
    mux = Multiplex[Any](
        uri,
        channel_key="stream",
        subscribe_msg=lambda channel: {"method": "SUBSCRIBE", "params": [channel], "id": 1},
        # A queue that nobody reads drops the oldest; whoever reads gets all.
        queue_size=QUEUE_SIZE if MANNER == "kept" else 0,
        reconnect=False,
        compress=False,
        **options,
    )
    async with mux:
        subscriptions = [await mux.subscribe(channel) for channel in CHANNELS]
        if MANNER == "kept":
            meter.start()
            last = await mux.subscribe(END)
            await last.recv()
            meter.stop()
            return sum(subscription.stats().queue_size for subscription in subscriptions) + 1
        read = batches if MANNER == "batches" else iterate
        readers = [asyncio.create_task(read(subscription)) for subscription in subscriptions]
        await asyncio.sleep(0)
        meter.start()
        last = await mux.subscribe(END)
        await last.recv()
        # Each reader ends when its queue is closed and drained.
        for subscription in subscriptions:
            await subscription.close()
        counts = await asyncio.gather(*readers)
        meter.stop()
        return sum(counts) + 1


main(contend, compiled=jetsocket.COMPILED)
