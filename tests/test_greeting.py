"""Logins: what happens on a connection before anything is subscribed to on it, and how that may end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

import jetsocket
from jetsocket import BackoffConfig, ConnectionError, InvalidStateError, Multiplex
from jetsocket.exchanges import OKX
from jetsocket.greeting import Greeting
from jetsocket.occurrences import CONNECTION_EVENTS
from jetsocket.testing import Exchange
from jetsocket.testing.dialects.exchange import VenueExchange

from .conftest import Serve
from .dialects import UNHURRIED
from .leaks import check, logged, words_of
from .peers import AT_ONCE, Conversation, close_frame, multiplex, text, told

TRADES = "trades:BTC-USDT"
LOGIN = {"op": "login", "args": [{"apiKey": "pl4nted-key", "sign": "pl4nted-signature"}]}


def is_login(message: Any) -> bool:
    return bool(message["event"] in ("login", "error"))


async def log_in(connection: Greeting) -> None:
    await connection.send(LOGIN)
    answer = await connection.reply(is_login, timeout=5)
    if answer["code"] != "0":
        raise PermissionError(answer["msg"])


@pytest.fixture
async def okx() -> AsyncIterator[VenueExchange]:
    async with VenueExchange("okx") as exchange:
        exchange.require_login()
        yield exchange


def private(exchange: VenueExchange, on_connect: Any = log_in, **options: Any) -> Multiplex[Any]:
    return Multiplex(exchange.uri, on_connect=on_connect, **{"venue": OKX, "backoff": AT_ONCE, **options})


async def ops(exchange: VenueExchange) -> list[list[str]]:
    """What was asked for, connection by connection."""
    return [[one.message["op"] for one in connection.requests] for connection in exchange.connections]


async def test_a_login_goes_before_anything_that_is_subscribed_to_on_each_connection(okx: VenueExchange):
    async with private(okx) as mux:
        restored = told(mux, "resubscribed")
        trades = await mux.subscribe(TRADES, timeout=5)
        for _ in range(2):
            okx.drop_all()
            await asyncio.wait_for(restored.get(), 5)
        okx.publish(TRADES)
        assert (await trades.recv(5))["arg"] == {"channel": "trades", "instId": "BTC-USDT"}
    assert await ops(okx) == [["login", "subscribe"]] * 3
    assert okx.violations == []


async def test_without_the_login_nothing_is_subscribed_to(okx: VenueExchange):
    async with private(okx, None) as mux:
        with pytest.raises(jetsocket.SubscriptionError, match=r"Please log in\. \(code 60011\)"):
            await mux.subscribe(TRADES, timeout=5)


async def test_a_refused_login_is_the_reason_of_the_first_connect(okx: VenueExchange):
    okx.require_login(accepts=lambda _: False)
    mux = private(okx)
    with pytest.raises(jetsocket.ConnectionError) as caught:
        await mux.connect()
    # The words of an exception of the user's may tell anything: not they, but its place.
    assert str(caught.value).startswith(f"{okx.uri}: on_connect failed: PermissionError in log_in (test_greeting.py:")
    assert isinstance(caught.value.__cause__, PermissionError)
    assert (caught.value.phase, caught.value.uri, caught.value.retryable) == ("open", okx.uri, True)
    assert not mux.is_connected
    await okx.wait_disconnected()
    # It can be tried again.
    okx.require_login()
    await mux.connect()
    assert mux.stats().connection_stats.errors == 1
    await mux.close()


async def test_a_login_that_fails_later_is_tried_again_by_the_back_off():
    # More connections than OKX's limits allow in a second.
    unhurried = replace(OKX, connect_pace=())
    async with VenueExchange("okx", **UNHURRIED["exchange"]) as okx, private(okx, venue=unhurried) as mux:
        errors, restored = told(mux, "error"), told(mux, "resubscribed")
        await mux.subscribe(TRADES, timeout=5)
        accepted = iter([False, False])
        okx.require_login(accepts=lambda _: next(accepted, True))
        okx.drop_all()
        await asyncio.wait_for(restored.get(), 5)
        said = [str(errors.get_nowait()) for _ in range(2)]
    for number, one in enumerate(said, 1):
        assert "on_connect failed: PermissionError in log_in" in one
        assert f"attempt {number}" in one
    assert await ops(okx) == [["login", "subscribe"], ["login"], ["login"], ["login", "subscribe"]]


async def test_a_hook_may_give_up_for_good(okx: VenueExchange):
    async def refuse(connection: Greeting) -> None:
        raise jetsocket.ConnectionError("the key has expired", retryable=False)

    mux = private(okx, refuse)
    with pytest.raises(jetsocket.ConnectionError, match=r"^the key has expired$"):
        await mux.connect(timeout=5)
    assert mux.state.value == "failed"
    assert len(okx.connections) == 1


async def test_an_answer_that_does_not_come_is_a_failed_attempt(okx: VenueExchange):
    async def ask(connection: Greeting) -> None:
        await connection.reply(lambda _: False, timeout=0.05)

    with pytest.raises(jetsocket.ConnectionError) as caught:
        await private(okx, ask).connect()
    assert str(caught.value) == f"{okx.uri}: on_connect failed: reply timed out after 0.05 s"


async def test_a_hook_has_connect_timeout_in_all(okx: VenueExchange):
    ended: list[str] = []

    async def hang(connection: Greeting) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(connection.uri)

    with pytest.raises(jetsocket.ConnectionError) as caught:
        await private(okx, hang, connect_timeout=0.1).connect()
    assert str(caught.value) == f"{okx.uri}: on_connect failed: it took longer than connect_timeout, 0.1 s"
    assert ended == [okx.uri]


@pytest.mark.parametrize("operation", ["subscribe", "subscribe_many", "subscribe_group"])
async def test_subscribing_within_it_is_refused_at_once_with_what_to_do_instead(
    exchange: Exchange, operation: str
) -> None:
    async def greet(_: Greeting) -> None:
        await getattr(mux, operation)("a" if operation == "subscribe" else ["a"])

    mux = multiplex(exchange.uri, on_connect=greet, connect_timeout=60)
    with pytest.raises(ConnectionError) as caught:
        await asyncio.wait_for(mux.connect(), 5)
    hint = "send on the connection that it is given, and subscribe after connect()"
    assert str(caught.value).endswith(
        "on_connect failed: cannot subscribe within on_connect: the connection is open once that has returned; " + hint
    )
    assert isinstance(caught.value.__cause__, InvalidStateError)
    assert caught.value.__cause__.hint == hint


async def test_a_task_that_it_begins_may_subscribe(exchange: Exchange) -> None:
    tasks = []

    async def greet(_: Greeting) -> None:
        tasks.append(asyncio.ensure_future(mux.subscribe("a")))
        await asyncio.sleep(0)

    mux = multiplex(exchange.uri, on_connect=greet)
    async with mux:
        assert (await asyncio.wait_for(tasks[0], 5)).is_active


async def test_a_hook_in_which_something_is_cancelled_has_failed_and_nobody_else(okx: VenueExchange):
    async def cancelled(connection: Greeting) -> None:
        raise asyncio.CancelledError

    with pytest.raises(jetsocket.ConnectionError, match="on_connect failed: it was cancelled"):
        await private(okx, cancelled).connect()


async def test_a_hook_may_be_a_plain_function(okx: VenueExchange):
    okx.require_login(False)
    seen: list[str] = []
    async with private(okx, lambda connection: seen.append(connection.uri)) as mux:
        await mux.subscribe(TRADES, timeout=5)
    assert seen == [okx.uri]


async def test_the_connection_may_be_lost_during_the_hook(okx: VenueExchange):
    came: asyncio.Queue[Greeting] = asyncio.Queue()

    async def wait(connection: Greeting) -> None:
        came.put_nowait(connection)
        await connection.reply(is_login, timeout=None)

    mux = private(okx, wait)
    connecting = asyncio.create_task(mux.connect())
    first = await came.get()
    okx.close_all(1012, "restarting")
    with pytest.raises(jetsocket.CloseError) as caught:
        await connecting
    assert (caught.value.code, caught.value.reason) == (1012, "restarting")
    with pytest.raises(jetsocket.ConnectionError):
        await first.send("too late")


async def test_close_ends_a_hook(okx: VenueExchange):
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait(connection: Greeting) -> None:
        began.set()
        try:
            await connection.reply(is_login, timeout=None)
        finally:
            await asyncio.sleep(0)
            ended.set()

    mux = private(okx, wait)
    connecting = asyncio.create_task(mux.connect())
    await began.wait()
    await mux.close()
    assert ended.is_set()
    with pytest.raises(jetsocket.InvalidStateError):
        await connecting
    assert mux.state.value == "closed"


async def test_close_does_not_wait_for_a_hook_that_will_not_end(okx: VenueExchange):
    began, release = asyncio.Event(), asyncio.Event()

    async def stubborn(connection: Greeting) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
            raise RuntimeError("heard by nobody")

    mux = private(okx, stubborn, close_timeout=0.05)
    connecting = asyncio.create_task(mux.connect())
    await began.wait()
    await asyncio.wait_for(mux.close(), 2)
    with pytest.raises(jetsocket.InvalidStateError):
        await connecting
    release.set()


async def test_cancelling_connect_ends_the_hook(okx: VenueExchange):
    began = asyncio.Event()

    async def wait(connection: Greeting) -> None:
        began.set()
        await connection.reply(is_login, timeout=None)

    mux = private(okx, wait)
    connecting = asyncio.create_task(mux.connect())
    await began.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await okx.wait_disconnected()
    assert mux.state.value == "disconnected"


async def test_a_hook_that_is_slow_to_end_takes_nothing_from_the_next(okx: VenueExchange):
    """Given up, it still cleans up when the next connection's hook waits for its answer."""
    release, began = asyncio.Event(), asyncio.Queue[int]()
    number = 0

    async def hook(connection: Greeting) -> None:
        nonlocal number
        number += 1
        began.put_nowait(number)
        if number == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await release.wait()
        await connection.send(LOGIN)
        release.set()
        await asyncio.sleep(0)
        await connection.reply(is_login, timeout=5)

    mux = private(okx, hook, connect_timeout=0.2, close_timeout=0.05)
    await mux.connect(timeout=5)
    assert number == 2
    await mux.close()


async def test_what_a_hook_sends_counts_and_so_do_failed_greetings(okx: VenueExchange):
    refusals = iter([False])
    okx.require_login(accepts=lambda _: next(refusals, True))
    mux = private(okx)
    await mux.connect(timeout=5)
    assert mux.stats().connection_stats.messages_sent == 2
    assert mux.stats().connection_stats.bytes_received > 0
    await mux.close()
    assert [len(connection.requests) for connection in okx.connections] == [1, 1]


async def test_a_hook_goes_on_though_a_consumer_is_slow(scripted: Serve):
    """The reply stands behind a message for a full queue, which stops the reading until its consumer has made room."""

    async def first(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"stream":"a","n":1}'))
        await peer.read_frame()
        peer.reset()

    async def second(peer: Conversation) -> None:
        await peer.accept(then=text('{"stream":"a","n":2}') + text('{"stream":"a","n":3}') + text('{"login":true}'))
        await peer.answer_close()

    async def hook(connection: Greeting) -> None:
        nonlocal greeted
        greeted += 1
        if greeted == 2:
            assert (await subscription.recv())["n"] == 1
            assert (await subscription.recv())["n"] == 2
            await connection.reply(lambda message: "login" in message)

    greeted = 0
    server = await scripted(first, second)
    async with multiplex(server.uri, on_connect=hook, queue_size=1, overflow="block") as mux:
        again = told(mux, "reconnected")
        subscription = await mux.subscribe("a")
        await asyncio.wait_for(_until_received(mux, 1), 5)
        await mux.send("drop me")
        await asyncio.wait_for(again.get(), 5)
        assert (await subscription.recv(5))["n"] == 3


async def _until_received(mux: Multiplex[Any], count: int) -> None:
    while mux.stats().total_messages_routed < count:  # noqa: ASYNC110  # no event tells of messages
        await asyncio.sleep(0)


@pytest.mark.parametrize("debug", [False, True])
async def test_a_login_s_secrets_are_told_nowhere(okx: VenueExchange, caplog: pytest.LogCaptureFixture, debug: bool):
    caplog.set_level(logging.DEBUG, "jetsocket")
    caplog.set_level(logging.DEBUG, "asyncio")
    asyncio.get_running_loop().set_debug(debug)
    words: list[str] = []

    class Unsendable:
        def __repr__(self) -> str:
            return "pl4nted-repr"

    bad: list[Any] = [
        LOGIN,
        {"op": "login", "args": "pl4nted-as-text"},  # answered by an error that quotes it
        {**LOGIN, "more": Unsendable()},
    ]

    async def hook(connection: Greeting) -> None:
        await connection.send(bad.pop())
        await log_in(connection)

    okx.require_login(accepts=lambda _: len(bad) == 0)
    mux = private(okx, hook)
    for event in CONNECTION_EVENTS:
        mux.on(event, lambda *facts: words.extend(words_of(one) for one in facts if isinstance(one, BaseException)))
    while not mux.is_connected:
        try:
            await mux.connect()
        except jetsocket.ConnectionError as error:
            words += [str(error), repr(error)]
        words += [repr(mux), *map(repr, asyncio.all_tasks())]
    await mux.close()
    assert bad == []
    assert okx.uri in "\n".join(words)
    check("\n".join(words))
    check(logged(caplog))


@pytest.mark.parametrize("code, retried", [(1008, False), (1012, True)])
async def test_a_server_that_closes_on_a_login_is_asked_again_only_where_that_can_help(
    scripted: Serve, code: int, retried: bool
):
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(close_frame(code, "login refused"))
        await peer.read_frame()

    async def hook(connection: Greeting) -> None:
        await connection.send(LOGIN)
        await connection.reply(is_login)

    server = await scripted(script)
    mux = multiplex(server.uri, on_connect=hook, backoff=BackoffConfig(base=0.0, max_attempts=3))
    with pytest.raises(jetsocket.CloseError) as caught:
        await mux.connect(timeout=5)
    assert caught.value.code == code
    assert server.accepted == (3 if retried else 1)
