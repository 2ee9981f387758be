from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

COMMAND = [sys.executable, "-m", "jetsocket.cli"]
LIMIT = 30.0
"""Seconds after which a command is taken to hang."""


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> Iterator[None]:
    """What runs in the background of a script ignores Ctrl-C, and what it starts does too."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def environment(**extra: str) -> dict[str, str]:
    """That of a child that imports what this process would, and finds no option in it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("JETSOCKET_", "FORCE_COLOR"))}
    if "JETSOCKET_EXTENSIONS" in os.environ:
        clean["JETSOCKET_EXTENSIONS"] = os.environ["JETSOCKET_EXTENSIONS"]
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return {**clean, "PYTHONPATH": path, "COLUMNS": "200", **extra}


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


def run(*args: str, **extra: str) -> Done:
    """Runs `jetsocket` to its end."""
    done = subprocess.run(
        [*COMMAND, *args], env=environment(**extra), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def running(*args: str, **extra: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`jetsocket` beside this event loop, which may serve it; killed if it is still there at the end."""
    child = await asyncio.create_subprocess_exec(
        *COMMAND,
        *args,
        env=environment(**extra),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def ended(child: asyncio.subprocess.Process) -> Done:
    out, err = await asyncio.wait_for(child.communicate(), LIMIT)
    assert child.returncode is not None
    return Done(child.returncode, (out or b"").decode(), err.decode())


async def alongside(*args: str, **extra: str) -> Done:
    """Runs `jetsocket` to its end beside this event loop."""
    async with running(*args, **extra) as child:
        return await ended(child)


async def interrupted(child: asyncio.subprocess.Process) -> tuple[Done, float]:
    """Ctrl-C; how it ended, and after how many seconds."""
    started = time.monotonic()
    child.send_signal(signal.SIGINT)
    done = await ended(child)
    return done, time.monotonic() - started


def on_a_terminal(*args: str, until: bytes = b"", **extra: str) -> tuple[int, bytes]:
    """Runs `jetsocket` on a pseudo-terminal; Ctrl-C is typed once `until` is seen, if given. Exit code and output."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [*COMMAND, *args], environment(TERM="xterm-256color", LINES="50", **extra))
    seen = b""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        readable, _, _ = select.select([terminal], [], [], 1.0)
        if not readable:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # what a terminal says at its end
            break
        if not data:
            break
        seen += data
        if until and until in seen:
            until = b""
            os.write(terminal, b"\x03")
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), seen
