"""Those who take the messages: slow ones, several of them, and such as fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from jetsocket import BufferOverflowError
from jetsocket.testing import VenueExchange

from .complaints import OTHERS, TRADES, all_read, binance, comes, complain_unless, complained, numbers
from .plain import PlainClient

NAMES = [f"coin{number}@trade" for number in range(100)]

See = Callable[[str, Any], None]


# Many channels.


async def by_one_task(feed: Any, names: list[str], see: See) -> list[asyncio.Task[None]]:
    """A group is consumed."""
    group = await feed.subscribe_group(names)

    async def consume() -> None:
        async for channel, message in group:
            see(channel, message)

    return [asyncio.create_task(consume())]


async def by_a_task_each(feed: Any, names: list[str], see: See) -> list[asyncio.Task[None]]:
    """Each subscription is consumed by itself."""
    many = await feed.subscribe_many(names)

    async def consume(name: str) -> None:
        async for message in many.subscriptions[name]:
            see(name, message)

    return [asyncio.create_task(consume(name)) for name in names]


async def test_many_channels_need_but_one_task() -> None:
    """I make two tasks for each of 2,600 symbols and gather them. After a day I see the data of 22 of them.

    Reported: ccxt/ccxt, "problem when connect for multi symbols on watchTrades and watchOrders" and "Watching multiple
    symbols in parallel with WebSockets".
    """

    async def program(consumed: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            seen: asyncio.Queue[str] = asyncio.Queue()
            tasks = await consumed(feed, NAMES, lambda channel, _: seen.put_nowait(channel))
            for name in NAMES:
                exchange.publish(name)
            got = [await comes(seen.get(), "nothing comes") for _ in NAMES]
            assert sorted(got) == sorted(NAMES)
            await _end(tasks)
            complain_unless(len(tasks) == 1, f"{len(tasks)} tasks for {len(NAMES)} channels")

    await program(by_one_task)
    with complained("100 tasks for 100 channels"):
        await program(by_a_task_each)


async def test_the_order_over_channels_is_kept() -> None:
    """I want to know which market moved first. Each symbol has its own queue, so what I see of two of them comes in
    some order, and not in that of the exchange.

    Reported: ccxt/ccxt, "feat(ws): add watchTradesForSymbols, watchOrderBookForSymbols".
    """

    async def program(consumed: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            seen: asyncio.Queue[str] = asyncio.Queue()
            tasks = await consumed(feed, NAMES, lambda channel, _: seen.put_nowait(channel))
            for name in 2 * NAMES:
                exchange.publish(name)
            got = [await comes(seen.get(), "nothing comes") for _ in 2 * NAMES]
            await _end(tasks)
            complain_unless(got == 2 * NAMES, "the order of arrival is lost")

    await program(by_one_task)
    with complained("the order of arrival is lost"):
        await program(by_a_task_each)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Several consumers.


async def test_two_consumers_do_not_steal_each_others_messages() -> None:
    """A strategy and a recorder read the same stream. Each gets a part of the messages; or it raises: cannot call recv
    while another coroutine is already waiting.

    Reported: python-websockets/websockets, "How to call recv() from two coroutines concurrently" and "cannot call recv
    while another coroutine is already waiting".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            strategy = await feed.subscribe(TRADES, **terms)
            recorder = await feed.subscribe(TRADES, **terms)
            exchange.publish(TRADES, 4)
            for consumer in (strategy, recorder):
                got = numbers([await comes(consumer.recv(), "another consumer has it all") for _ in range(4)])
                complain_unless(got == [1, 2, 3, 4], f"another consumer has the rest: {got}")
            assert exchange.subscribed() == [TRADES]

    await program(shared=False)
    with complained("another consumer has"):
        await program()


async def test_one_slow_consumer_does_not_hold_up_the_others() -> None:
    """One of my handlers writes to a database. While it does, prices of all other symbols come late too.

    Reported: aio-libs/aiohttp, "websocket message delay when a large number of messages are received within some
    milliseconds".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            await feed.subscribe(TRADES)
            prompt = await feed.subscribe(OTHERS)
            await exchange.wait_subscribed(TRADES, OTHERS)
            exchange.publish(TRADES, 200)
            exchange.publish(OTHERS)
            await comes(prompt.recv(), "one consumer is slow, and the others get nothing")

    await program(partial(binance, queue_size=100))
    with complained("the others get nothing"):
        await program(partial(PlainClient, queue_size=100))


# Slow consumers.


async def test_a_recorder_loses_nothing() -> None:
    """I write everything to disk, and I would rather read late than lose a trade. But the queue drops what does not
    fit.

    Reported: sammchardy/python-binance, "Queue overflow error, change MAX_QUEUE_SIZE value"; askmike/gekko, "Gekko
    missing trades".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri, queue_size=50) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            written: list[int] = []
            exchange.publish(TRADES, 3_000)
            while not written or written[-1] != 3_000:
                written += numbers([await comes(trades.recv(), "nothing comes")])
                # The disk.
                await asyncio.sleep(0)
            lost = 3_000 - len(written)
            complain_unless(not lost, f"{lost} trades are not in the record")

    await program(overflow="block")
    with complained("trades are not in the record"):
        await program()


async def test_a_screen_shows_the_newest_price() -> None:
    """The longer it runs, the older is the price that I show: at first it is right, after twelve hours it is minutes
    late, as every message in the queue is shown before the one that counts.

    Reported: BitMEX/api-connectors, "Python websocket doesn't get the right live data" and "websocket data time lag";
    websocket-client/websocket-client, on messages with ten seconds' delay.
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            exchange.publish(TRADES, 500)
            await all_read(feed, 500)
            (shown,) = numbers([await comes(trades.recv(), "nothing comes")])
            complain_unless(shown == 500, f"the newest trade is number 500, and number {shown} is shown")

    await program(overflow="latest")
    with complained("number 1 is shown"):
        await program()


async def test_memory_does_not_grow_while_nobody_reads() -> None:
    """After a network problem the memory of the process grew until it was killed.

    Reported: freqtrade/freqtrade, "Network problem leads to excessive memory usage and process is killed";
    foss42/apidash, "WebSocket `messageHistory` is unbounded".
    """

    async def program(**options: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri, **options) as feed:
            trades = await feed.subscribe(TRADES)
            exchange.publish(TRADES, 5_000)
            await all_read(feed, 5_000)
            queued = trades.stats().queue_size
            complain_unless(queued <= 1_000, f"{queued} messages wait for a consumer that sleeps")

    await program()
    with complained("5000 messages wait"):
        await program(queue_size=0)


async def test_who_wants_an_exception_gets_one() -> None:
    """If I cannot keep up I want to hear of it, as an exception, there and then; not go on with a part of the data.

    Reported: sammchardy/python-binance, "ThreadedWebsocketManager ignores max_queue_size for futures_user_socket".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri, queue_size=10) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            exchange.publish(TRADES, 500)
            await all_read(feed, 500)
            try:
                for _ in range(10):
                    await comes(trades.recv(), "nothing comes")
                await comes(trades.recv(), "490 trades were dropped without an exception")
            except BufferOverflowError as error:
                complain_unless("490 messages dropped" in str(error), "nobody says how many were dropped")
            exchange.publish(TRADES)
            assert numbers([await trades.recv(timeout=5)]) == [501]

    await program(overflow="error")
    with complained("without an exception"):
        await program()


# Consumers that fail.


async def test_a_handler_that_raises_does_not_end_the_stream() -> None:
    """My callback had a bug and raised, once. From then on no message came any more, while the client said that it was
    connected.

    Reported: ringcentral/ringcentral-python, "WebSocket message-handler exceptions terminate reception while the client
    remains marked ready"; websockets/ws, "Exceptions inside the message handler will break everything silently".
    """

    async def program(client: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            handled: asyncio.Queue[int] = asyncio.Queue()

            def handle(trade: Any) -> None:
                if trade["data"]["t"] == 1:
                    raise ZeroDivisionError
                handled.put_nowait(trade["data"]["t"])

            trades = await feed.subscribe(TRADES)
            trades.listen(handle)
            await exchange.wait_subscribed(TRADES)
            exchange.publish(TRADES, 2)
            number = await comes(handled.get(), "a handler raised once, and hears nothing any more")
            assert number == 2

    await program(binance)
    with complained("hears nothing any more"):
        await program(PlainClient)


async def test_a_message_that_cannot_be_decoded_does_not_end_the_stream() -> None:
    """Once or twice a day a message is broken. The JSON parser raises, and the thread that reads is gone.

    Reported: danpaquin/coinbasepro-python, "'Cannot Decode' - Error message"; bybit-exchange/pybit, "Websocket: 'cannot
    decode'. Error validating utf8"; XRPLF/xrpl-py, "No JSON Parse Error Handling in WebSocket Handler".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            await exchange.wait_subscribed(TRADES)
            exchange.send_text('{"stream":"btcusdt@trade","data":{"e":"tra')
            exchange.publish(TRADES)
            got: list[int] = []
            while not got:
                try:
                    got = numbers([await comes(trades.recv(), "a message was broken, and no other comes")])
                except ValueError:
                    # Told, and over.
                    continue
            assert got == [1]

    await program(binance)
    with complained("no other comes"):
        await program(PlainClient)
