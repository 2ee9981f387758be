"""What happens when a queue is full: each policy over a connection, counted, bounded, without harm to the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetsocket import BufferOverflowError, Gap, HeartbeatConfig, Multiplex, Subscription
from jetsocket.testing import Exchange

from .accounts import balanced
from .dialects import desk, names, number, reach
from .peers import multiplex, told

ONE, OTHER = names("binance", 2)
EXTRACTED = {"channel_extractor": lambda message: message.get("stream")}
WAYS: list[Any] = [pytest.param({}, id="channel_key"), pytest.param(EXTRACTED, id="channel_extractor")]


async def flood(exchange: Exchange, mux: Multiplex[Any], count: int, channel: str = "a") -> None:
    """So many messages, all of which have been read."""
    for step in range(count):
        exchange.publish(channel, {"n": step, "k": "xyz"[step % 3]})
    await mux.ping()


def queued(subscription: Subscription[Any]) -> list[int]:
    """The numbers of what can be taken without waiting."""
    return [message["data"]["n"] for message in taken(subscription)]


def taken(subscription: Subscription[Any]) -> list[Any]:
    found: list[Any] = []
    with subscription.listen(found.append):
        pass
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("overflow", "kept"),
    [("drop_oldest", [7, 8, 9]), ("drop_newest", [0, 1, 2]), ("latest", [9]), ("error", [0, 1, 2])],
)
async def test_what_is_kept_of_ten_messages_in_a_queue_of_three(
    exchange: Exchange, overflow: Any, kept: list[int], way: dict[str, Any]
) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        subscription = await mux.subscribe("a", queue_size=3, overflow=overflow)
        await exchange.wait_subscribed("a")
        await flood(exchange, mux, 10)
        stats = balanced(mux, subscription)
        assert (stats.total_messages_queued, stats.total_messages_dropped) == (len(kept), 10 - len(kept))
        found = [(await subscription.recv())["data"]["n"] for _ in kept]
        assert found == kept
        assert balanced(mux, subscription).total_messages_delivered == len(kept)


@pytest.mark.parametrize("way", WAYS)
async def test_the_newest_of_each_key(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        subscription = await mux.subscribe("a", overflow="latest", conflate_key="data.k")
        await exchange.wait_subscribed("a")
        await flood(exchange, mux, 11)
        assert queued(subscription) == [9, 10, 8]
        stats = balanced(mux, subscription)
        assert (stats.total_messages_delivered, stats.total_messages_dropped) == (3, 8)


async def test_the_policy_of_the_multiplex_is_that_of_whoever_has_none(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, overflow="drop_newest", queue_size=2) as mux:
        newest, oldest = await mux.subscribe("a"), await mux.subscribe("a", shared=False, overflow="drop_oldest")
        await exchange.wait_subscribed("a")
        await flood(exchange, mux, 5)
        assert (queued(newest), queued(oldest)) == ([0, 1], [3, 4])


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest", "error"])
async def test_a_queue_is_bounded_in_bytes(exchange: Exchange, overflow: Any) -> None:
    async with multiplex(exchange.uri) as mux:
        subscription = await mux.subscribe("a", queue_size=0, max_bytes=1000, overflow=overflow)
        await exchange.wait_subscribed("a")
        for size in (100, 100, 100, 700, 2000, 100, 100, 800):
            exchange.publish("a", "x" * size)
            await mux.ping()
            assert subscription.ring.nbytes <= 1000
        stats = balanced(mux, subscription)
        assert stats.total_messages_dropped > 1


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_comes_in_its_place_and_the_rest_behind_it(exchange: Exchange, way: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **way) as mux:
        subscription = await mux.subscribe("a", queue_size=2, overflow="error")
        await exchange.wait_subscribed("a")
        await flood(exchange, mux, 5)
        found: list[Any] = [await subscription.recv()]
        await flood(exchange, mux, 1)
        found.append(await subscription.recv())
        with pytest.raises(BufferOverflowError, match=r"the queue of 'a' was full: 3 messages dropped; read faster"):
            await subscription.recv()
        found.append(await subscription.recv())
        assert [message["data"]["n"] for message in found] == [0, 1, 0]
        await flood(exchange, mux, 3)
        found = []
        with pytest.raises(BufferOverflowError, match=r"1 message dropped"):
            async for message in subscription:
                found.append(message["data"]["n"])
        assert found == [0, 1]
        balanced(mux, subscription)


async def test_an_error_ends_a_batch_and_goes_to_a_listeners_handler(exchange: Exchange) -> None:
    told_to: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told_to.append(context))
    async with multiplex(exchange.uri) as mux:
        subscription = await mux.subscribe("a", queue_size=2, overflow="error")
        await exchange.wait_subscribed("a")
        await flood(exchange, mux, 3)
        assert len(await subscription.recv_batch()) == 2
        with pytest.raises(BufferOverflowError):
            await subscription.recv_batch()
        await flood(exchange, mux, 3)
        assert [message["data"]["n"] for message in taken(subscription)] == [0, 1]
        assert isinstance(told_to[0]["exception"], BufferOverflowError)


# Where reading stops.


async def test_a_queue_that_blocks_loses_nothing_and_stops_the_reading(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        recorder = await mux.subscribe("a", queue_size=10, overflow="block")
        other = await mux.subscribe("b")
        await exchange.wait_subscribed("a", "b")
        for step in range(5000):
            exchange.publish("a", {"n": step})
        exchange.publish("b", 1)
        await reach(lambda: mux.is_held_up)
        stats = balanced(mux, recorder, other)
        assert stats.total_messages_queued == 10
        # Those of the connection wait, too.
        with pytest.raises(TimeoutError):
            await other.recv(timeout=0.02)
        found = [(await recorder.recv(timeout=5))["data"]["n"] for _ in range(5000)]
        assert found == list(range(5000))
        assert (await other.recv(timeout=5))["data"] == 1
        assert balanced(mux, recorder, other).total_messages_dropped == 0


@pytest.mark.parametrize("bound", [{"queue_size": 10}, {"queue_size": 0, "max_bytes": 500}], ids=["messages", "bytes"])
@pytest.mark.parametrize("end", ["close", "unsubscribe"])
async def test_the_end_of_the_one_that_blocks_frees_the_others(
    exchange: Exchange, end: str, bound: dict[str, int]
) -> None:
    async with multiplex(exchange.uri) as mux:
        recorder, other = await mux.subscribe("a", overflow="block", **bound), await mux.subscribe("b")
        await exchange.wait_subscribed("a", "b")
        for step in range(100):
            exchange.publish("a", {"n": step})
        exchange.publish("b", 1)
        await reach(lambda: mux.is_held_up)
        kept = len(recorder.ring)
        await (recorder.close() if end == "close" else mux.unsubscribe("a"))
        assert (await other.recv(timeout=5))["data"] == 1
        assert [message["data"]["n"] async for message in recorder] == list(range(kept))
        stats = balanced(mux, recorder, other)
        assert (stats.total_messages_routed, stats.total_messages_dropped) == (kept + 1, 0)


async def test_a_channel_that_leaves_a_group_that_blocks_frees_the_others() -> None:
    async with desk("binance") as (exchange, mux):
        group = await mux.subscribe_group([ONE, OTHER], queue_size=2, overflow="block")
        other = await mux.subscribe("c5usdt@trade")
        exchange.publish(ONE, 5)
        exchange.publish("c5usdt@trade")
        await reach(lambda: mux.is_held_up)
        await mux.unsubscribe(ONE)
        assert number("binance", await other.recv(timeout=5)) == 1
        assert len(group.ring) == 2
        balanced(mux, group, other)


@pytest.mark.parametrize("by", ["close", "block of the multiplex", "end of the server"])
async def test_closing_does_not_wait_for_who_blocks(exchange: Exchange, by: str) -> None:
    async with multiplex(exchange.uri, close_timeout=20) as mux:
        recorder = await mux.subscribe("a", queue_size=2, overflow="block")
        await exchange.wait_subscribed("a")
        for step in range(50):
            exchange.publish("a", {"n": step})
        await reach(lambda: mux.is_held_up)
        if by == "end of the server":
            exchange.close_all()
        async with asyncio.timeout(5):
            await mux.close()
        assert [message["data"]["n"] async for message in recorder][:2] == [0, 1]
        balanced(mux, recorder)


async def test_nothing_is_lost_when_the_connection_is_while_it_blocks(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        recorder = await mux.subscribe("a", queue_size=2, overflow="block", events=True)
        await exchange.wait_subscribed("a")
        reconnected = told(mux, "reconnected")
        for step in range(20):
            exchange.publish("a", {"n": step})
        await reach(lambda: mux.is_held_up)
        exchange.drop_all(reset=False)
        # What was read before the loss comes first, then the gap, then what came behind it.
        found = [await recorder.recv(timeout=5) for _ in range(21)]
        assert [message["data"]["n"] for message in found[:-1]] == list(range(20))
        assert isinstance(found[-1], Gap)
        await asyncio.wait_for(reconnected.get(), 5)
        await exchange.wait_subscribed("a")
        exchange.publish("a", {"n": 99})
        assert (await recorder.recv(timeout=5))["data"]["n"] == 99
        balanced(mux, recorder)


async def test_a_slow_consumer_is_not_taken_for_a_dead_peer_nor_for_a_silent_one(exchange: Exchange) -> None:
    """Neither by pings, nor for want of data, nor of those of a channel: it is ourselves who do not read."""
    impatient: Any = {"heartbeat": HeartbeatConfig(interval=0.05, timeout=0.05), "data_timeout": 0.1}
    async with (
        multiplex(exchange.uri, **impatient) as mux,
        Exchange(paused=True) as elsewhere,
        multiplex(elsewhere.uri, **impatient) as waiting,
    ):
        recorder = await mux.subscribe("a", queue_size=2, overflow="block", stale_after=0.1)
        other = await mux.subscribe("b", stale_after=0.1)
        await exchange.wait_subscribed("a", "b")
        for step in range(50):
            exchange.publish("a", {"n": step})
        exchange.publish("b", 1)
        await reach(lambda: mux.is_held_up)
        # Several times as long as each of them has patience: another one has lost it meanwhile, again and again.
        lost = told(waiting, "silent")
        await waiting.subscribe("a")
        for _ in range(4):
            await asyncio.wait_for(lost.get(), 5)
        assert mux.stats().events.keys() <= {"connected"}
        assert len([await recorder.recv(timeout=5) for _ in range(50)]) == 50
        assert (await other.recv(timeout=5))["data"] == 1
        assert exchange.account().accepted == 1


async def test_what_only_raw_bytes_allow_is_refused_where_messages_are_decoded_first(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, **EXTRACTED) as mux:
        with pytest.raises(ValueError, match="overflow='block' needs channel_key"):
            await mux.subscribe("a", overflow="block")
        with pytest.raises(ValueError, match="sequence needs channel_key"):
            await mux.subscribe("a", sequence="data.n", events=True)
        with pytest.raises(ValueError, match="overflow='block' needs channel_key"):
            await mux.subscribe_group(["a"], overflow="block")
        assert mux.list_subscriptions() == []


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest", "error", "block"])
async def test_the_law_holds_at_every_moment_whatever_is_done_with_what_is_too_much(overflow: Any) -> None:
    async with (
        Exchange(rate=0, limit=4000) as exchange,
        multiplex(exchange.uri, queue_size=7, overflow=overflow) as mux,
    ):
        channels = [f"c{step}usdt@trade" for step in range(4)]
        consumers = [await mux.subscribe(channel) for channel in channels]
        own = await mux.subscribe(channels[0], shared=False)
        reading = [*consumers, own]
        if overflow != "latest":
            reading.append(await mux.subscribe_group(channels[1:3]))
        while mux.stats().total_messages_routed < 4000 or any(len(each.ring) for each in reading):
            for each in reading:
                balanced(mux, *reading)
                try:
                    await each.recv_batch(3, timeout=0)
                except (TimeoutError, BufferOverflowError):
                    pass
            await asyncio.sleep(0)
        stats = balanced(mux, *reading)
        assert stats.total_messages_routed == 4000
        assert stats.total_messages_copied >= 1000
        assert (stats.total_messages_dropped > 0) == (overflow != "block")


@pytest.mark.parametrize("many", [False, True], ids=["one", "group"])
async def test_data_before_the_answer_do_not_keep_a_blocking_consumer_from_its_answer(many: bool) -> None:
    """Reading would stop before the confirmation that the subscription waits for."""
    async with desk("binance") as (exchange, mux):
        exchange.delay_acks()
        terms: Any = {"overflow": "block", "queue_size": 2, "timeout": 10}
        asking = asyncio.create_task(mux.subscribe_group([ONE], **terms) if many else mux.subscribe(ONE, **terms))
        await exchange.wait_subscribed(ONE)
        assert exchange.publish(ONE, 10) == 10
        exchange.release_acks()
        subscription = await asking
        items = [await subscription.recv(2) for _ in range(10)]
        numbers = [number("binance", item[1] if many else item) for item in items]
        assert numbers == list(range(1, 11))
        assert subscription.ring.capacity == 2
        exchange.publish(ONE, 10)
        assert [await subscription.recv(2) for _ in range(10)]
        assert mux.stats().total_messages_dropped == 0


async def test_a_break_of_the_connection_s_numbers_is_nothing_to_who_asked_for_overflows(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, sequence="data.t") as mux:
        subscription = await mux.subscribe("a", overflow="error")
        await exchange.wait_subscribed("a")
        for t in (1, 5):
            exchange.publish("a", {"t": t})
        assert [(await subscription.recv(2))["data"]["t"] for _ in range(2)] == [1, 5]
        with pytest.raises(TimeoutError):
            await subscription.recv(0)
