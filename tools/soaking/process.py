"""The soak's exchange, seen from the process that soaks."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).parents[2]
# Seconds that a fresh interpreter on a busy machine may take, or one that is to end.
_PATIENCE = 30.0
# Bytes of a line: the numbers of all channels fit into one.
_LONGEST = 1 << 22


class ExchangeProcess:
    """`async with ExchangeProcess(channels=…, seed=…, per_second=…) as exchange`; see `SoakExchange`."""

    def __init__(self, **options: Any) -> None:
        self.uri = ""
        self._options = options
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]
        self._last = 0
        self._pending: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tools.soaking.exchange", json.dumps(self._options)),
            cwd=PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST,
            # Ctrl-C reaches the whole process group of a terminal; what it means is for this process to decide.
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(_PATIENCE):
                self.uri = await self._answer(0)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def ask(self, command: str, *args: Any, **kwargs: Any) -> Any:
        """What that method of the exchange gives. Raises RuntimeError with what it raises."""
        assert self._process.stdin is not None
        self._last += 1
        request = {"id": self._last, "command": command, "args": args, "kwargs": kwargs}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return await self._answer(self._last)

    async def _answer(self, number: int) -> Any:
        if self._reader.done():
            raise ConnectionError("the exchange's process has ended")
        self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            return await self._pending[number]
        finally:
            del self._pending[number]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            waiter = self._pending.get(answer.get("id", 0))
            if waiter is None or waiter.done():
                continue
            if "error" in answer:
                waiter.set_exception(RuntimeError(f"the exchange: {answer['error']}"))
            else:
                waiter.set_result(answer["uri"] if "uri" in answer else answer["result"])
        for waiter in self._pending.values():
            if not waiter.done():
                waiter.set_exception(ConnectionError("the exchange's process has ended"))
