"""The embedded exchange in a process of its own.

The child runs `python -m jetsocket.testing` and takes one JSON object a line on its standard input: first the options,
then `{"id", "command", "args", "kwargs"}`. It answers one a line on its standard output. It ends with its input, so
with its parent, however that ends. Unlike `multiprocessing` it needs no main guard in the user's script.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from itertools import count
from types import TracebackType
from typing import Any, Self

from .account import Account
from .wire import Garbage

# A fresh interpreter on a busy machine may take this long, in seconds; more is a failure.
_START_TIMEOUT = 30.0
_END_TIMEOUT = 5.0
_HAS_ENDED = "the exchange's process has ended"


class ExchangeProcess:
    """`Exchange.spawn(...)`: the methods of `Exchange`, as coroutines; they may be called from any event loop.

    `call` is for code without an event loop: `exchange.call("drop_all")`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.uri = ""
        self._options = options
        self._numbers = count(1)
        self._pending: dict[int, Future[Any]] = {}
        self._ended: Future[None] = Future()
        self._lock = threading.Lock()
        self._gone = False
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    # ---- lifecycle

    def open(self) -> None:
        """Starts the process; returns when it listens. Raises what `Exchange(...)` or its `open()` raised."""
        self._await_start(self._launch())

    def close(self) -> None:
        """Ends the process; idempotent."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        assert self._reader is not None
        try:
            child.stdin.close()
        except BrokenPipeError:
            # It died with a command still unread; closed it is all the same.
            pass
        try:
            child.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._reader.join()
        child.stdout.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        started = self._launch()
        try:
            await asyncio.to_thread(self._await_start, started)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._child is None else self._child.pid

    def _launch(self) -> Future[Any]:
        # The child imports what this process would import, not what lies in its working directory.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "jetsocket.testing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C reaches the whole process group of a terminal; what it means is for this process to decide.
            start_new_session=True,
        )
        started: Future[Any] = Future()
        self._gone = False
        self._pending[0] = started
        self._ended = Future()
        # Who waits for it may be cancelled, the future must not.
        self._ended.set_running_or_notify_cancel()
        arguments = self._child, self._ended
        self._reader = threading.Thread(target=self._read, args=arguments, name="jetsocket.testing", daemon=True)
        self._reader.start()
        self._write({"options": self._options})
        return started

    def _await_start(self, started: Future[Any]) -> None:
        try:
            self.uri = started.result(_START_TIMEOUT)
        except BaseException:
            self.close()
            raise

    # ---- commands

    def call(self, command: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Runs a method of the exchange and waits for its result, blocking the thread; `timeout` in seconds."""
        return self._request(command, *args, **kwargs).result(timeout)

    def _request(self, command: str, *args: Any, **kwargs: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        number = next(self._numbers)
        with self._lock:
            # The pipe of a dying process may still take the request, which is never answered.
            if self._gone and self._child is not None:
                raise ConnectionError(_HAS_ENDED)
            self._pending[number] = answer
        self._write({"id": number, "command": command, "args": args, "kwargs": kwargs})
        return answer

    async def _ask(self, command: str, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.wrap_future(self._request(command, *args, **kwargs))

    def _write(self, message: dict[str, Any]) -> None:
        if self._child is None or self._child.stdin is None:
            raise ConnectionError("the exchange's process is not running")
        with self._lock:
            try:
                self._child.stdin.write(json.dumps(message).encode() + b"\n")
                self._child.stdin.flush()
            except BrokenPipeError:
                raise ConnectionError(_HAS_ENDED) from None

    def _read(self, child: subprocess.Popen[bytes], ended: Future[None]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            answer = json.loads(line)
            future = self._pending.pop(answer["id"])
            if not future.set_running_or_notify_cancel():
                continue
            if "error" in answer:
                future.set_exception(_error(**answer["error"]))
            else:
                future.set_result(answer["result"])
        with self._lock:
            ended.set_result(None)
        with self._lock:
            self._gone = True
            unanswered = list(self._pending.values())
            self._pending.clear()
        for future in unanswered:
            if future.set_running_or_notify_cancel():
                future.set_exception(ConnectionError(_HAS_ENDED))

    async def wait_ended(self) -> None:
        """Until the process is gone: closed, or dead."""
        await asyncio.wrap_future(self._ended)

    # ---- as in Exchange

    async def start(self) -> None:
        await self._ask("start")

    async def pause(self) -> None:
        await self._ask("pause")

    async def publish(self, channel: str, data: Any) -> int:
        return int(await self._ask("publish", channel, data))

    async def drop_all(self, *, reset: bool = True) -> int:
        return int(await self._ask("drop_all", reset=reset))

    async def close_all(self, code: int | None = 1001, reason: str = "") -> int:
        return int(await self._ask("close_all", code, reason))

    async def go_silent(self) -> None:
        await self._ask("go_silent")

    async def stall(self) -> None:
        await self._ask("stall")

    async def resume(self) -> None:
        await self._ask("resume")

    async def send_garbage(self, kind: Garbage) -> int:
        return int(await self._ask("send_garbage", kind))

    async def send_text(self, text: str) -> int:
        return int(await self._ask("send_text", text))

    async def refuse_handshakes(
        self, status: int = 503, headers: Mapping[str, str] | None = None, body: str = "", *, times: int | None = None
    ) -> None:
        await self._ask("refuse_handshakes", status, dict(headers or {}), body, times=times)

    async def accept_handshakes(self) -> None:
        await self._ask("accept_handshakes")

    async def refuse_subscriptions(
        self, channel: str | None = None, code: int = 2, msg: str = "Invalid request"
    ) -> None:
        await self._ask("refuse_subscriptions", channel, code, msg)

    async def accept_subscriptions(self) -> None:
        await self._ask("accept_subscriptions")

    async def sent(self, channel: str | None = None) -> int:
        return int(await self._ask("sent", channel))

    async def account(self) -> Account:
        facts = await self._ask("account")
        # JSON has no numbers for names.
        facts["subscribed"] = {int(number): channels for number, channels in facts["subscribed"].items()}
        return Account(**facts)

    async def wait_connected(self, count: int = 1) -> None:
        await self._ask("wait_connected", count)

    async def wait_accepted(self, count: int) -> None:
        await self._ask("wait_accepted", count)

    async def wait_refused(self, count: int = 1) -> None:
        await self._ask("wait_refused", count)

    async def wait_disconnected(self) -> None:
        await self._ask("wait_disconnected")

    async def wait_subscribed(self, *channels: str) -> None:
        await self._ask("wait_subscribed", *channels)

    async def wait_requests(self, count: int) -> None:
        await self._ask("wait_requests", count)

    async def wait_sent(self, count: int, channel: str | None = None) -> None:
        await self._ask("wait_sent", count, channel)


def _error(kind: str, text: str) -> Exception:
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, UnicodeError):
        return known(text)
    return RuntimeError(f"{kind}: {text}")
