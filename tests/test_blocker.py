"""The function that blocks the event loop is named."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from jetsocket.blocker import BlockerNamer
from jetsocket.liveness import LoopWatch

from .looking import Told, stopping

STEP = 0.02
BLOCK = 0.15


@pytest.fixture
def watched_loop() -> Iterator[Callable[..., LoopWatch]]:
    """Starts a LoopWatch that is stopped after the test."""
    with stopping(LoopWatch) as start:
        yield start


def handle_trade() -> None:
    time.sleep(2 * BLOCK)


def handle_in_a_library() -> None:
    with pytest.raises(queue.Empty):
        queue.Queue[None]().get(timeout=2 * BLOCK)


async def blocked_by(watch: LoopWatch, told: Told, blocker: Callable[..., object], *arguments: object) -> str:
    """Who is named for `blocker`. Its name, if that comes in some attempts: a busy machine blocks the loop too."""
    named = None
    for _ in range(5):
        asyncio.get_running_loop().call_soon(blocker, *arguments)
        await told.next()
        named = watch.blocked_by
        if named is not None and named.startswith(blocker.__name__):
            break
    return str(named)


@pytest.mark.parametrize("blocker, line", [(handle_trade, 1), (handle_in_a_library, 2)])
async def test_the_function_that_blocks_is_named(watched_loop, blocker, line):
    told = Told()
    watch = watched_loop(told, interval=STEP, limit=BLOCK / 2, name_blocker=True)
    line += blocker.__code__.co_firstlineno
    assert await blocked_by(watch, told, blocker) == f"{blocker.__name__} (test_blocker.py:{line})"


def test_a_library_that_the_loop_itself_calls_is_named_and_not_who_started_the_loop():
    async def named() -> str:
        told = Told()
        watch = LoopWatch(told, interval=STEP, limit=BLOCK / 2, name_blocker=True)
        watch.start()
        # Nothing of ours is on the stack but this test, which runs the loop.
        name = await blocked_by(watch, told, threading.Event().wait, 2 * BLOCK)
        watch.stop()
        return name

    assert asyncio.run(named()).startswith("wait (threading.py:")


async def test_what_blocked_before_is_not_named_again(watched_loop):
    told = Told()
    watch = watched_loop(told, interval=STEP, limit=BLOCK / 2, name_blocker=True)
    first = await blocked_by(watch, told, handle_trade)
    assert first.startswith("handle_trade ")
    second = await blocked_by(watch, told, handle_in_a_library)
    assert second.startswith("handle_in_a_library ")


def test_a_name_is_of_one_time_that_the_loop_was_overdue():
    namer = BlockerNamer(0.001)
    namer.due = time.monotonic()
    assert namer.named(namer.due) is None
    namer.start(threading.get_ident())
    try:
        while namer.named(namer.due) is None:
            assert time.monotonic() < namer.due + 10
        assert namer.named(namer.due) is not None
        assert namer.named(namer.due + 1) is None
    finally:
        namer.stop()


def watching_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("jetsocket")]


async def test_there_is_a_thread_only_while_names_are_asked_for(watched_loop):
    watched_loop(Told())
    assert not watching_threads()
    watch = watched_loop(Told(), name_blocker=True)
    assert watching_threads() == ["jetsocket-loop-watch"]
    watch.stop()
    assert not watching_threads()
