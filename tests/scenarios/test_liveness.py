"""Connections that are open and dead, and such as are alive and are taken for dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from jetsocket import HeartbeatConfig, Multiplex
from jetsocket.exchanges import BITFINEX, KRAKEN, OKX
from jetsocket.testing import VenueExchange

from ..peers import AT_ONCE
from .complaints import OTHERS, TRADES, binance, comes, complain_unless, complained
from .plain import PlainBitfinex, PlainClient, PlainConnection, okx_channel, okx_request

# The pings of both clients, faster than in life.
EAGER = HeartbeatConfig(interval=0.05, timeout=0.15)
PLAIN_EAGER = {"ping_interval": 0.05, "ping_timeout": 0.15}


@asynccontextmanager
async def beating(exchange: VenueExchange) -> AsyncIterator[None]:
    """The exchange's own heartbeats come all the while."""

    async def beat() -> None:
        while True:
            exchange.heartbeat()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


async def test_a_connection_that_is_open_and_dead_is_replaced() -> None:
    """After some minutes no data come any more. There is no error, the connection is open, heartbeats go on; I wrote a
    timer that restarts the socket when the last price is ten seconds old.

    Reported: sammchardy/python-binance, "BinanceSocketManager randomly stops running and doesn't give any error";
    goincrypto/cryptocom-exchange, "Websocket disconnection (or stopping receiving data)";
    nautechsystems/nautilus_trader, "order book delta stream silently becomes stale while the data client remains
    connected".
    """
    channel = "trade:BTC/USD"

    async def program(**options: Any) -> None:
        async with (
            VenueExchange("kraken") as exchange,
            Multiplex(exchange.uri, venue=KRAKEN, backoff=AT_ONCE, **options) as feed,
            beating(exchange),
        ):
            trades = await feed.subscribe(channel)
            exchange.publish(channel)
            await comes(trades.recv(), "nothing comes")
            exchange.silence()
            await comes(exchange.wait_accepted(2), "no data come, and nobody minds")
            exchange.unsilence()
            await exchange.wait_subscribed(channel)
            exchange.publish(channel)
            await comes(trades.recv(), "nothing comes any more")

    await program(data_timeout=0.1)
    with complained("nobody minds"):
        await program()


async def test_a_channel_that_died_alone_is_asked_for_anew() -> None:
    """After some time the data of some symbols stop, while those of others go on. Nothing is disconnected, so nothing
    reconnects.

    Reported: oliver-zehentleitner/unicorn-binance-websocket-api, "binance.com-futures: no data received after stream
    restart"; ccxt/binance-api-node, "streaming array of symbols loses streams"; Bittrex, "missing messages and
    non-sequential fill id's".
    """

    async def program(**terms: Any) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES, **terms)
            await feed.subscribe(OTHERS)
            exchange.silence(TRADES)
            exchange.stream(rate=100)
            left = exchange.until(lambda: "UNSUBSCRIBE" in exchange.requests[-1].text)
            await comes(left, "one channel is dead, and nobody minds")
            exchange.unsilence(TRADES)
            await comes(trades.recv(), "nothing comes any more")
            assert len(exchange.connections) == 1

    await program(stale_after=0.15)
    with complained("nobody minds"):
        await program()


async def test_a_peer_that_vanished_is_noticed() -> None:
    """The network goes away, without a close. The client does not notice it for a quarter of an hour.

    Reported: aio-libs/aiohttp, "Network adapter going down does not disconnect the websockets" and "Websocket stream
    does not close when connection is abruptly cut".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            exchange.mute()
            await comes(exchange.wait_accepted(2), "the peer has vanished, and nobody notices")
            exchange.unmute()
            await comes(exchange.wait_subscribed(TRADES), "it does not subscribe again")
            exchange.publish(TRADES)
            await comes(trades.recv(), "nothing comes any more")

    await program(partial(binance, heartbeat=EAGER))
    with complained("nobody notices"):
        await program(PlainClient)


async def test_a_slow_consumer_is_no_dead_peer() -> None:
    """When much comes I need some time for it, and then the connection is closed: 1011, keepalive ping timeout. The
    exchange had answered the ping: the answer stood behind the data that I had not read yet.

    Reported: massive-com/client-python, "connection closed (ERR): sent 1011"; aio-libs/aiohttp, "Fix websocket
    heartbeat timeout on slow receives"; python-websockets/websockets, "Give a more descriptive error code".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            exchange.publish(TRADES, 3_000)
            # It is busy with something.
            await asyncio.sleep(0.4)
            closing = exchange.connections[0].closing
            complain_unless(closing is None, f"the consumer is slow, and the connection is given up: {closing}")
            for number in range(1, 3_001):
                trade = await comes(trades.recv(), "nothing comes any more")
                assert trade["data"]["t"] == number

    await program(partial(binance, heartbeat=EAGER, overflow="block", queue_size=16))
    with complained("the connection is given up"):
        await program(partial(PlainConnection, **PLAIN_EAGER))


async def test_a_blocked_event_loop_is_no_dead_peer() -> None:
    """I compute something on each message, for some tenths of a second, and after a while the stream freezes: pings
    time out, though the exchange is there.

    Reported: sammchardy/python-binance, "Websocket freezing"; python-websockets/websockets, "No keepalive ping when the
    server executes code".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            exchange.stream(rate=500)
            await comes(trades.recv(), "nothing comes")
            for _ in range(4):
                time.sleep(0.2)  # noqa: ASYNC251  # as users do
                # Just long enough for a ping to be sent, and too short for its pong to be read.
                for _ in range(3):
                    await asyncio.sleep(0)
            await exchange.wait_sent(exchange.sent() + 100)
            complain_unless(len(exchange.connections) == 1, "the program computes, and the connection is given up")
            for _ in range(100):
                await comes(trades.recv(), "nothing comes any more")

    await program(partial(binance, heartbeat=EAGER, data_timeout=0.1))
    with complained("the connection is given up"):
        await program(partial(PlainClient, **PLAIN_EAGER))


async def test_what_blocks_the_event_loop_is_named() -> None:
    """Suddenly the queue grows, or the connection times out. It took days to see that it was a function of my own that
    did not return for a second.

    Reported: sammchardy/python-binance, "Async websocket queue suddenly increases and overflow";
    python-websockets/websockets, "async for message in self.websocket: blocks the event loop".
    """

    async def program(*events: str) -> None:
        async with VenueExchange("binance") as exchange, binance(exchange.uri) as feed:
            told: asyncio.Queue[Any] = asyncio.Queue()
            for event in events:
                feed.on(event, told.put_nowait)
            await feed.subscribe(TRADES)
            crunch_numbers()
            fact = await comes(told.get(), "the loop was blocked, and nobody says by what")
            assert "crunch_numbers" in str(fact)

    await program("blocked")
    # What every client tells.
    with complained("nobody says by what"):
        await program("error", "disconnected", "failed")


def crunch_numbers() -> None:
    """A function that takes its time."""
    time.sleep(0.85)


async def test_a_notice_of_maintenance_is_heeded() -> None:
    """OKX says that the connection will soon be closed for a service upgrade, please reconnect. My client logs that as
    an unknown event, goes on, and is cut a minute later, every day.

    Reported: sieblyio/okx-api, "Please add a event called notice to listen from okx exchange"; yubing744/trading-gpt,
    "OKX WebSocket: unhandled event types (channel-conn-count, notice 64008) logged as errors + frequent 1006
    reconnects".
    """
    channel = "trades:BTC-USDT"

    async def program(client: Any) -> None:
        async with VenueExchange("okx") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(channel)
            await exchange.wait_subscribed(channel)
            exchange.notice("reconnect")
            await comes(exchange.wait_accepted(2), "asked to reconnect, it waits until it is thrown out")
            await exchange.wait_subscribed(channel)
            exchange.publish(channel)
            await comes(trades.recv(), "nothing comes any more")

    await program(lambda uri: Multiplex(uri, venue=OKX, backoff=AT_ONCE))
    with complained("it waits until it is thrown out"):
        await program(partial(PlainClient, request=okx_request, channel_of=okx_channel))


async def test_after_a_maintenance_everything_is_subscribed_anew() -> None:
    """Bitfinex goes into maintenance and comes back, on the same connection. It advises to subscribe to all channels
    anew, and who does not gets nothing, or books that are wrong.

    Reported: Crypto-toolbox/btfxwss, on the codes 20051, 20060 and 20061; petr-fedorov/obadiah, "A mechanism for
    detection & handling of Bitfinex's websocket corruption".
    """
    channel = "book:tBTCUSD"

    async def program(client: Any) -> None:
        async with VenueExchange("bitfinex") as exchange, client(exchange.uri) as feed:
            book = await feed.subscribe(channel)
            await exchange.wait_subscribed(channel)
            exchange.notice("maintenance")
            exchange.silence()
            exchange.notice("resumed")
            # To subscribe, to unsubscribe, and to subscribe anew.
            await comes(exchange.wait_requests(3), "resumed, and nothing is subscribed anew")
            exchange.unsilence()
            await exchange.wait_subscribed(channel)
            exchange.publish(channel)
            await comes(book.recv(), "nothing comes any more")

    await program(lambda uri: Multiplex(uri, venue=BITFINEX, backoff=AT_ONCE))
    with complained("nothing is subscribed anew"):
        await program(PlainBitfinex)


async def test_it_does_not_give_up() -> None:
    """The exchange was down for some minutes. After eleven attempts the client stopped to try, but the process went on,
    and I noticed the next morning.

    Reported: bmoscon/cryptofeed, "process is no longer working after reconnect 11 retries"; sammchardy/python-binance,
    "Max reconnect retries reached", in "The Websocket cannot connect".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            await exchange.wait_subscribed(TRADES)
            exchange.refuse_handshakes(times=15)
            exchange.drop_all()
            await comes(exchange.wait_accepted(2), "it has given up")
            await comes(exchange.wait_subscribed(TRADES), "it does not subscribe again")
            exchange.publish(TRADES)
            await comes(trades.recv(), "nothing comes any more")

    await program(binance)
    with complained("it has given up"):
        await program(partial(PlainClient, most_attempts=11))
