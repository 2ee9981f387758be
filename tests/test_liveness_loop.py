"""A blocked event loop is told of, with what blocked it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from jetsocket.liveness import LoopWatch

from .looking import Told, block, stopping

STEP = 0.02
BLOCK = 0.15


@pytest.fixture
def watched_loop() -> Iterator[Callable[..., LoopWatch]]:
    """Starts a LoopWatch that is stopped after the test."""
    with stopping(LoopWatch) as start:
        yield start


async def test_a_blocked_loop_is_told_of_with_its_seconds(watched_loop):
    told = Told()
    watch = watched_loop(told, interval=STEP, limit=BLOCK / 3)
    block(BLOCK)
    assert BLOCK - 2 * STEP < watch.late() < 10
    (seconds,) = await told.next()
    assert BLOCK - 2 * STEP < seconds < 10
    assert watch.blocked_by is None


async def test_a_loop_that_is_not_blocked_is_not_told_of(watched_loop):
    told = Told()
    watched_loop(told, interval=STEP / 4, limit=9)
    watched_loop(told_other := Told(), interval=STEP, limit=BLOCK / 3)
    block(BLOCK)
    await told_other.next()
    assert not told.so_far()


async def test_a_watch_that_is_stopped_tells_nothing_and_may_be_started_again(watched_loop):
    told = Told()
    watch = watched_loop(told, interval=STEP, limit=BLOCK / 3)
    watch.start()
    watch.stop()
    watch.stop()
    other = watched_loop(told_other := Told(), interval=STEP, limit=BLOCK / 3)
    block(BLOCK)
    await told_other.next()
    assert watch.late() == 0.0
    assert not told.so_far()
    other.stop()
    watch.start()
    block(BLOCK)
    await told.next()


async def test_a_handler_that_raises_does_not_end_the_watch(watched_loop):
    raised = Told()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised(context["exception"]))
    told = Told()

    def on_blocked(seconds: float) -> None:
        told(seconds)
        raise KeyError("in the handler")

    watched_loop(on_blocked, interval=STEP, limit=BLOCK / 3)
    for _ in range(2):
        block(BLOCK)
        await told.next()
        (error,) = await raised.next()
        assert isinstance(error, KeyError)


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"interval": 0}, ValueError, "interval must be seconds, more than 0, got 0"),
        ({"limit": "1"}, TypeError, "limit must be seconds, got str '1'"),
    ],
)
def test_seconds_that_make_no_sense(options, error, text):
    with pytest.raises(error) as caught:
        LoopWatch(print, **options)
    assert str(caught.value) == text
