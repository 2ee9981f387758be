"""Channels that go stale, each in its own time, and what their number costs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from itertools import count as numbers

import pytest

from jetsocket.liveness import StaleWatch

from .looking import Counter, Told

STEP = 0.02


def always_more() -> Callable[[], int]:
    return numbers().__next__


@pytest.fixture
def stale() -> Iterator[tuple[StaleWatch, Told]]:
    """A watch that is paused after the test, and what it tells."""
    told = Told()
    watch = StaleWatch(told)
    yield watch, told
    watch.pause()


async def test_a_channel_is_stale_in_two_steps_and_then_no_more(stale):
    watch, told = stale
    watch.resume()
    counter = Counter(3)
    started_at = time.monotonic()
    watch.add("a", 4 * STEP, counter)
    assert await told.next() == ("a", 4 * STEP, 1)
    assert time.monotonic() - started_at > 4 * STEP - 0.004
    assert await told.next() == ("a", 8 * STEP, 2)
    assert time.monotonic() - started_at > 8 * STEP - 0.004
    assert counter.looks == 1 + 2 * 5
    await counter.looked_at(12)
    assert not told.so_far()


async def test_after_progress_it_begins_with_the_first_step_again(stale):
    watch, told = stale
    watch.resume()
    counter = Counter(*[0] * 8, 1)
    watch.add("a", 2 * STEP, counter)
    assert await told.next() == ("a", 2 * STEP, 1)
    assert counter.looks == 6
    assert await told.next() == ("a", 2 * STEP, 1)
    assert counter.looks == 8 + 6
    assert await told.next() == ("a", 4 * STEP, 2)


async def test_where_a_new_connection_does_not_help_each_step_takes_twice_the_time_until_a_message_comes(stale):
    watch, told = stale
    # A look when it is added and one at each resumption, five at each step: the message comes in the third round.
    watch.add("a", STEP, counter := Counter(*[0] * 24, 1))
    watch.resume()
    seconds = []
    for step in (1, 2) * 3:
        name, silent_for, its_step = await told.next()
        assert (name, its_step) == ("a", step)
        seconds.append(silent_for)
        if step == 2:
            watch.resume()
    assert seconds == pytest.approx([STEP, 2 * STEP, 2 * STEP, 4 * STEP, STEP, 2 * STEP])
    assert counter.looks > 24


async def test_each_channel_has_its_own_time(stale):
    watch, told = stale
    watch.resume()
    slow = Counter(0)
    watch.add("slow", 3600, slow)
    watch.add("busy", STEP, always_more())
    watch.add("fast", 2 * STEP, Counter(0))
    assert (await told.next())[0] == "fast"
    assert (await told.next())[0] == "fast"
    assert not told.so_far()
    assert slow.looks == 1
    assert len(watch) == 3


async def test_a_look_costs_only_the_channels_that_are_due(stale):
    watch, told = stale
    quiet = Counter(0)
    for number in range(10_000):
        watch.add(f"quiet {number}", 3600, quiet)
    watch.add("fast", 4 * STEP, Counter(0))
    watch.resume()
    looks = quiet.looks
    assert await told.next() == ("fast", 4 * STEP, 1)
    assert quiet.looks == looks


async def test_many_channels_that_are_due_at_once_do_not_stop_the_loop_for_long(stale):
    watch, told = stale
    turns: list[int] = [0]

    def count() -> int:
        turns[-1] += 1
        return 0

    def turn() -> None:
        turns.append(0)
        spinning[0] = asyncio.get_running_loop().call_soon(turn)

    for number in range(1000):
        watch.add(str(number), 4 * STEP, count)
    watch.resume()
    turns[:] = [0]
    spinning = [asyncio.get_running_loop().call_soon(turn)]
    names = {(await told.next())[0] for _ in range(1000)}
    spinning[0].cancel()
    assert len(names) == 1000
    assert 0 < max(turns) <= 256


async def test_while_it_is_paused_nothing_is_stale_and_afterwards_the_times_begin_anew(stale):
    watch, told = stale
    counter = Counter(0)
    watch.add("a", 4 * STEP, counter)
    watch.resume()
    await counter.looked_at(3)
    watch.pause()
    looks = counter.looks
    other, marker = StaleWatch(told_other := Told()), Counter(0)
    other.resume()
    other.add("marker", 4 * STEP, marker)
    await told_other.next()
    other.pause()
    assert counter.looks == looks
    assert not told.so_far()
    watch.resume()
    assert await told.next() == ("a", 4 * STEP, 1)
    assert counter.looks == looks + 6


async def test_what_is_added_while_paused_is_watched_from_the_resumption(stale):
    watch, told = stale
    watch.add("a", STEP, Counter(0))
    watch.resume()
    watch.resume()
    assert await told.next() == ("a", STEP, 1)


async def test_what_is_removed_is_never_stale(stale):
    watch, told = stale
    watch.resume()
    for name in ("a", "b"):
        watch.add(name, 2 * STEP, Counter(0))
    watch.remove("a")
    watch.remove("never there")
    assert len(watch) == 1
    assert [(await told.next())[0] for _ in range(2)] == ["b", "b"]


async def test_what_is_removed_by_the_handler_of_another_is_not_told_of():
    told = Told()

    def on_stale(name: str, seconds: float, step: int) -> None:
        told(name)
        watch.remove("b" if name == "a" else "a")

    watch = StaleWatch(on_stale)
    for name in ("a", "b"):
        watch.add(name, 2 * STEP, Counter(0))
    watch.resume()
    first = await told.next()
    assert await told.next() == first
    watch.pause()


async def test_what_begins_anew_in_the_handler_of_another_is_not_told_of():
    told = Told()

    def on_stale(name: str, seconds: float, step: int) -> None:
        told(name, step)
        watch.pause()
        watch.resume()

    watch = StaleWatch(on_stale)
    for name in ("a", "b", "c"):
        watch.add(name, 2 * STEP, Counter(0))
    watch.resume()
    # They are due together, and all of them begin anew before the second is told of.
    assert [await told.next() for _ in range(3)] == [("a", 1)] * 3
    watch.pause()


async def test_added_again_a_channel_has_only_its_new_time(stale):
    watch, told = stale
    watch.resume()
    old, new = Counter(0), Counter(0)
    watch.add("a", STEP, old)
    watch.add("a", 2 * STEP, new)
    assert (watch.seconds_of("a"), watch.seconds_of("b")) == (2 * STEP, None)
    assert await told.next() == ("a", 2 * STEP, 1)
    assert old.looks == 1
    assert len(watch) == 1


async def test_channels_that_come_and_go_leave_the_others_watched(stale):
    watch, told = stale
    watch.resume()
    watch.add("a", 4 * STEP, Counter(0))
    for number in range(3000):
        watch.add(str(number), 3600, Counter(0))
        watch.remove(str(number))
    assert await told.next() == ("a", 4 * STEP, 1)


async def test_a_handler_that_raises_keeps_no_other_channel_from_being_told_of():
    raised, told = Told(), Told()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised(context["exception"]))

    def on_stale(name: str, seconds: float, step: int) -> None:
        told(name)
        raise KeyError(name)

    watch = StaleWatch(on_stale)
    for name in ("a", "b"):
        watch.add(name, 2 * STEP, Counter(0))
    watch.resume()
    assert {(await told.next())[0] for _ in range(2)} == {"a", "b"}
    assert isinstance((await raised.next())[0], KeyError)
    watch.pause()


@pytest.mark.parametrize(
    "seconds, error, text",
    [
        (math.nan, ValueError, "stale_after must be seconds, more than 0, got nan"),
        (None, TypeError, "stale_after must be seconds, got NoneType None"),
    ],
)
def test_seconds_that_make_no_sense(seconds, error, text):
    with pytest.raises(error) as caught:
        StaleWatch(print).add("a", seconds, print)
    assert str(caught.value) == text
