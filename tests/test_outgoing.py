"""What goes out keeps the exchange's pace: messages in turns, pongs before them, pings when there is room."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import jetsocket
from jetsocket import HeartbeatConfig, Multiplex
from jetsocket.exchanges import BINANCE
from jetsocket.outgoing import Outgoing
from jetsocket.protocol.pacing import Window
from jetsocket.testing.dialects.exchange import VenueExchange

from .conftest import Serve
from .peers import AT_ONCE, CLOSE, PING, PONG, Conversation, close_frame, frame, told

# Long enough that nobody waits for it to pass.
LONG = Window(3, 3600.0)
SHORT = Window(5, 0.2)


def spent(outgoing: Outgoing, count: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(outgoing.turn(), name=str(number)) for number in range(count)]


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def done(tasks: list[asyncio.Task[None]]) -> list[str]:
    return [task.get_name() for task in tasks if task.done()]


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Turns.


async def test_without_windows_nobody_waits():
    outgoing = Outgoing()
    await asyncio.gather(*spent(outgoing, 1000))
    assert outgoing.ping_delay() == 0


async def test_turns_are_given_in_the_order_of_asking():
    outgoing = Outgoing([Window(2, 0.02)])
    order: list[int] = []

    async def ask(number: int) -> None:
        await outgoing.turn()
        order.append(number)

    begin = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(7)))
    assert order == list(range(7))
    # The seventh is behind three windows, each longer by a tenth.
    assert 3 * 0.022 <= time.monotonic() - begin < 2


async def test_more_than_the_windows_allow_waits():
    outgoing = Outgoing([LONG])
    tasks = spent(outgoing, 5)
    await settle()
    assert done(tasks) == ["0", "1", "2"]
    await end(tasks)


async def test_a_new_connection_has_its_turns_at_once_though_somebody_waits_for_an_hour():
    outgoing = Outgoing([LONG])
    tasks = spent(outgoing, 7)
    await settle()
    outgoing.opened()
    await settle()
    assert done(tasks) == ["0", "1", "2", "3", "4", "5"]
    outgoing.opened()
    await asyncio.gather(*tasks)


async def test_a_lost_connection_holds_nobody_back():
    outgoing = Outgoing([LONG])
    tasks = spent(outgoing, 4)
    await settle()
    outgoing.lost()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("cancelled", [3, 4, 5])
async def test_who_gives_up_leaves_the_turn_to_the_next(cancelled: int):
    outgoing = Outgoing([Window(3, 0.05)])
    tasks = spent(outgoing, 7)
    await settle()
    tasks[cancelled].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [number == cancelled for number in range(7)]
    # Six went, the last three of them in one window.
    assert outgoing.ping_delay() == 0
    outgoing = Outgoing([LONG])
    tasks = spent(outgoing, 4)
    await settle()
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    outgoing.opened()
    again = spent(outgoing, 4)
    await settle()
    assert done(again) == ["0", "1", "2"]
    await end(again)


async def test_cancelled_in_the_moment_of_the_turn_nothing_is_spent_twice():
    outgoing = Outgoing([LONG])
    tasks = spent(outgoing, 5)
    await settle()
    # The one in front is woken and cancelled in the same breath.
    outgoing.opened()
    tasks[3].cancel()
    await settle()
    assert tasks[3].cancelled()
    assert tasks[4].done()
    rest = spent(outgoing, 3)
    await settle()
    assert done(rest) == ["0", "1"]
    await end(rest)


async def test_the_reserve_is_kept_only_where_pongs_count():
    for counts, most in ((True, 2), (False, 3)):
        outgoing = Outgoing([LONG], reserve=1, counts_control=counts)
        tasks = spent(outgoing, 4)
        await settle()
        assert len(done(tasks)) == most
        await end(tasks)


# Pongs and pings.


class Wire:
    """What was written."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.written = asyncio.Event()

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.written.set()


async def test_pongs_that_do_not_count_go_at_once():
    outgoing, wire = Outgoing([Window(1, 3600.0)]), Wire()
    await outgoing.turn()
    for number in range(5):
        outgoing.pong(b"%d" % number, wire.write)
    assert wire.frames == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_pong_goes_from_the_reserve_past_those_that_wait():
    outgoing, wire = Outgoing([LONG], reserve=1, counts_control=True), Wire()
    tasks = spent(outgoing, 4)
    await settle()
    outgoing.pong(b"pong", wire.write)
    assert wire.frames == [b"pong"]
    assert done(tasks) == ["0", "1"]
    await end(tasks)


async def test_of_the_pongs_that_wait_the_last_goes():
    outgoing, wire = Outgoing([Window(2, 0.05)], reserve=1, counts_control=True), Wire()
    for number in range(9):
        outgoing.pong(b"%d" % number, wire.write)
    assert wire.frames == [b"0"]
    wire.written.clear()
    await asyncio.wait_for(wire.written.wait(), 2)
    assert wire.frames == [b"0", b"8"]
    # Nothing is left that would be sent again.
    outgoing.pong(b"9", wire.write)
    wire.written.clear()
    if len(wire.frames) == 2:
        await asyncio.wait_for(wire.written.wait(), 2)
    assert wire.frames == [b"0", b"8", b"9"]


async def test_without_a_reserve_pongs_take_their_turn_as_messages_do():
    outgoing, wire = Outgoing([Window(2, 0.05)], reserve=0, counts_control=True), Wire()
    await asyncio.gather(*spent(outgoing, 2))
    outgoing.pong(b"pong", wire.write)
    assert wire.frames == []
    await asyncio.wait_for(wire.written.wait(), 2)
    assert wire.frames == [b"pong"]


async def test_however_many_pings_come_messages_get_on():
    outgoing, wire = Outgoing([Window(5, 0.02)], reserve=1, counts_control=True), Wire()

    async def pongs() -> None:
        while True:
            outgoing.pong(b"pong", wire.write)
            await asyncio.sleep(0)

    flooding = asyncio.create_task(pongs())
    begin = time.monotonic()
    await asyncio.gather(*spent(outgoing, 41))
    took = time.monotonic() - begin
    await end([flooding])
    # Four in each window, as without any pong, and a pong in each.
    assert took >= 10 * 0.022
    assert took < 10 * 0.022 * 1.8
    assert 5 <= len(wire.frames) <= took / 0.022 + 1


async def test_a_pong_of_an_earlier_connection_never_goes_out_on_it_later():
    outgoing, old, new = Outgoing([Window(2, 0.05)], reserve=1, counts_control=True), Wire(), Wire()
    for number in range(3):
        outgoing.pong(b"old %d" % number, old.write)
    outgoing.opened()
    for number in range(3):
        outgoing.pong(b"new %d" % number, new.write)
    new.written.clear()
    await asyncio.wait_for(new.written.wait(), 2)
    assert old.frames == [b"old 0"]
    assert new.frames == [b"new 0", b"new 2"]


async def test_pongs_that_went_before_the_turns_began_count():
    outgoing, wire = Outgoing([LONG], reserve=1, counts_control=True), Wire()
    outgoing.opened(3)
    outgoing.pong(b"pong", wire.write)
    assert wire.frames == []
    tasks = spent(outgoing, 1)
    await settle()
    assert done(tasks) == []
    await end(tasks)
    outgoing.lost()


async def test_a_ping_waits_for_room_and_counts_once_it_goes():
    outgoing = Outgoing([LONG], reserve=1, counts_control=True)
    assert outgoing.ping_delay() == 0
    assert outgoing.ping_delay() == 0
    assert 3599 < outgoing.ping_delay() < 3601
    tasks = [*spent(outgoing, 1), asyncio.create_task(outgoing.ping_turn())]
    await settle()
    assert not any(task.done() for task in tasks)
    outgoing.opened()
    await asyncio.gather(*tasks)
    assert outgoing.ping_delay() > 3599


# With an exchange that closes at the first violation.


@pytest.fixture
async def binance() -> AsyncIterator[VenueExchange]:
    async with VenueExchange("binance") as exchange:
        yield exchange


def names(count: int) -> list[str]:
    return [f"s{number}@trade" for number in range(count)]


def paced(exchange: VenueExchange, window: Window, per_message: int = 1, **options: Any) -> Multiplex[Any]:
    """With Binance's way of counting, in a window of our own, which the exchange enforces."""
    exchange.limits = dataclasses.replace(exchange.limits, messages=(window,))
    venue = dataclasses.replace(BINANCE, pace=(window,), channels_per_message=per_message, heartbeat=None)
    return Multiplex(exchange.uri, venue=venue, **{"backoff": AT_ONCE, **options})


async def flood(exchange: VenueExchange) -> None:
    """A ping in every turn of the loop."""
    while True:
        exchange.server_ping(b"flood")
        await asyncio.sleep(0)


async def test_a_flood_of_pings_while_subscribing_breaks_no_limit(binance: VenueExchange):
    async with paced(binance, SHORT) as mux:
        flooding = asyncio.create_task(flood(binance))
        many = await mux.subscribe_many(names(16), timeout=10)
        flooding.cancel()
        assert not many.failures
    assert binance.violations == []
    (connection,) = binance.connections
    # Pongs went all the time, and messages were not starved by them.
    assert connection.pongs >= 2
    assert len(connection.requests) == 16


async def test_a_flood_across_reconnects_breaks_no_limit(binance: VenueExchange):
    async with paced(binance, SHORT) as mux:
        restored = told(mux, "resubscribed")
        flooding = asyncio.create_task(flood(binance))
        await mux.subscribe_many(names(6), timeout=10)
        for _ in range(3):
            binance.drop_all()
            await asyncio.wait_for(restored.get(), 10)
        flooding.cancel()
    assert binance.violations == []
    assert all(connection.pongs for connection in binance.connections)


async def test_pings_of_the_user_s_own_and_a_heartbeat_s_break_no_limit(binance: VenueExchange):
    heartbeat = HeartbeatConfig(interval=0.02, timeout=5)
    async with paced(binance, SHORT, heartbeat=heartbeat) as mux:
        subscribing = asyncio.create_task(mux.subscribe_many(names(6), timeout=10))
        for trip in await asyncio.gather(*(mux.ping(10) for _ in range(6))):
            assert trip < 5
        assert not (await subscribing).failures
    assert binance.violations == []
    assert binance.connections[0].pings >= 6


async def test_a_ping_that_waits_for_its_turn_has_its_time_out(binance: VenueExchange):
    async with paced(binance, Window(2, 3600.0)) as mux:
        await mux.ping(5)
        with pytest.raises(jetsocket.TimeoutError, match=r"^ping timed out after 0\.05 s$"):
            await mux.ping(0.05)
    assert binance.connections[0].pings == 1
    assert binance.violations == []


@pytest.mark.parametrize("end", ["close", "lost"])
async def test_who_waits_for_a_turn_hears_of_the_end(binance: VenueExchange, end: str):
    async with paced(binance, Window(2, 3600.0), reconnect=False) as mux:
        await mux.send("{}")
        waiting = [asyncio.create_task(mux.send("{}")) for _ in range(3)]
        await settle()
        if end == "close":
            await mux.close()
        else:
            binance.drop_all()
        async with asyncio.timeout(5):
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, jetsocket.JetSocketError)
    assert len(binance.requests) == 1


async def test_reading_goes_on_while_requests_wait(binance: VenueExchange):
    async with paced(binance, Window(2, 3600.0)) as mux:
        first = await mux.subscribe("s0@trade", timeout=5)
        waiting = asyncio.create_task(mux.subscribe("s1@trade"))
        binance.publish("s0@trade", 100)
        for _ in range(100):
            await first.recv(5)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_close_frame_that_comes_with_pings_is_answered(scripted: Serve):
    """Their answers are made in one piece; only the pong may have to wait."""
    answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(frame(PING, "a") * 9 + frame(PING, "b") + close_frame(1012))
        while True:
            opcode, payload, _ = await peer.read_frame()
            answers.put_nowait((opcode, payload))
            if opcode == CLOSE:
                return

    server = await scripted(script)
    venue = dataclasses.replace(BINANCE, pace=(Window(2, 3600.0),))
    async with Multiplex(server.uri, venue=venue, reconnect=False) as mux:
        await mux.send("now")
        while (answer := await asyncio.wait_for(answers.get(), 5))[0] != CLOSE:
            assert answer == (PONG, b"b")
    assert answer == (CLOSE, (1012).to_bytes(2, "big"))


async def test_of_pings_that_come_together_the_last_is_answered(scripted: Serve):
    answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(frame(PING, "a") * 9 + frame(PING, "b"))
        answers.put_nowait((await peer.read_frame())[:2])
        await peer.answer_close()

    server = await scripted(script)
    venue = dataclasses.replace(BINANCE, pace=(Window(2, 3600.0),))
    async with Multiplex(server.uri, venue=venue, reconnect=False) as mux:
        await mux.send("now")
        assert await asyncio.wait_for(answers.get(), 5) == (PONG, b"b")


async def test_how_long_it_is_until_the_next_turn():
    outgoing = Outgoing([Window(1, 3600.0)])
    outgoing.opened()
    assert outgoing.turn_delay() == 0
    await outgoing.turn()
    assert outgoing.turn_delay() > 3000
    outgoing.lost()
    assert outgoing.turn_delay() == 0
