from __future__ import annotations

import asyncio
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from jetsocket.testing import Exchange

from .conftest import Client, client

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


async def ids(user: Client, count: int) -> list[int]:
    return [(await user.recv())["data"]["t"] for _ in range(count)]


@pytest.mark.parametrize("rate", [None, 0, 50_000])
async def test_a_limited_feed_sends_exactly_so_many(rate: float | None) -> None:
    async with Exchange(rate=rate, limit=5000) as exchange, client(f"{exchange.uri}?streams={BTC}/{ETH}") as user:
        received = [await user.recv() for _ in range(5000)]
        for channel in (BTC, ETH):
            own = [message["data"]["t"] for message in received if message["stream"] == channel]
            assert own == list(range(own[0], own[0] + exchange.sent(channel)))
        assert exchange.account().channels == {BTC: 2500, ETH: 2500}
        exchange.publish(BTC, "the last")
        assert (await user.recv())["data"] == "the last"


async def test_the_rate_is_kept() -> None:
    async with Exchange(rate=2000) as exchange, client(f"{exchange.uri}?streams={BTC}"):
        await exchange.wait_sent(1)
        started = time.perf_counter()
        await exchange.wait_sent(1001)
        assert 0.45 < time.perf_counter() - started < 1.5


async def test_the_first_message_of_a_slow_feed_comes_at_once() -> None:
    async with Exchange(rate=0.01) as exchange, client(f"{exchange.uri}?streams={BTC}") as user:
        await asyncio.wait_for(user.recv(), 5)
        assert exchange.sent() == 1


async def test_nothing_is_sent_while_paused() -> None:
    async with Exchange(rate=0, paused=True) as exchange, client(exchange.uri) as user:
        await user.ask("SUBSCRIBE", BTC)
        assert exchange.sent() == 0
        exchange.start()
        await exchange.wait_sent(1000)
        exchange.pause()
        sent = exchange.sent()
        await ids(user, sent)
        assert (await user.ask("LIST_SUBSCRIPTIONS"))["result"] == [BTC]
        assert exchange.sent() == sent


async def test_a_slow_reader_holds_the_feed_and_takes_no_memory() -> None:
    async with Exchange(rate=0) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port, limit=1024)
        writer.write(
            f"GET /stream?streams={BTC} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        # Nobody reads: the feed goes on until the socket buffers are full, then stands still.
        sent = -1
        while sent != exchange.sent():
            sent = exchange.sent()
            await asyncio.sleep(0.1)
        assert 0 < sent < 500_000
        received = 0
        while received < 200 * sent:
            received += len(await reader.read(65536))
        assert exchange.sent() > sent
        writer.transport.abort()
        await exchange.wait_disconnected()


async def test_two_clients_get_what_each_is_subscribed_to() -> None:
    async with (
        Exchange(rate=0, limit=1000, paused=True) as exchange,
        client(exchange.uri) as one,
        client(exchange.uri) as both,
    ):
        await one.ask("SUBSCRIBE", BTC)
        await both.ask("SUBSCRIBE", BTC, ETH)
        exchange.start()
        first = await ids(one, 500)
        messages = [await both.recv() for _ in range(1000)]
        assert [m["data"]["t"] for m in messages if m["stream"] == BTC] == first
        assert exchange.account().channels == {BTC: 1000, ETH: 500}


async def test_trade_ids_go_on_across_connections() -> None:
    last = 0
    async with Exchange(rate=20_000) as exchange:
        for _ in range(5):
            async with client(f"{exchange.uri}?streams={BTC}") as user:
                own = await ids(user, 50)
            assert own == list(range(own[0], own[0] + 50))
            assert own[0] > last
            last = own[-1]
            await exchange.wait_disconnected()


async def test_an_unsubscribed_channel_is_sent_no_more() -> None:
    async with Exchange(rate=0) as exchange, client(f"{exchange.uri}?streams={BTC}/{ETH}") as user:
        await exchange.wait_sent(1000)
        await user.ask("UNSUBSCRIBE", BTC)
        sent = exchange.sent(BTC)
        streams = {(await user.recv())["stream"] for _ in range(2000)}
        assert streams == {ETH}
        assert exchange.sent(BTC) == sent
        exchange.drop_all()


RUN = [(0, '{"a":1}'), (50_000_000, "pong"), (100_000_000, '{"a":2}')]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "run.txt.gz"
    lines = [f"{10**18 + ns} < {text}\n" for ns, text in RUN]
    path.write_bytes(gzip.compress(f"{10**18} > login\n{''.join(lines)}".encode()))
    return path


@pytest.mark.parametrize("speed, seconds", [(1.0, 0.1), (0.5, 0.2), (0, 0.0), (float("inf"), 0.0), (1000, 0.0)])
async def test_a_recorded_run_is_played_at_its_pace(recording: Path, speed: float, seconds: float) -> None:
    async with Exchange.replay(recording, speed, paused=True) as exchange, client(exchange.uri) as user:
        await exchange.wait_connected()
        started = time.perf_counter()
        exchange.start()
        assert [await user.connection.recv() for _ in RUN] == [text for _, text in RUN]
        assert seconds <= time.perf_counter() - started < seconds + 1
        assert exchange.sent() == 3


async def test_a_recorded_run_may_be_repeated(recording: Path) -> None:
    async with Exchange.replay(recording, 0, loop=True) as exchange, client(exchange.uri) as user:
        assert [await user.connection.recv() for _ in range(7)] == [text for _, text in [*RUN, *RUN, RUN[0]]]
        exchange.drop_all()


async def test_each_client_gets_the_recorded_run_from_its_beginning(recording: Path) -> None:
    async with Exchange.replay(recording, 0) as exchange:
        for _ in range(2):
            async with client(exchange.uri.replace("/stream", "/any/path")) as user:
                assert [await user.connection.recv() for _ in RUN] == [text for _, text in RUN]


async def test_requests_during_a_recorded_run(recording: Path) -> None:
    async with Exchange.replay(recording, 0, paused=True) as exchange, client(exchange.uri) as user:
        await user.send({"op": "subscribe", "args": []})
        assert await user.ask("SUBSCRIBE", BTC) == {"result": None, "id": 1}
        assert [request.text for request in exchange.requests] == [
            json.dumps({"op": "subscribe", "args": []}),
            json.dumps({"method": "SUBSCRIBE", "params": [BTC], "id": 1}),
        ]


async def test_large_recorded_messages_are_written_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("".join(f"{index} < {str(index) * 100_000}\n" for index in range(10)))
    async with Exchange.replay(path, 0) as exchange, client(exchange.uri) as user:
        for index in range(10):
            assert await user.connection.recv() == str(index) * 100_000


@pytest.mark.parametrize("speed", [-1, float("nan")])
async def test_the_speed_is_checked(recording: Path, speed: Any) -> None:
    with pytest.raises(ValueError, match="speed must be finite and not negative"):
        Exchange.replay(recording, speed)


async def test_a_slow_reader_holds_the_recorded_run(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("".join(f"{index} < {index}{'x' * 100_000}\n" for index in range(200)))
    async with Exchange.replay(path, 0) as exchange, client(exchange.uri, max_queue=1) as user:
        sent = -1
        while sent != exchange.sent():
            sent = exchange.sent()
            await asyncio.sleep(0.1)
        assert 0 < sent < 200
        for index in range(200):
            assert (await user.connection.recv()).startswith(str(index))
        assert exchange.sent() == 200
