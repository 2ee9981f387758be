"""A silence is found in its time, and the time in which the loop was blocked is not taken for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from jetsocket.liveness import DataWatch, StaleWatch

from .looking import Counter, Told, block, stopping

STEP = 0.02


@pytest.fixture
def watched_data() -> Iterator[Callable[..., DataWatch]]:
    """Starts a DataWatch that is stopped after the test."""
    with stopping(DataWatch) as start:
        yield start


async def test_a_silence_is_told_of_after_its_time_and_once(watched_data):
    told = Told(counter := Counter(7))
    started_at = time.monotonic()
    watched_data(4 * STEP, counter, told)
    # At the start, once a quarter, and the second look.
    assert await told.next() == (4 * STEP, 6)
    # A clock may be coarse by a thousandth.
    assert time.monotonic() - started_at > 4 * STEP - 0.004
    await counter.looked_at(10)
    assert not told.so_far()


async def test_each_message_begins_the_time_anew(watched_data):
    told = Told(counter := Counter(0, 0, 0, 0, 1, 1, 1, 1, 2, 2))
    watched_data(4 * STEP, counter, told)
    assert await told.next() == (4 * STEP, 8 + 6)


async def test_a_message_just_before_the_second_look_is_in_time(watched_data):
    told = Told(counter := Counter(0, 0, 0, 0, 0, 1))
    watched_data(4 * STEP, counter, told)
    assert await told.next() == (4 * STEP, 5 + 6)


async def test_after_a_message_the_next_silence_is_told_of_again(watched_data):
    told = Told(counter := Counter(0, 0, 0, 0, 0, 0, 0, 0, 1))
    watched_data(4 * STEP, counter, told)
    assert await told.next() == (4 * STEP, 6)
    assert await told.next() == (4 * STEP, 8 + 6)


async def test_a_stream_that_goes_on_is_never_told_of(watched_data):
    told = Told(counter := Counter(*range(50)))
    watched_data(STEP, counter, told)
    await counter.looked_at(40)
    assert not told.so_far()


async def test_nothing_is_said_of_what_is_not_armed_or_has_been_stopped(watched_data):
    told, marker = Told(), Told()
    unarmed = watched_data(STEP, Counter(0), told)
    unarmed.armed = False
    stopped = watched_data(STEP, Counter(0), told)
    stopped.stop()
    watched_data(4 * STEP, Counter(0), marker)
    await marker.next()
    assert not told.so_far()


async def test_armed_again_its_time_begins_anew(watched_data):
    told = Told(counter := Counter(0))
    watch = watched_data(4 * STEP, counter, told)
    await counter.looked_at(3)
    watch.armed = False
    looks = counter.looks
    watch.armed = True
    # What it already is begins nothing anew.
    await counter.looked_at(3)
    watch.armed = True
    assert await told.next() == (4 * STEP, looks + 6)
    assert watch.armed


async def test_started_again_its_time_begins_anew(watched_data):
    told = Told(counter := Counter(0))
    watch = watched_data(4 * STEP, counter, told)
    await counter.looked_at(3)
    looks = counter.looks
    watch.start()
    assert await told.next() == (4 * STEP, looks + 6)


async def test_where_starting_again_does_not_help_it_takes_twice_the_time_until_a_message_comes(watched_data):
    #                               told at the 6th, 12th and 18th look; the message comes at the 20th
    told = Told(counter := Counter(*[0] * 19, 1))
    watch = watched_data(STEP, counter, told)
    for seconds, looks in ((STEP, 6), (2 * STEP, 12), (4 * STEP, 18)):
        assert await told.next() == (seconds, looks)
        watch.start()
    assert await told.next() == (STEP, 20 + 5)
    watch.start()
    assert await told.next() == (2 * STEP, 25 + 6)
    # What was wanted no longer, and is again, has its own time.
    watch.armed = False
    watch.armed = True
    assert await told.next() == (STEP, 31 + 6)


async def test_its_patience_has_an_end(watched_data):
    told = Told(Counter(0))
    watch = watched_data(STEP / 20, Counter(0), told)
    periods = []
    for _ in range(8):
        periods.append((await told.next())[0])
        watch.start()
    assert periods == pytest.approx([STEP / 20 * times for times in (1, 2, 4, 8, 16, 32, 60, 60)])


async def test_armed_before_it_is_started_it_waits_for_that():
    watch = DataWatch(STEP, Counter(0), told := Told())
    watch.armed = False
    watch.start()
    watch.armed = True
    await told.next()
    watch.stop()


async def test_the_time_in_which_the_loop_was_blocked_does_not_count(watched_data):
    told = Told(counter := Counter(0))
    watched_data(4 * STEP, counter, told)
    await counter.looked_at(1)
    # Longer than the timeout, and yet one look.
    block(8 * STEP)
    assert await told.next() == (4 * STEP, 6)


class Echo(asyncio.Protocol):
    """Sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Reader(asyncio.Protocol):
    """Counts what it has received."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)


def data_watch(count: Callable[[], int], told: Told) -> Callable[[], None]:
    """Starts a watch of `count`; what stops it."""
    watch = DataWatch(8 * STEP, count, told)
    watch.start()
    return watch.stop


def stale_watch(count: Callable[[], int], told: Told) -> Callable[[], None]:
    """As data_watch."""
    watch = StaleWatch(told)
    watch.resume()
    watch.add("a", 8 * STEP, count)
    return watch.pause


@pytest.mark.parametrize("start", [data_watch, stale_watch])
async def test_what_came_while_the_loop_was_blocked_is_read_before_anything_is_said(start):
    loop = asyncio.get_running_loop()
    reader, told, done = Reader(), Told(), asyncio.Event()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(lambda: reader, *server.sockets[0].getsockname())
    looks = 0

    def send_and_block() -> None:
        transport.write(b"a message")
        # The last quarter ends meanwhile; what comes back takes the loop two turns.
        block(4 * STEP)

    def count() -> int:
        nonlocal looks
        looks += 1
        # At the start, and after three quarters.
        if looks == 4:
            loop.call_soon(send_and_block)
        if looks == 7:
            done.set()
        return reader.received

    stop = start(count, told)
    await asyncio.wait_for(done.wait(), 10)
    stop()
    assert reader.received
    assert not told.so_far()
    transport.abort()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "timeout, error, text",
    [
        (-1, ValueError, "timeout must be seconds, more than 0, got -1"),
        ("1", TypeError, "timeout must be seconds, got str '1'"),
    ],
)
def test_seconds_that_make_no_sense(timeout, error, text):
    with pytest.raises(error) as caught:
        DataWatch(timeout, print, print)
    assert str(caught.value) == text
