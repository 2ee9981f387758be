"""Garbage in place of any frame: a clear error at the right place, counted, and the other channels never notice."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from typing import Any, get_args

import pytest

import jetsocket
from jetsocket import DecodeError, Multiplex, MultiplexStats, ProtocolError
from jetsocket.testing import Exchange, Garbage

from .conftest import Serve
from .peers import AT_ONCE, CLOSE, CONT, TEXT, Conversation, frame, multiplex, subscribe_msg, told

BTC, ETH = "btcusdt@trade", "ethusdt@trade"
# The close code that each kind of garbage is answered with; None: an odd message on a connection that is well.
CODES: dict[str, int | None] = {
    "opcode": 1002,
    "rsv": 1002,
    "masked": 1002,
    "utf8": 1007,
    "fragment": 1002,
    "control": 1002,
    "length": 1002,
    "close": 1002,
    "text": None,
    "json": None,
    "binary": None,
    "empty": None,
}
FAULTS = [kind for kind, code in CODES.items() if code is not None]
WAYS: list[Any] = [
    pytest.param({}, id="channel_key"),
    pytest.param({"channel_extractor": lambda message: message["stream"]}, id="channel_extractor"),
]
ways = pytest.mark.parametrize("options", WAYS)
# Every kind of JSON value in every place where something else is expected, and what is no JSON at all.
VALUES = ["null", "true", "0", "-1.5e300", '""', '"x"', "[]", '["x"]', "{}", '{"stream":"x"}', "1" * 400]
ODD = [
    *VALUES,
    *(f'{{"stream":{value}}}' for value in VALUES),
    *(f'{{"stream":{value},"data":1}}' for value in VALUES),
    *(f'[{{"stream":"{BTC}"}},{value}]' for value in VALUES),
    "",
    " ",
    "{",
    '{"stream"',
    '{"stream":',
    '{"stream":"btc',
    '{"stream":"\\ud800"}',
    '{"stream":"\\u00',
    "{'stream':'x'}",
    "[" * 5000,
    '{"a":' * 5000,
    "NaN",
    "<html>",
    "pong",
    '{"STREAM":"btcusdt@trade"}',
    '{"a":{"stream":"btcusdt@trade"}}',
]


def balanced(mux: Multiplex[Any]) -> MultiplexStats:
    """The statistics, in which nothing is missing."""
    stats = mux.stats()
    assert stats.connection_stats.messages_received == stats.total_messages_routed + stats.unroutable_messages
    return stats


def test_every_kind_of_garbage_is_met_here() -> None:
    assert set(CODES) == set(get_args(Garbage))


# In place of a frame.


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_broken_frame_ends_a_plain_connection(exchange: Exchange, kind: Garbage) -> None:
    async with jetsocket.connect(exchange.uri, reconnect=False) as ws:
        exchange.send_text("1")
        exchange.send_garbage(kind)
        exchange.send_text("2")
        assert await ws.recv() == 1
        with pytest.raises(ProtocolError) as caught:
            await ws.recv()
        assert caught.value.code == CODES[kind]
        assert f"closed with {CODES[kind]}" in str(caught.value)
        stats = ws.stats()
        assert (stats.messages_received, stats.errors) == (1, 1)


async def test_a_broken_frame_is_the_reason_though_the_stream_ends_behind_it(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept()
        peer.writer.write(frame(TEXT, "1") + b"\xff\xff")
        peer.writer.close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        assert await ws.recv() == 1
        with pytest.raises(ProtocolError, match="reserved bits") as caught:
            await ws.recv()
        assert caught.value.code == 1002


@ways
@pytest.mark.parametrize("kind", FAULTS)
async def test_after_a_broken_frame_every_subscription_is_there_again(
    exchange: Exchange, options: dict[str, Any], kind: Garbage
) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        disconnected, reconnected = told(mux, "disconnected"), told(mux, "reconnected")
        exchange.publish(BTC, 1)
        exchange.send_garbage(kind)
        error = await disconnected.get()
        assert isinstance(error, ProtocolError)
        assert error.code == CODES[kind]
        await reconnected.get()
        await exchange.wait_subscribed(BTC, ETH)
        exchange.publish(ETH, 2)
        assert (await btc.recv())["data"] == 1
        assert (await eth.recv())["data"] == 2
        assert balanced(mux).connection_stats.errors == 1


@pytest.mark.parametrize("kind", FAULTS)
async def test_the_server_is_told_what_was_wrong(scripted: Serve, exchange: Exchange, kind: Garbage) -> None:
    from jetsocket.testing.wire import garbage

    codes: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Conversation) -> None:
        await peer.accept(then=garbage(kind))
        received = await peer.read_frame()
        assert received.opcode == CLOSE
        codes.put_nowait(received.payload[:2])

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        with pytest.raises(ProtocolError):
            await ws.recv()
    assert await codes.get() == (CODES[kind] or 0).to_bytes(2, "big")


async def test_random_bytes_in_place_of_frames(scripted: Serve) -> None:
    """Whatever comes, the connection is in one of its states and `close()` works."""
    seed = 0

    async def script(peer: Conversation) -> None:
        noise = random.Random(seed)
        await peer.accept()
        await peer.send(noise.randbytes(noise.randrange(1, 2000)))
        peer.writer.write_eof()
        await peer.ended()

    async def outcome() -> jetsocket.ConnectionError | None:
        try:
            async with jetsocket.connect(server.uri, reconnect=False, deserializer=bytes, close_timeout=1) as ws:
                async for _ in ws:
                    pass
        except jetsocket.ConnectionError as error:
            return error
        return None

    server = await scripted(script)
    for number in range(100):
        seed = number
        error = await outcome()
        # Noise that happens to be a close frame with 1000 ends it without an error.
        assert error is None or error.phase == "open"


async def test_a_message_without_an_end(scripted: Serve) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept(then=frame(TEXT, b"x", fin=False))
        while True:
            await peer.send(frame(CONT, b"x" * 10_000, fin=False))

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False, max_message_size=1_000_000) as ws:
        with pytest.raises(ProtocolError, match="max_message_size sets the limit, now 1,000,000 bytes") as caught:
            await ws.recv()
        assert caught.value.code == 1009


# In place of a message.


@ways
async def test_odd_messages_are_unroutable_and_nothing_else(exchange: Exchange, options: dict[str, Any]) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        for number, odd in enumerate(ODD):
            exchange.send_text(odd)
            exchange.publish(BTC, number)
            exchange.publish(ETH, -number)
        await mux.ping()
        assert [message["data"] for message in await btc.recv_batch()] == list(range(len(ODD)))
        assert [message["data"] for message in await eth.recv_batch()] == [-number for number in range(len(ODD))]
        stats = balanced(mux)
        assert stats.unroutable_messages == len(ODD) + 2
        assert stats.total_messages_routed == 2 * len(ODD)
        assert stats.connection_stats.reconnect_count == 0


@pytest.mark.parametrize("odd", ODD)
async def test_a_plain_connection_gives_what_json_gives(exchange: Exchange, odd: str) -> None:
    try:
        expected = [json.loads(odd, parse_constant=_no_constants)]
    except (ValueError, RecursionError):
        expected = []
    async with jetsocket.connect(exchange.uri) as ws:
        exchange.send_text(odd)
        exchange.send_text('"next"')
        try:
            got = [await ws.recv()]
        except DecodeError as error:
            assert error.raw == odd.encode()  # noqa: PT017  # which of the two is part of the expectation
            got = []
        assert got == expected or "ud800" in odd
        assert await ws.recv() == "next"


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@pytest.mark.parametrize("kind", [kind for kind, code in CODES.items() if code is None])
@ways
async def test_garbage_that_is_a_message(exchange: Exchange, options: dict[str, Any], kind: Garbage) -> None:
    async with multiplex(exchange.uri, **options) as mux:
        btc = await mux.subscribe(BTC)
        await exchange.wait_subscribed(BTC)
        exchange.send_garbage(kind)
        exchange.publish(BTC, 1)
        # A text that breaks off behind its channel is found, by its raw bytes, to be of that channel.
        cut_off = kind == "json" and not options
        if cut_off:
            with pytest.raises(DecodeError) as caught:
                await btc.recv()
            assert caught.value.channel == BTC
        assert (await btc.recv())["data"] == 1
        assert balanced(mux).unroutable_messages == (1 if cut_off else 2)


@pytest.mark.parametrize("value", VALUES)
async def test_a_message_of_another_type_than_was_asked_for(exchange: Exchange, value: str) -> None:
    import msgspec

    class Trade(msgspec.Struct):
        stream: str
        data: float

    async with multiplex(exchange.uri, message_type=Trade) as mux:
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        exchange.send_text(f'{{"stream":"{BTC}","data":[{value}]}}')
        exchange.publish(BTC, 2.0)
        exchange.publish(ETH, 3.0)
        with pytest.raises(DecodeError, match=r"Expected `float`, got `array` - at `\$\.data`") as caught:
            await btc.recv()
        assert (caught.value.channel, caught.value.raw) == (BTC, f'{{"stream":"{BTC}","data":[{value}]}}'.encode())
        assert await btc.recv() == Trade(BTC, 2.0)
        assert await eth.recv() == Trade(ETH, 3.0)


# Functions of the user's that raise.


async def test_an_extractor_that_raises(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    def extract(message: Any) -> str:
        if message.get("data") == "bad":
            raise ZeroDivisionError("odd message")
        return str(message["stream"])

    async with multiplex(exchange.uri, channel_extractor=extract) as mux:
        errors = told(mux, "error")
        btc, eth = await mux.subscribe(BTC), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        with caplog.at_level(logging.WARNING, "jetsocket"):
            for number in range(100):
                exchange.publish(BTC, "bad")
                exchange.publish(ETH, number)
            exchange.publish(BTC, "good")
            await mux.ping()
        assert (await btc.recv())["data"] == "good"
        assert [message["data"] for message in await eth.recv_batch()] == list(range(100))
        assert balanced(mux).unroutable_messages == 102
        assert errors.qsize() == 1
        assert len(caplog.records) <= 1


async def test_a_decoder_that_raises(exchange: Exchange) -> None:
    def decode(raw: bytes) -> Any:
        raise ZeroDivisionError("odd message")

    async with multiplex(exchange.uri) as mux:
        btc, eth = await mux.subscribe(BTC, deserializer=decode), await mux.subscribe(ETH)
        await exchange.wait_subscribed(BTC, ETH)
        for number in range(3):
            exchange.publish(BTC, number)
            exchange.publish(ETH, number)
            with pytest.raises(DecodeError, match="odd message") as caught:
                await btc.recv()
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            assert (await eth.recv())["data"] == number
        assert balanced(mux).total_messages_delivered == 6


async def test_an_event_handler_that_raises(exchange: Exchange) -> None:
    async with multiplex(exchange.uri) as mux:
        mux.on("disconnected", lambda _: 1 / 0)
        mux.on("reconnected", lambda: 1 / 0)
        reconnected = told(mux, "reconnected")
        btc = await mux.subscribe(BTC)
        exchange.drop_all()
        await reconnected.get()
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        assert (await btc.recv())["data"] == 1


async def test_a_stop_iteration_from_a_users_function_stops_nothing(exchange: Exchange) -> None:
    def decode(raw: bytes) -> Any:
        raise StopIteration

    def extract(message: Any) -> str:
        raise StopIteration

    async with multiplex(exchange.uri) as mux:
        btc = await mux.subscribe(BTC, deserializer=decode)
        await exchange.wait_subscribed(BTC)
        exchange.publish(BTC, 1)
        with pytest.raises(DecodeError):
            await btc.recv()
        exchange.publish(BTC, 1)
        with pytest.raises(DecodeError):
            await anext(aiter(btc))
    async with multiplex(exchange.uri, channel_extractor=extract, subscribe_msg=subscribe_msg, backoff=AT_ONCE) as mux:
        await mux.subscribe(BTC)
        await mux.ping()
        assert balanced(mux).unroutable_messages == 1
