"""What the first JetSocket did wrong, each as it would be met by a user."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from typing import Any

import pytest

import jetsocket
from jetsocket import HandshakeError, HeartbeatConfig, InvalidStateError, ProtocolError, Subscription, WebSocket
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import AT_ONCE, CLOSE, CONT, PING, PONG, TEXT, Conversation, frame, multiplex, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"
WAYS: list[Any] = [
    pytest.param({}, id="channel_key"),
    pytest.param({"channel_extractor": lambda message: message["stream"]}, id="channel_extractor"),
]
ways = pytest.mark.parametrize("options", WAYS)


async def iterated(messages: Subscription[Any], seconds: float) -> None:
    """Iterates for as long, to be ended by the timeout."""
    async with asyncio.timeout(seconds):
        async for _ in messages:
            pass


@ways
async def test_subscriptions_are_not_gone_after_a_reconnect(exchange: Exchange, options: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc = await mux.subscribe(BTC)
        reconnected = told(mux, "reconnected")
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1


@ways
async def test_a_timeout_around_iteration_fires(exchange: Exchange, options: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc = await mux.subscribe(BTC)
        with pytest.raises(TimeoutError):
            await iterated(btc, 0.02)


async def test_a_timeout_around_iteration_fires_under_load_too() -> None:
    """A consumer that always finds a message must still notice that its time is over."""
    async with Exchange(rate=0) as exchange, multiplex(exchange.uri, queue_size=0) as mux:
        btc = await mux.subscribe(BTC)
        with pytest.raises(TimeoutError):
            await iterated(btc, 0.2)


@ways
async def test_consumers_do_not_hang_when_the_connection_is_lost_for_good(
    exchange: Exchange, options: dict[str, Any]
) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        waiting = [asyncio.ensure_future(anext(aiter(btc))), asyncio.ensure_future(eth.recv())]
        await mux.ping()
        exchange.close_all(1008, "bad token")
        for task in waiting:
            with pytest.raises(jetsocket.CloseError, match="bad token"):
                await task


@ways
@pytest.mark.parametrize("odd", ['{"stream":["x"]}', '{"stream":{}}', '{"stream":null}', '["x"]', "7", "{"])
async def test_one_odd_frame_does_not_kill_the_router(exchange: Exchange, options: dict[str, Any], odd: str) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        exchange.send_text(odd)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1
        assert mux.stats().unroutable_messages == 2  # the answer to the request is one, too


@ways
async def test_a_full_queue_does_not_swallow_the_end(exchange: Exchange, options: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, queue_size=2, **options) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(5):
            exchange.publish(BTC, number)
        await mux.ping()
    assert [message["data"] async for message in btc] == [3, 4]
    with pytest.raises(InvalidStateError):
        await btc.recv()


@ways
async def test_drops_are_counted(exchange: Exchange, options: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, queue_size=2, **options) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        for number in range(5):
            exchange.publish(BTC, number)
        await mux.ping()
        assert btc.stats().messages_dropped == mux.stats().total_messages_dropped == 3


async def test_a_heartbeat_leaves_a_healthy_connection_alone(scripted: Serve) -> None:
    """The server is silent but for its pongs."""
    pings = asyncio.Semaphore(0)

    async def script(peer: Conversation) -> None:
        await peer.accept()
        while (received := await peer.read_frame()).opcode == PING:
            await peer.send(frame(PONG, received.payload))
            pings.release()
        await peer.send(frame(CLOSE, received.payload))

    server = await scripted(script)
    heartbeat = HeartbeatConfig(interval=0.05, timeout=0.04)
    async with jetsocket.connect(server.uri, heartbeat=heartbeat, backoff=AT_ONCE) as ws:
        for _ in range(10):
            await pings.acquire()
        assert ws.is_connected
    assert server.accepted == 1


async def test_a_401_is_not_retried(exchange: Exchange) -> None:
    exchange.refuse_handshakes(401, body='{"code":-2015}')
    ws = WebSocket(exchange.uri, backoff=AT_ONCE)
    with pytest.raises(HandshakeError, match="401 Unauthorized"):
        await ws.connect(timeout=30)
    assert exchange.account().refused == 1
    exchange.accept_handshakes()
    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC)
        exchange.refuse_handshakes(401)
        exchange.drop_all()
        with pytest.raises(HandshakeError, match="401 Unauthorized"):
            await btc.recv()
        assert exchange.account().refused == 2


async def test_fragments_are_put_together(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        await peer.read_frame()
        for piece in (b'{"stream":"btcusdt', b'@trade","da', b'ta":"\xe2\x9c', b'\x93"}'):
            first, last = piece.startswith(b'{"s'), piece.endswith(b"}")
            await peer.send(frame(TEXT if first else CONT, piece, fin=last))
            await peer.send(frame(PING, b"between"))
            assert (await peer.read_frame())[:2] == (PONG, b"between")
        await peer.answer_close()

    server = await scripted(script)
    async with multiplex(server.uri) as mux:
        btc = await mux.subscribe(BTC)
        assert await btc.recv() == {"stream": BTC, "data": "✓"}


async def test_a_little_deflate_does_not_become_a_lot_of_memory(scripted: Serve) -> None:
    size = 50_000_000
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b"a" * size) + deflate.flush(zlib.Z_SYNC_FLUSH)
    closes: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept("Sec-WebSocket-Extensions: permessage-deflate")
        await peer.send(frame(TEXT, bomb.removesuffix(b"\x00\x00\xff\xff"), rsv1=True))
        closes.put_nowait((await peer.read_frame()).payload)

    assert len(bomb) < 50_000
    server = await scripted(script)
    ws = WebSocket(server.uri, reconnect=False, max_message_size=1_000_000)
    await ws.connect()
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="max_message_size") as caught:
            await ws.recv()
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.code == 1009
    assert (await closes.get())[:2] == (1009).to_bytes(2, "big")
    await ws.close()


@pytest.mark.parametrize("headers", [{"X-Token": "a\r\nX-Admin: 1"}, {"X-A\r\nX-B": "1"}, {"X-Token": "a\nb"}])
def test_a_header_cannot_inject_another(headers: dict[str, str]) -> None:
    for create in (WebSocket, multiplex, jetsocket.connect):
        with pytest.raises(ValueError, match="X-"):
            create("ws://127.0.0.1:1/", extra_headers=headers)


async def test_max_connection_age_closes_the_old_socket(scripted: Serve) -> None:
    """Even where the server does not answer the close frame."""
    ended = asyncio.Event()

    async def old(peer: Conversation) -> None:
        await peer.accept()
        assert (await peer.read_frame()).opcode == CLOSE
        await peer.ended()
        ended.set()

    async def new(peer: Conversation) -> None:
        await peer.accept()
        await peer.answer_close()

    server = await scripted(old, new)
    async with jetsocket.connect(server.uri, max_connection_age=0.05) as ws:
        reconnected = told(ws, "reconnected")
        await reconnected.get()
        await asyncio.wait_for(ended.wait(), 5)


async def test_null_is_a_message(exchange: Exchange) -> None:
    async with jetsocket.connect(exchange.uri) as ws:
        for _ in range(4):
            exchange.send_text("null")
        assert await ws.recv() is None
        assert [await anext(aiter(ws)) for _ in range(2)] == [None, None]
        assert await ws.recv_batch() == [None]


async def test_null_is_a_message_of_a_subscription_too(exchange: Exchange) -> None:
    async with multiplex(exchange.uri, channel_extractor=lambda message: "nulls" if message is None else None) as mux:
        nulls = await mux.subscribe("nulls")
        exchange.send_text("null")
        assert await nulls.recv() is None
