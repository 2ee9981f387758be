"""Whatever waits can be cancelled at any await, and what it was called on goes on working."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionState, Multiplex, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, multiplex, told

BTC = "btcusdt@trade"
BIG = "x" * 4_000_000
Call = Callable[[], Coroutine[Any, Any, Any]]

RECEIVING: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "recv": lambda source: source.recv(),
    "recv with a timeout": lambda source: source.recv(30),
    "recv_batch": lambda source: source.recv_batch(),
    "iteration": lambda source: anext(aiter(source)),
    "batches": lambda source: anext(source.batches()),
    "messages": lambda source: anext(source.messages()),
}
receiving = pytest.mark.parametrize("way", RECEIVING)


async def cancelled_after(turns: int, call: Awaitable[Any]) -> bool:
    """Lets `call` run for so many turns of the event loop, then cancels it. False: it had finished by then."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.done():
        await task
        return False
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def turns_until_done(attempt: Callable[[int], Awaitable[bool]]) -> int:
    """Calls `attempt(turns)`, which cancels after so many, with 0, 1, 2 and so on until it has nothing to cancel."""
    turns, finished = 0, 0
    while finished < 3:
        finished = 0 if await attempt(turns) else finished + 1
        # The name is resolved in a thread, which takes as many turns as it takes.
        turns += 1 if turns < 60 else turns // 8
    return turns


# Connecting.


async def test_connect_cancelled_at_every_await(exchange: Exchange) -> None:
    async def attempt(turns: int) -> bool:
        ws = WebSocket(exchange.uri)
        cancelled = await cancelled_after(turns, ws.connect())
        if cancelled:
            # A task that is cancelled before its first turn never begins.
            assert ws.state is (ConnectionState.DISCONNECTED if turns else ConnectionState.IDLE)
            await ws.connect()
        await ws.ping()
        exchange.send_text(str(turns))
        assert await ws.recv() == turns
        await ws.close()
        await exchange.wait_disconnected()
        return cancelled

    assert await turns_until_done(attempt) > 5


async def test_connect_and_close_at_the_same_time(exchange: Exchange) -> None:
    """`close()` ends a `connect()` that is under way, at whatever point it is."""

    async def attempt(turns: int) -> bool:
        mux = multiplex(exchange.uri)
        connecting = asyncio.create_task(mux.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = connecting.done()
        await mux.close()
        assert mux.state is ConnectionState.CLOSED
        (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
        assert outcome is None if finished else isinstance(outcome, jetsocket.InvalidStateError | None)
        return not finished

    assert await turns_until_done(attempt) > 5


async def test_the_body_of_async_with_cancelled(exchange: Exchange) -> None:
    entered = asyncio.Event()

    async def body() -> None:
        async with multiplex(exchange.uri) as mux:
            subscription = await mux.subscribe(BTC)
            entered.set()
            async for _ in subscription:
                pass

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await exchange.wait_disconnected()


# Receiving.


@pytest.fixture(params=["subscription", "slow subscription", "websocket"])
async def source(request: pytest.FixtureRequest, exchange: Exchange) -> AsyncIterator[tuple[Any, Callable[[int], Any]]]:
    """Something to receive from, and the function that makes a message arrive there, whose `data` is a number."""
    if request.param == "websocket":
        async with jetsocket.connect(exchange.uri) as ws:
            yield ws, lambda number: exchange.send_text(f'{{"data":{number}}}')
        return
    slow = {"channel_extractor": lambda message: message.get("stream")}
    async with multiplex(exchange.uri, **(slow if request.param == "slow subscription" else {})) as mux:
        subscription = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        yield subscription, lambda number: exchange.publish(BTC, number)


def number_in(got: Any) -> int:
    """The number in what any of the ways gave."""
    one = got[0] if isinstance(got, list) else got
    message = one if isinstance(one, dict) else one.decode()
    assert isinstance(message["data"], int)
    return message["data"]


@receiving
async def test_receiving_cancelled_while_nothing_comes(source: Any, way: str) -> None:
    messages, publish = source
    for turns in range(6):
        assert await cancelled_after(turns, RECEIVING[way](messages))
    publish(1)
    assert number_in(await RECEIVING[way](messages)) == 1


@receiving
async def test_receiving_cancelled_while_a_message_comes(source: Any, way: str) -> None:
    """Either the message was given, or it is still there."""
    messages, publish = source
    for turns in range(25):
        task = asyncio.ensure_future(RECEIVING[way](messages))
        await asyncio.sleep(0)
        publish(turns)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        outcomes = await asyncio.gather(task, return_exceptions=True)
        cancelled = isinstance(outcomes[0], asyncio.CancelledError)
        assert number_in(await RECEIVING[way](messages) if cancelled else outcomes[0]) == turns


@receiving
async def test_one_waiter_cancelled_leaves_the_message_to_the_other(source: Any, way: str) -> None:
    messages, publish = source
    for turns in range(10):
        first, second = (asyncio.ensure_future(RECEIVING[way](messages)) for _ in range(2))
        await asyncio.sleep(0)
        publish(turns)
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
        got = await asyncio.gather(first, return_exceptions=True)
        if isinstance(got[0], asyncio.CancelledError):
            assert number_in(await second) == turns
        else:
            assert number_in(got[0]) == turns
            publish(-1)
            assert number_in(await second) == -1


@receiving
async def test_a_timeout_around_receiving(source: Any, way: str) -> None:
    messages, publish = source
    for seconds in (0, 0.02):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await RECEIVING[way](messages)
        assert time.monotonic() - began < 2
    publish(1)
    async with asyncio.timeout(10):
        assert number_in(await RECEIVING[way](messages)) == 1


# Sending: to a server that reads nothing, so that it has to wait.


async def test_a_send_that_waits_cancelled(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, compress=False) as ws:
        exchange.stall()
        sent = 0
        while not await cancelled_after(5, ws.send(BIG)):
            sent += 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await ws.send_raw(b"last")
        exchange.resume()
        await ws.send("more")
        # What was on its way goes out whole; what waited for room before it could be written was never sent.
        await exchange.wait_requests(sent + 2)
        assert [len(request.text) for request in exchange.requests[:-1]] == [len(BIG)] * (sent + 1)
        assert exchange.requests[-1].text == "more"
        await ws.ping()


async def test_subscribing_and_unsubscribing_that_wait_cancelled(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, compress=False) as mux:
        eth = await mux.subscribe("eth")
        exchange.stall()
        while not await cancelled_after(5, mux.send(BIG)):
            pass
        for turns in range(4):
            assert await cancelled_after(turns, mux.subscribe(BTC))
            assert mux.list_subscriptions() == ["eth"]
        with pytest.raises(jetsocket.TimeoutError):
            await mux.subscribe(BTC, timeout=0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await mux.subscribe(BTC)
        assert mux.list_subscriptions() == ["eth"]
        assert await cancelled_after(3, eth.close())
        assert not eth.is_active
        exchange.resume()
        btc = await mux.subscribe(BTC)
        await mux.ping()
        assert exchange.account().subscribed == {1: [BTC]}
        exchange.publish(BTC, 1)
        assert number_in(await btc.recv()) == 1


async def test_subscribing_cancelled_while_there_is_no_connection(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        disconnected, reconnected = told(mux, "disconnected"), told(mux, "reconnected")
        exchange.refuse_handshakes()
        exchange.drop_all()
        await disconnected.get()
        for turns in range(20):
            assert await cancelled_after(turns, mux.subscribe(BTC))
            assert mux.list_subscriptions() == []
        # Of two who ask for the same channel one may give up.
        one, two = (asyncio.create_task(mux.subscribe(BTC)) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        exchange.accept_handshakes()
        await reconnected.get()
        assert (await two).channel == BTC
        assert one.cancelled()
        await mux.ping()
        assert exchange.account().subscribes == 1


async def test_subscribe_cancelled_at_every_await(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:

        async def attempt(turns: int) -> bool:
            cancelled = await cancelled_after(turns, mux.subscribe(BTC))
            assert mux.list_subscriptions() == ([] if cancelled else [BTC])
            subscription = await mux.subscribe(BTC)
            await mux.ping()
            exchange.publish(BTC, turns)
            assert number_in(await subscription.recv()) == turns
            await subscription.close()
            return cancelled

        await turns_until_done(attempt)


async def test_a_ping_cancelled(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        await turns_until_done(lambda turns: cancelled_after(turns, mux.ping()))
        exchange.stall()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await mux.ping()
        exchange.resume()
        assert await mux.ping() > 0


# Closing.


async def test_close_cancelled_at_every_await(exchange: Exchange) -> None:
    async def attempt(turns: int) -> bool:
        mux = multiplex(exchange.uri)
        await mux.connect()
        subscription = await mux.subscribe(BTC)
        following = asyncio.create_task(anext(aiter(subscription), "over"))
        cancelled = await cancelled_after(turns, mux.close())
        await mux.close()
        assert mux.state is ConnectionState.CLOSED
        assert await following == "over"
        await exchange.wait_disconnected()
        return cancelled

    await turns_until_done(attempt)


@pytest.mark.parametrize("operation", ["connect", "close"])
async def test_a_timeout_around_what_a_mute_server_holds_up(scripted: Serve, operation: str) -> None:
    async def mute(peer: Conversation) -> None:
        if operation == "connect":
            await peer.read_request()
        else:
            await peer.accept()
        await peer.ended()

    server = await scripted(mute)
    client: WebSocket[Any] | Multiplex[Any]
    for client in (WebSocket(server.uri, close_timeout=0.3), multiplex(server.uri, close_timeout=0.3)):
        if operation == "close":
            await client.connect()
        began = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await getattr(client, operation)()
        assert not isinstance(caught.value, jetsocket.JetSocketError)
        await client.close()
        assert client.state is ConnectionState.CLOSED
        assert time.monotonic() - began < 2


async def test_closing_while_everything_waits(exchange: Exchange) -> None:
    """Every kind of waiting ends with `close()`, in whatever state the connection is."""
    mux = multiplex(exchange.uri)
    await mux.connect()
    btc = await mux.subscribe(BTC)
    disconnected = told(mux, "disconnected")
    exchange.refuse_handshakes()
    exchange.drop_all()
    await disconnected.get()
    calls: list[Awaitable[Any]] = [call(btc) for call in RECEIVING.values()]
    waiting = [asyncio.ensure_future(call) for call in (*calls, mux.subscribe("eth"))]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await mux.close()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, jetsocket.InvalidStateError | StopAsyncIteration) for outcome in outcomes)
