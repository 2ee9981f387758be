"""The child's side of `Exchange.spawn(...)`; see `process.py` for the lines that are exchanged."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from .exchange import Exchange
from .obeying import obey_lines
from .process import ExchangeProcess

try:
    import uvloop
except ModuleNotFoundError:
    _run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
else:
    _run = uvloop.run

_PARENT_CHECK = 1.0
"""Seconds. The end of the input tells sooner, unless another process has inherited the pipe."""

# What the parent's side offers, and nothing else of Exchange.
_COMMANDS = frozenset(
    name
    for name, member in vars(ExchangeProcess).items()
    if iscoroutinefunction(member) and hasattr(Exchange, name) and name[0] != "_"
)


def _tell(number: int, result: Any = None, error: Exception | None = None) -> None:
    answer: dict[str, Any] = {"id": number}
    if error is not None:
        answer["error"] = {"kind": type(error).__name__, "text": str(error)}
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        answer["result"] = dataclasses.asdict(result)
    else:
        answer["result"] = result
    try:
        os.write(1, json.dumps(answer).encode() + b"\n")
    except BrokenPipeError:
        # The parent is gone: nobody is left to tell, and the end of the input ends this process.
        pass


async def _obey(exchange: Exchange, request: dict[str, Any]) -> None:
    try:
        if request["command"] not in _COMMANDS:
            raise ValueError(f"no such command: {request['command']!r}")
        result = getattr(exchange, request["command"])(*request["args"], **request["kwargs"])
        if isawaitable(result):
            result = await result
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        _tell(request["id"], error=error)
    else:
        _tell(request["id"], result)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    requests: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        # A thread, because no event loop of Windows can read a pipe that it has not made; and not `sys.stdin`, whose
        # lock a thread still waiting here would hold when the interpreter ends. An empty line is the end.
        rest = b""
        while chunk := os.read(0, 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(requests.put_nowait, line)
        loop.call_soon_threadsafe(requests.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    options = json.loads(await requests.get())["options"]
    try:
        exchange = Exchange.replay(**options) if "path" in options else Exchange(**options)
        await exchange.open()
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        _tell(0, error=error)
        while await requests.get():
            pass
        return
    _tell(0, exchange.uri)
    orphan = asyncio.create_task(_watch_parent(requests))
    await obey_lines(requests.get, partial(_obey, exchange))
    orphan.cancel()
    await asyncio.wait([orphan])
    await exchange.close()


async def _watch_parent(requests: asyncio.Queue[bytes]) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(_PARENT_CHECK)
    requests.put_nowait(b"")


_run(_serve())
