"""Events: who is told what, and that a handler disturbs nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import jetsocket
from jetsocket import WebSocket
from jetsocket.events import Events
from jetsocket.occurrences import MULTIPLEX_EVENTS
from jetsocket.testing import Exchange

from .peers import AT_ONCE, multiplex, told
from .saying import end_of

NAMES = ("connected", "disconnected", "reconnecting", "reconnected", "replaced", "failed", "closed", "error")


def recorded(source: Any) -> list[tuple[Any, ...]]:
    """All that happens to `source`, as it happens."""
    happened: list[tuple[Any, ...]] = []
    for name in NAMES:
        source.on(name, lambda *facts, name=name: happened.append((name, *facts)))
    return happened


def test_handlers_are_called_in_their_order():
    events = Events(("a", "b"))
    called: list[object] = []
    events.on("a", lambda fact: called.append(("first", fact)))
    events.on("a", lambda fact: called.append(("second", fact)))
    events.on("b", lambda: called.append("b"))
    events.emit("a", 1)
    events.emit("b")
    assert called == [("first", 1), ("second", 1), "b"]


def test_a_handler_added_by_a_handler_hears_the_next():
    events = Events(("a",))
    called: list[str] = []

    def first() -> None:
        called.append("first")
        events.on("a", lambda: called.append("late"))

    events.on("a", first)
    events.emit("a")
    assert called == ["first"]


def test_as_a_decorator():
    events = Events(("a",))
    called: list[int] = []

    @events.on("a")
    def handler(fact: int) -> None:
        called.append(fact)

    events.emit("a", 3)
    handler(4)
    assert called == [3, 4]


@pytest.mark.parametrize("make", [WebSocket, multiplex], ids=["WebSocket", "Multiplex"])
def test_an_event_that_there_is_not(make):
    source = make("ws://127.0.0.1:1")
    with pytest.raises(ValueError) as caught:
        source.on("conected", print)
    names = NAMES if make is WebSocket else (*NAMES, *MULTIPLEX_EVENTS)
    assert str(caught.value) == f"there is no event 'conected'; there are: {', '.join(names)}"
    with pytest.raises(TypeError) as refused:
        source.on("connected", "print")
    assert str(refused.value) == "a handler must be callable, got str 'print'"


def test_a_handler_that_raises_is_logged_and_the_others_are_called(caplog: pytest.LogCaptureFixture):
    events = Events(("a",))
    called: list[str] = []

    def bad() -> None:
        raise RuntimeError("oh no")

    events.on("a", bad)
    events.on("a", lambda: called.append("good"))
    events.emit("a")
    assert called == ["good"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("jetsocket.connection", logging.ERROR)
    assert record.getMessage().startswith("a handler of 'a' raised: RuntimeError in bad (test_events.py:")


async def test_a_coroutine_function_runs_as_a_task():
    events = Events(("a",))
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handler(fact: int) -> None:
        await asyncio.sleep(0)
        done.set_result(fact)

    events.on("a", handler)
    events.emit("a", 5)
    assert not done.done()
    assert await done == 5


async def test_a_coroutine_function_that_raises_is_logged(caplog: pytest.LogCaptureFixture):
    events = Events(("a",))
    logged = asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            logged.set()

    async def bad() -> None:
        raise RuntimeError("oh no")

    events.on("a", bad)
    watch = Watch()
    logging.getLogger("jetsocket.connection").addHandler(watch)
    try:
        events.emit("a")
        async with asyncio.timeout(5):
            await logged.wait()
    finally:
        logging.getLogger("jetsocket.connection").removeHandler(watch)
    (record,) = caplog.records
    assert record.getMessage().startswith("an event handler raised: RuntimeError in bad (test_events.py:")


async def test_a_task_of_a_handler_that_is_cancelled_by_others_is_no_failure(caplog: pytest.LogCaptureFixture):
    events = Events(("a",))
    began: asyncio.Future[asyncio.Task[Any]] = asyncio.get_running_loop().create_future()

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        began.set_result(task)
        await asyncio.Event().wait()

    events.on("a", handler)
    events.emit("a")
    task = await began
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not caplog.records


async def test_a_life_with_a_reconnect(exchange: Exchange):
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    happened = recorded(ws)
    again = told(ws, "reconnected")
    async with ws:
        assert happened == [("connected",)]
        exchange.drop_all()
        await again.get()
    names = [name for name, *_ in happened]
    assert names == ["connected", "disconnected", "reconnecting", "connected", "reconnected", "closed"]
    assert isinstance(happened[1][1], jetsocket.ConnectionError)
    assert happened[2][1] == 1


async def test_attempts_are_counted_and_their_errors_told(exchange: Exchange):
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    happened = recorded(ws)
    again = told(ws, "reconnected")
    async with ws:
        exchange.refuse_handshakes(503, times=2)
        exchange.drop_all()
        await again.get()
    attempts = [facts[0] for name, *facts in happened if name == "reconnecting"]
    errors = [facts[0] for name, *facts in happened if name == "error"]
    assert attempts == [1, 2, 3]
    assert [(error.status_code, error.attempt) for error in errors] == [(503, 1), (503, 2)]


async def test_a_connection_lost_for_good(exchange: Exchange):
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    happened = recorded(ws)
    async with ws:
        exchange.close_all(1008, "bad token")
        error = await end_of(ws)
    assert [name for name, *_ in happened] == ["connected", "failed", "closed"]
    assert happened[1][1] is error


async def test_a_handler_may_close(exchange: Exchange):
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    ws.on("disconnected", lambda _: ws.close())
    closed = told(ws, "closed")
    await ws.connect()
    exchange.drop_all()
    await closed.get()
    assert ws.state is jetsocket.ConnectionState.CLOSED


async def test_a_handler_that_raises_leaves_the_connection_alone(exchange: Exchange, caplog: pytest.LogCaptureFixture):
    def bad(*facts: object) -> None:
        raise RuntimeError("oh no")

    mux = multiplex(exchange.uri)
    for name in NAMES:
        mux.on(name, bad)
    again = told(mux, "reconnected")
    async with mux:
        trades = await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.drop_all()
        await again.get()
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.publish("btcusdt@trade", 1)
        assert (await trades.recv(5))["data"] == 1
    assert len([record for record in caplog.records if "a handler of" in record.getMessage()]) == 6


@pytest.mark.parametrize("is_async", [False, True], ids=["a function", "a coroutine function"])
async def test_a_handler_that_asks_a_cancelled_task_leaves_the_connection_alone(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, is_async: bool
):
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    def handler(*facts: object) -> None:
        cancelled.result()

    async def as_task(*facts: object) -> None:
        cancelled.result()

    mux = multiplex(exchange.uri)
    for name in NAMES:
        mux.on(name, as_task if is_async else handler)
    again = told(mux, "reconnected")
    async with mux:
        trades = await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.drop_all()
        await asyncio.wait_for(again.get(), 5)
        await exchange.wait_subscribed("btcusdt@trade")
        exchange.publish("btcusdt@trade", 1)
        assert (await trades.recv(5))["data"] == 1
    await asyncio.sleep(0)
    raised = [text for record in caplog.records if "raised: CancelledError in" in (text := record.getMessage())]
    assert len(raised) == 6
