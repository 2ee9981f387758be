from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import jetsocket
from jetsocket import (
    BufferConfig,
    CloseError,
    ConnectionState,
    DecodeError,
    InvalidStateError,
    InvalidURIError,
    WebSocket,
)
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import Conversation, close_frame, text

# What a plain connection says is sent back by another implementation.


async def test_messages_of_every_kind_go_there_and_back(echo_uri: str) -> None:
    async with jetsocket.connect(echo_uri) as ws:
        messages: list[Any] = [{"a": [1, 2.5, None, "✓"]}, [], 0, False, None]
        for message in messages:
            await ws.send(message)
            assert await ws.recv() == message


async def test_text_goes_as_text_and_bytes_as_binary(echo_uri: str) -> None:
    async with jetsocket.connect(echo_uri, deserializer=bytes) as ws:
        arriving = ws.messages()
        await ws.send("naïve")
        await ws.send(b"\x00\xff")
        await ws.send_raw(b"plain", binary=False)
        await ws.send_raw("text")
        await ws.send_raw(b"\xfe")
        got = [await anext(arriving) for _ in range(5)]
        assert [(message.data, message.binary) for message in got] == [
            ("naïve".encode(), False),
            (b"\x00\xff", True),
            (b"plain", False),
            (b"text", False),
            (b"\xfe", True),
        ]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 2_000_000])
async def test_payloads_of_every_length(echo_uri: str, size: int, compress: bool) -> None:
    payload = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    async with jetsocket.connect(echo_uri, deserializer=bytes, compress=compress) as ws:
        await ws.send(payload)
        assert await ws.recv() == payload
        assert ws.stats().bytes_sent > 0 if compress else ws.stats().bytes_sent > size


async def test_no_limit_to_compressed_messages(echo_uri: str) -> None:
    async with jetsocket.connect(echo_uri, max_message_size=0, reconnect=False, deserializer=str) as ws:
        await ws.send("x" * 1_000_000)
        assert await ws.recv() == "x" * 1_000_000


async def test_a_compressed_connection_sends_less(echo_uri: str) -> None:
    async with jetsocket.connect(echo_uri, compression_threshold=128) as ws:
        before = ws.stats()
        await ws.send("a" * 127)
        assert ws.stats().bytes_sent - before.bytes_sent > 127
        before = ws.stats()
        await ws.send("a" * 10_000)
        assert ws.stats().bytes_sent - before.bytes_sent < 200


async def test_many_messages_stay_in_order(echo_uri: str) -> None:
    count = 5000
    async with jetsocket.connect(echo_uri) as ws:

        async def send() -> None:
            for number in range(count):
                await ws.send(number)

        sending = asyncio.create_task(send())
        assert [await ws.recv() for _ in range(count)] == list(range(count))
        await sending
        stats = ws.stats()
        assert stats.messages_sent == stats.messages_received == count


async def test_batches_give_all_that_is_queued(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        for number in range(10):
            exchange.send_text(str(number))
        assert await ws.recv() == 0
        assert await ws.recv_batch(max_messages=4) == [1, 2, 3, 4]
        got: list[int] = []
        async for batch in ws.batches():
            assert batch
            got += batch
            if len(got) == 5:
                break
        assert got == [5, 6, 7, 8, 9]
        with pytest.raises(jetsocket.TimeoutError):
            await ws.recv_batch(timeout=0)


async def test_a_message_knows_when_it_was_received(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        before = time.time_ns()
        exchange.send_text('{"a":1}')
        message = await anext(ws.messages())
        assert before <= message.received_ns <= time.time_ns()
        assert message.data == b'{"a":1}'
        assert not message.binary
        assert message.decode() == {"a": 1}


# The states of a life.


async def test_nothing_works_before_connect(exchange: Exchange) -> None:
    ws = WebSocket(exchange.uri)
    for call in (lambda: ws.send(1), ws.recv, ws.recv_batch, ws.ping, lambda: ws.send_raw(b"")):
        with pytest.raises(InvalidStateError, match=r"use `async with`, or await connect\(\) first$") as caught:
            await call()
        assert caught.value.current_state == ConnectionState.IDLE
    for iterate in (ws.__aiter__, ws.batches, ws.messages):
        with pytest.raises(InvalidStateError):
            iterate()


async def test_closing_what_was_never_connected(exchange: Exchange) -> None:
    ws = WebSocket(exchange.uri)
    await ws.close()
    assert ws.state is ConnectionState.CLOSED
    with pytest.raises(InvalidStateError):
        await ws.recv()


async def test_what_was_received_can_be_read_after_close(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        for number in range(3):
            exchange.send_text(str(number))
        assert await ws.recv() == 0
    assert [message async for message in ws] == [1, 2]
    with pytest.raises(InvalidStateError):
        await ws.recv()
    with pytest.raises(InvalidStateError, match="cannot send: the connection was closed"):
        await ws.send("x")


async def test_close_wakes_who_waits(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:

        async def iterate() -> list[Any]:
            return [message async for message in ws]

        waiting = [asyncio.create_task(iterate()), asyncio.create_task(ws.recv()), asyncio.create_task(ws.recv_batch())]
        await asyncio.sleep(0)
        await ws.close()
        iterated, received, batch = await asyncio.gather(*waiting, return_exceptions=True)
        assert iterated == []
        assert isinstance(received, InvalidStateError)
        assert isinstance(batch, InvalidStateError)


async def test_the_close_code_and_reason_are_on_the_wire(scripted: Serve) -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        seen.put_nowait((await peer.answer_close()).payload)

    server = await scripted(script)
    ws = WebSocket(server.uri)
    await ws.connect()
    with pytest.raises(ValueError, match="1006"):
        await ws.close(1006)
    assert ws.is_connected
    await ws.close(4000, "done")
    assert await seen.get() == (4000).to_bytes(2, "big") + b"done"


async def test_a_server_that_does_not_answer_the_close_costs_close_timeout(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.ended()

    server = await scripted(script)
    ws = WebSocket(server.uri, close_timeout=0.2)
    await ws.connect()
    began = time.monotonic()
    await ws.close()
    assert 0.19 < time.monotonic() - began < 1


@pytest.mark.parametrize("code", [1000, 1001])
async def test_without_reconnect_iteration_ends_when_the_server_has_finished(exchange: Exchange, code: int) -> None:
    async with jetsocket.connect(exchange.uri, reconnect=False) as ws:
        exchange.send_text("1")
        exchange.close_all(code)
        assert [message async for message in ws] == [1]
        with pytest.raises(CloseError) as caught:
            await ws.recv()
        assert (caught.value.code, caught.value.by) == (code, "server")
        assert ws.state is ConnectionState.DISCONNECTED


async def test_without_reconnect_iteration_ends_at_a_close_without_a_code(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept(then=text("1") + close_frame(None))
        await peer.ended()

    async with jetsocket.connect((await scripted(script)).uri, reconnect=False) as ws:
        assert [message async for message in ws] == [1]
        with pytest.raises(CloseError, match="no code given") as caught:
            await ws.recv()
        assert caught.value.code == 1005


async def test_without_reconnect_one_may_connect_again(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri, reconnect=False) as ws:
        exchange.drop_all()
        with pytest.raises(jetsocket.ConnectionError, match="reset"):
            await ws.recv()
        assert ws.state is ConnectionState.DISCONNECTED
        await ws.connect()
        await exchange.wait_connected()
        exchange.send_text("2")
        assert await ws.recv() == 2


async def test_headers_and_subprotocols_of_the_upgrade(scripted: Serve) -> None:
    asked: asyncio.Queue[Conversation] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept("Sec-WebSocket-Protocol: v1")
        asked.put_nowait(peer)
        await peer.answer_close()

    server = await scripted(script)
    headers = {"X-Key": "abc"}
    async with jetsocket.connect(server.uri, extra_headers=headers, subprotocols=["v2", "v1"]) as ws:
        assert ws.subprotocol == "v1"
        peer = await asked.get()
    assert (peer.header("X-Key"), peer.header("Sec-WebSocket-Protocol")) == ("abc", "v2, v1")
    assert peer.header("Host") == f"127.0.0.1:{server.port}"


# The queue.


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [7, 8, 9]), ("drop_newest", [0, 1, 2])])
async def test_a_queue_that_may_drop(exchange: Exchange, policy: Any, kept: list[int]) -> None:
    async with jetsocket.connect(exchange.uri, buffer=BufferConfig(3, policy)) as ws:
        for number in range(10):
            exchange.send_text(str(number))
        await ws.ping()
        assert await ws.recv_batch() == kept
        assert ws.stats().messages_received == 10


async def test_what_cannot_be_decoded_is_raised_once_and_is_over(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        for message in ("1", "{oops", "2"):
            exchange.send_text(message)
        assert await ws.recv() == 1
        with pytest.raises(DecodeError) as caught:
            await ws.recv()
        assert caught.value.raw == b"{oops"
        assert await ws.recv() == 2


async def test_the_address_is_checked_at_once() -> None:
    for uri in ("http://127.0.0.1:8080", "127.0.0.1:8080", "", "ws://127.0.0.1:99999"):
        with pytest.raises(InvalidURIError):
            WebSocket(uri)


async def test_a_server_that_closes_with_a_private_code(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.send(close_frame(4401, "who are you?"))
        await peer.ended()

    server = await scripted(script)
    ws = WebSocket(server.uri)
    await ws.connect()
    with pytest.raises(CloseError) as caught:
        await ws.recv()
    assert (caught.value.code, caught.value.reason, caught.value.retryable) == (4401, "who are you?", False)
    assert ws.state is ConnectionState.FAILED
    await ws.close()
