"""The child's side of `Exchange.spawn(...)`, spoken to line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

COMMAND = [sys.executable, "-P", "-m", "jetsocket.testing"]
# Hands its own input and output on to the child, and outlives nobody.
PARENT = f"import subprocess; subprocess.run({COMMAND!r})"


@contextmanager
def child(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process:
        yield process


def say(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def request(number: int, command: str, *args: Any) -> dict[str, Any]:
    return {"id": number, "command": command, "args": args, "kwargs": {}}


def test_it_answers_by_number_and_ends_with_its_input() -> None:
    with child(COMMAND) as process:
        say(process, {"options": {"paused": True}})
        started = heard(process)
        assert started["id"] == 0
        assert started["result"].startswith("ws://127.0.0.1:")
        say(process, request(7, "sent"))
        assert heard(process) == {"id": 7, "result": 0}
        say(process, request(8, "close"))
        assert heard(process) == {"id": 8, "error": {"kind": "ValueError", "text": "no such command: 'close'"}}
        assert process.communicate(timeout=30) == (b"", b"")
        assert process.returncode == 0


def test_what_cannot_start_says_why_and_hears_no_more() -> None:
    with child(COMMAND) as process:
        say(process, {"options": {"rate": -1}})
        assert heard(process)["error"]["kind"] == "ValueError"
        say(process, request(1, "sent"))
        assert process.communicate(timeout=30) == (b"", b"")
        assert process.returncode == 0


def test_it_ends_quietly_when_nobody_hears_it_any_more() -> None:
    with child(COMMAND) as process:
        say(process, {"options": {}})
        heard(process)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        say(process, request(1, "sent"))
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a process keeps its dead parent's number there")
def test_it_ends_with_its_parent_though_its_input_is_held_open() -> None:
    with child([sys.executable, "-c", PARENT]) as process:
        say(process, {"options": {}})
        heard(process)
        say(process, request(1, "sent"))
        assert heard(process)["result"] == 0
        process.kill()
        assert process.wait(30) != 0
        assert process.stdout is not None
        # The input is still open here; the end of the output is the child's.
        assert process.stdout.read() == b""
