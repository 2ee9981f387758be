"""What subscriptions take while they are idle, what queued messages take, and whether that comes back.

All figures are growth between two moments of one process, after `gc.collect()`, with nothing done to the allocator.
`resident` is the memory that the process has of the system (RSS): all of Python's and of the compiled modules', and
what the allocators round up and hold back. Not in it: the names, which the caller had before, consumers (a task takes
more than a subscription), and the kernel's socket buffers.

- Idle: subscriptions made, the server has read every request, no message came. And again when each has had a message
  and given it to its consumer: then it keeps a little room for the next one.
- Queued: a million trades on 100 channels came over the connection and nobody has read; then a consumer for each reads
  them all, with `async for`, one message at a time. The subscriptions remain.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

from benchmarks.findings import Finding
from benchmarks.trials.clients import iterate, multiplex, run, start
from benchmarks.trials.feed import names
from benchmarks.trials.processes import TrialError, apart

IDLE = 20_000
QUEUED = 1_000_000
WARM = 100
CHANNELS = 100
MOST_IDLE = 1024.0
MOST_OF_PAYLOAD = 1.25
MOST_LEFT = 0.1
MALLINFO = ("arena", "ordblks", "smblks", "hblks", "mapped", "usmblks", "fsmblks", "used", "free", "keepcost")
STATM = Path("/proc/self/statm")


class Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO]


def resident() -> int:
    """Bytes of memory that this process has of the system now."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def malloced() -> int:
    """Bytes in use of what malloc gave out; 0 where that is not told."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    mallinfo.restype = Mallinfo
    told = mallinfo()
    return int(told.used + told.mapped)


async def _idle(uri: str, count: int, used: bool, traced: bool) -> dict[str, float]:
    wanted = names(count)
    async with multiplex(f"{uri}/each/{count}" if used else f"{uri}/none", 0) as mux:
        for number in range(WARM):
            await mux.subscribe(f"warm{number}")
        if traced:
            tracemalloc.start()
        before, before_malloced = resident(), malloced()
        for channel in wanted:
            await mux.subscribe(channel)
        # The server answers when it has read all requests: nothing of them waits to be sent any more.
        last = await start(mux)
        await last.recv()
        for channel in wanted if used else ():
            subscription = mux.get_subscription(channel)
            assert subscription is not None
            await subscription.recv(0)
        found = {"resident": resident() - before, "malloced": malloced() - before_malloced}
        if traced:
            found["python"] = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
        if len(mux.list_subscriptions()) != WARM + count + 1:
            raise TrialError(f"{len(mux.list_subscriptions())} subscriptions")
    return {name: size / count for name, size in found.items()}


def idle(uri: str, count: int, used: bool = False, traced: bool = False) -> dict[str, float]:
    """Bytes a subscription: `resident`, `malloced`, `python` if traced; `used`: after a message each."""
    return run("uvloop", _idle(uri, count, used, traced))


async def _queued(uri: str, count: int) -> dict[str, float]:
    async with multiplex(f"{uri}/flood/{CHANNELS}/{count}", 0) as mux:
        subscriptions = [await mux.subscribe(channel) for channel in names(CHANNELS)]
        before = resident()
        last = await start(mux)
        await last.recv()
        rings: list[Any] = [subscription.ring for subscription in subscriptions]
        payload = sum(ring.nbytes for ring in rings)
        if sum(map(len, rings)) != count:
            raise TrialError(f"{sum(map(len, rings))} messages of {count} are queued")
        full = resident() - before
        found = {"allocated": sum(ring.allocated for ring in rings) / payload, "resident": full / payload}
        readers = [asyncio.create_task(iterate(subscription)) for subscription in subscriptions]
        while any(map(len, rings)):  # noqa: ASYNC110  # consumers take turns with this until all is read
            await asyncio.sleep(0)
        left = resident() - before
        found |= {"left": left / full, "held": sum(ring.allocated for ring in rings) / full}
        for subscription in subscriptions:
            await subscription.close()
        if sum(await asyncio.gather(*readers)) != count:
            raise TrialError("messages were lost")
        return found


def queued(uri: str, count: int) -> dict[str, float]:
    """`allocated` and `resident`, of the payload; `left` and `held` (resident, allocated) of the growth, all read."""
    return run("uvloop", _queued(uri, count))


def measure(uri: str, idle_count: int = IDLE, queued_count: int = QUEUED) -> list[Finding]:
    """Memory of idle subscriptions and of queued messages."""
    if not STATM.exists():
        print("memory: left out, this system does not tell a process's memory in /proc", file=sys.stderr)
        return []
    plain, used = (apart(idle, uri, idle_count, after_one) for after_one in (False, True))
    traced = apart(idle, uri, idle_count, False, True)
    queue = apart(queued, uri, queued_count)
    of = f"each of {idle_count:,} idle subscriptions"
    return [
        Finding(f"{of}, resident", plain["resident"], "bytes", MOST_IDLE),
        Finding(f"{of}, Python's objects", traced["python"], "bytes"),
        Finding(f"{of}, from malloc", plain["malloced"], "bytes"),
        Finding(f"{of}, resident, after a message each", used["resident"], "bytes"),
        Finding(f"{queued_count:,} queued messages, allocated", queue["allocated"], "of the payload", MOST_OF_PAYLOAD),
        Finding(f"{queued_count:,} queued messages, resident", queue["resident"], "of the payload", MOST_OF_PAYLOAD),
        Finding("left of that when all are read, resident", queue["left"], "of the growth", MOST_LEFT),
        Finding("left of that when all are read, allocated", queue["held"], "of the growth"),
    ]
