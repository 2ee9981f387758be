"""The other processes of the trials: the venue that sends, and clients measured in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 120.0


class TrialError(Exception):
    """What a trial wanted to measure did not happen."""


@contextmanager
def venue() -> Iterator[str]:
    """A running venue; gives its address, to which a path is added."""
    command = [sys.executable, "-m", "benchmarks.trials.venue"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield f"ws://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function`, of a module, returns in a fresh process with the compiled twin. Raises TrialError.

    Arguments and result pass through JSON.
    """
    called = json.dumps([function.__module__, function.__qualname__, arguments])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.trials.alone", called],
        cwd=ROOT,
        env=os.environ | {"JETSOCKET_EXTENSIONS": "require"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=TIME_LIMIT,
    )
    if done.returncode:
        raise TrialError(f"{function.__qualname__}{arguments} failed with {done.returncode}")
    return json.loads(done.stdout)
