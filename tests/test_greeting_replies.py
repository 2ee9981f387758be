"""What a hook of `on_connect` is answered: each reply is taken by who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import jetsocket
from jetsocket import Multiplex
from jetsocket.exchanges import BITFINEX
from jetsocket.greeting import Greeting, Inbox
from jetsocket.testing.dialects.exchange import VenueExchange

from .conftest import Serve
from .peers import AT_ONCE, Conversation, multiplex, text


async def test_the_welcome_that_comes_with_the_upgrade_is_a_reply(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.accept(then=text('{"event":"info","version":2}') + text("no JSON") + text("[" * 100_000))
        await peer.answer_close()

    heard: list[Any] = []

    async def hook(connection: Greeting) -> None:
        heard.append(await connection.reply(lambda message: str(message).startswith("[[")))
        heard.append(await connection.reply(lambda message: isinstance(message, dict)))
        heard.append(await connection.reply(lambda _: True))

    server = await scripted(script)
    async with multiplex(server.uri, on_connect=hook):
        assert heard == ["[" * 100_000, {"event": "info", "version": 2}, "no JSON"]


async def test_each_of_several_that_wait_gets_its_own_reply(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"id":2}') + text('{"id":3}'))
        await peer.read_frame()
        await peer.send(text('{"id":1}'))
        await peer.answer_close()

    def of(number: int) -> Callable[[Any], bool]:
        return lambda message: message["id"] == number

    heard: list[Any] = []

    async def hook(connection: Greeting) -> None:
        replies = [asyncio.ensure_future(connection.reply(of(number))) for number in (1, 2)]
        await asyncio.sleep(0)
        await connection.send("2 and 3")
        heard.append(await replies[1])
        await connection.send("1")
        heard.append(await replies[0])
        # What nobody took is still there.
        heard.append(await connection.reply(of(3)))

    server = await scripted(script)
    async with multiplex(server.uri, on_connect=hook):
        assert heard == [{"id": 2}, {"id": 1}, {"id": 3}]


async def test_what_a_predicate_raises_passes_and_the_message_is_kept():
    inbox = Inbox()
    inbox.put(b"[]")
    with pytest.raises(TypeError):
        await inbox.take(lambda message: message["event"])
    assert await inbox.take(lambda _: True) == []


async def test_a_reply_waits_for_none_of_an_earlier_connection(scripted: Serve):
    async def first(peer: Conversation) -> None:
        await peer.accept(then=text('{"n":1}'))
        await peer.read_frame()
        peer.reset()

    async def second(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        await peer.send(text('{"n":2}'))
        await peer.answer_close()

    heard: list[Any] = []

    async def hook(connection: Greeting) -> None:
        await connection.send("hello")
        heard.append(await connection.reply(lambda message: heard or message["n"] == 0))

    server = await scripted(first, second)
    mux = multiplex(server.uri, on_connect=hook)
    with pytest.raises(jetsocket.ConnectionError):
        await mux.connect()
    heard.append("again")
    await mux.connect()
    assert heard == ["again", {"n": 2}]
    await mux.close()


async def test_only_so_many_messages_wait_for_a_reply():
    inbox = Inbox()
    for number in range(1500):
        inbox.put(b"%d" % number)
    assert await inbox.take(lambda _: True) == 500
    for number in (1498, 1001, 1499):
        assert await inbox.take(lambda message, number=number: message == number) == number
    assert await inbox.take(lambda _: True) == 501


async def test_bitfinex_s_welcome_is_there_for_the_hook():
    async def hook(connection: Greeting) -> None:
        info = await connection.reply(lambda message: message["event"] == "info")
        assert info["version"] == 2
        assert dict(connection.headers)

    async with (
        VenueExchange("bitfinex") as exchange,
        Multiplex(exchange.uri, venue=BITFINEX, on_connect=hook, backoff=AT_ONCE) as mux,
    ):
        await mux.subscribe("ticker:tBTCUSD", timeout=5)
