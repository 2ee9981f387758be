"""WebSocket.listen(): a callback inside the read, over loopback, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import uvloop

import jetsocket
from jetsocket import BufferConfig, InvalidStateError, Listening, WebSocket
from jetsocket.testing import Exchange

from .peers import AT_ONCE, subscribe_msg, told

BTC = "btcusdt@trade"


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def test_each_message_is_given_to_the_callback_in_order(echo_uri: str) -> None:
    async with jetsocket.connect(echo_uri) as ws:
        heard: list[Any] = []
        all_came = asyncio.Event()

        def callback(message: Any) -> None:
            heard.append(message)
            if message == 99:
                all_came.set()

        with ws.listen(callback) as listening:
            assert isinstance(listening, Listening)
            assert repr(listening) == f"Listening({ws.uri!r}, active)"
            for number in range(100):
                await ws.send(number)
            await all_came.wait()
        assert heard == list(range(100))
        await ws.send(["next"])
        assert await ws.recv() == ["next"]
        listening = ws.listen(callback)
    await listening.wait()
    assert not listening.is_active


async def test_a_full_queue_stops_the_reading_and_no_message_is_lost(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, buffer=BufferConfig(4)) as ws:
        await ws.send(subscribe_msg(BTC))
        await exchange.wait_subscribed(BTC)
        heard: list[int] = []
        all_came = asyncio.Event()

        def callback(message: Any) -> None:
            if "data" in message:
                heard.append(message["data"])
                if message["data"] == 4999:
                    all_came.set()

        ws.listen(callback)
        for number in range(5000):
            exchange.publish(BTC, number)
        await all_came.wait()
        assert heard == list(range(5000))


async def test_it_goes_on_across_reconnects(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, backoff=AT_ONCE) as ws:
        again = told(ws, "reconnected")
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listening = ws.listen(heard.put_nowait)
        exchange.drop_all()
        await again.get()
        await ws.send(subscribe_msg(BTC))
        assert (await heard.get())["id"] == 1
        assert listening.is_active


async def test_nobody_listens_before_it_is_connected(exchange: Exchange) -> None:
    with pytest.raises(InvalidStateError, match="listen"):
        WebSocket(exchange.uri).listen(print)


async def test_what_is_no_callback(echo_uri: str) -> None:
    async def callback(got: Any) -> None: ...

    async with jetsocket.connect(echo_uri) as ws:
        for wrong in (None, 1, callback):
            with pytest.raises(TypeError, match="callback must be a plain function, got "):
                ws.listen(wrong)  # type: ignore[arg-type]
