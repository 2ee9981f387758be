"""`run()`: asyncio.run on the fastest event loop that is installed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import uvloop

import jetsocket
from jetsocket.running import event_loop_name


async def answer() -> tuple[int, type[asyncio.AbstractEventLoop]]:
    await asyncio.sleep(0)
    return 42, type(asyncio.get_running_loop())


def test_the_result_is_returned_from_uvloop():
    assert event_loop_name() == "uvloop"
    assert jetsocket.run(answer()) == (42, uvloop.Loop)


def test_errors_pass_through():
    async def fail() -> None:
        raise LookupError("oh no")

    with pytest.raises(LookupError, match="oh no"):
        jetsocket.run(fail())


def test_debug_is_passed_on():
    async def debugging() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert jetsocket.run(debugging(), debug=True)
    assert not jetsocket.run(debugging(), debug=False)


def test_tasks_that_are_left_are_cancelled():
    cancelled: list[bool] = []

    async def linger() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        return task

    task = jetsocket.run(main())
    assert cancelled == [True]
    assert task.cancelled()


async def test_not_within_a_loop():
    coroutine = answer()
    with pytest.raises(RuntimeError, match=r"^jetsocket\.run\(\) cannot be called from a running event loop$"):
        jetsocket.run(coroutine)
    coroutine.close()


# find_spec raises for a name that is None in sys.modules, so the finder hides it.
WITHOUT_UVLOOP = """
import asyncio, sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "uvloop":
            raise ModuleNotFoundError(name)

import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "uvloop" else found(name, package)
sys.meta_path.insert(0, Hide())

import jetsocket
from jetsocket.running import event_loop_name

async def main():
    return type(asyncio.get_running_loop()).__module__

print(event_loop_name(), jetsocket.run(main()).partition(".")[0])
"""


def test_without_uvloop_asyncio_runs_it():
    said = subprocess.run([sys.executable, "-c", WITHOUT_UVLOOP], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["asyncio", "asyncio"]
