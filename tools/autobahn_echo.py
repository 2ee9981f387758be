"""The client that Autobahn|Testsuite judges: an echo over the public API of `jetsocket.WebSocket`.

Runs in a process of its own, because the twin is chosen when jetsocket is imported. Prints a JSON object a case:
`{"case": number, "seconds": …, "timed_out": …}`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence

import jetsocket
from jetsocket import WebSocket

# The suite's largest messages have 16 MiB.
_MAX_MESSAGE_SIZE = 64 * 2**20
# How the server closes when it has nothing to judge: its close frames are empty then (RFC 6455 section 7.1.5).
_FINISHED = (1000, 1005)


async def run_case(uri: str, limit: float) -> bool:
    """Echo until the server ends the connection; False where that took more than `limit` seconds.

    How a case ends is the server's to judge. Raises the connection's error where there is no connection to begin with.
    """
    try:
        async with asyncio.timeout(limit):
            ws = WebSocket(
                uri,
                reconnect=False,
                deserializer=bytes,
                # Compressed messages of every size: that is what the suite looks at.
                compression_threshold=0,
                max_message_size=_MAX_MESSAGE_SIZE,
            )
            await ws.connect()
            try:
                async for message in ws.messages():
                    await ws.send_raw(message.data, binary=message.binary)
            except jetsocket.JetSocketError:
                # Most cases are about a server that breaks the rules.
                return True
            finally:
                await ws.close()
    except TimeoutError:
        return False
    return True


async def ask(uri: str, limit: float) -> str:
    """The first message from `uri`, or an empty text where the server closes without one."""
    async with asyncio.timeout(limit), WebSocket(uri, reconnect=False, deserializer=str) as ws:
        try:
            return await ws.recv()
        except jetsocket.CloseError as error:
            if error.code not in _FINISHED:
                raise
            return ""


async def run_cases(uri: str, agent: str, numbers: Sequence[int], limit: float, report: Callable[[str], None]) -> None:
    """Run the cases with these numbers (from 1), then have the server write the verdicts about `agent`."""
    for number in numbers:
        started = time.perf_counter()
        in_time = await run_case(f"{uri}/runCase?case={number}&agent={agent}", limit)
        seconds = round(time.perf_counter() - started, 3)
        report(json.dumps({"case": number, "seconds": seconds, "timed_out": not in_time}))
    # The server judges a case when it sees the connection's end, and that of the last one may still be on its way.
    await ask(f"{uri}/getCaseStatus?case={numbers[-1]}&agent={agent}", limit)
    await ask(f"{uri}/updateReports?agent={agent}", limit)


def _new_event_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "asyncio":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415  # an extra

    return uvloop.new_event_loop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("agent")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), required=True)
    parser.add_argument("--limit", type=float, required=True, help="seconds a case may take")
    parser.add_argument("--cases", type=int, nargs="+", required=True, help="the server's numbers, from 1")
    args = parser.parse_args()

    def report(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    with asyncio.Runner(loop_factory=lambda: _new_event_loop(args.loop)) as runner:
        runner.run(run_cases(args.uri, args.agent, args.cases, args.limit, report))


if __name__ == "__main__":
    main()
