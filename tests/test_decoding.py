"""Payloads in, what the user asked for out; and the way back."""

from __future__ import annotations

import array
import asyncio
import dataclasses
import json
import subprocess
import sys
from typing import TypedDict

import msgspec
import pydantic
import pytest

import jetsocket
from jetsocket import WebSocket
from jetsocket.decoding import Serializing, make_decoding
from jetsocket.testing import Exchange

from .conftest import Serve
from .peers import BINARY, Conversation, frame, multiplex


class Struct(msgspec.Struct):
    p: float


@dataclasses.dataclass
class Dataclass:
    p: float


class Dict(TypedDict):
    p: float


class Model(pydantic.BaseModel):
    p: float


def shout(payload: bytes) -> str:
    return payload.decode().upper()


CASES = {
    "the default is JSON": ({}, '{"p":1.5}', {"p": 1.5}),
    "JSON of any type": ({}, "[1,null,true]", [1, None, True]),
    "null is a message": ({}, "null", None),
    "bytes": ({"deserializer": bytes}, '{"p":1.5}', b'{"p":1.5}'),
    "str": ({"deserializer": str}, '{"p":"é"}', '{"p":"é"}'),
    "a function": ({"deserializer": shout}, "abc", "ABC"),
    "a function of another library": ({"deserializer": json.loads}, '{"p":1.5}', {"p": 1.5}),
    "a Struct": ({"message_type": Struct}, '{"p":1.5,"q":0}', Struct(1.5)),
    "a dataclass": ({"message_type": Dataclass}, '{"p":1.5}', Dataclass(1.5)),
    "a TypedDict": ({"message_type": Dict}, '{"p":1.5}', {"p": 1.5}),
    "a pydantic model": ({"message_type": Model}, '{"p":"1.5"}', Model(p=1.5)),
    "a list": ({"message_type": list[Struct]}, '[{"p":1}]', [Struct(1.0)]),
    "a union": ({"message_type": Struct | int | None}, "null", None),
}


@pytest.mark.parametrize("options, text, expected", CASES.values(), ids=CASES)
async def test_what_is_asked_for_comes_out(exchange: Exchange, options, text, expected):
    async with WebSocket(exchange.uri, **options) as ws:
        exchange.send_text(text)
        exchange.send_text(text)
        assert await ws.recv(5) == expected
        async for message in ws:
            assert message == expected
            break


@pytest.mark.parametrize(
    "options, text",
    [
        ({"deserializer": bytes, "message_type": Dict}, "give deserializer or message_type, not both"),
        ({"deserializer": "json"}, "deserializer must be callable, got str 'json'"),
        ({"message_type": Dict | Dataclass}, "nothing that JSON can be decoded into: "),
        ({"serializer": "json"}, "serializer must be callable, got str 'json'"),
    ],
)
def test_options_that_cannot_be_right(options, text):
    with pytest.raises(TypeError, match=text):
        WebSocket("ws://127.0.0.1:1/", **options)


async def test_subscriptions_of_one_multiplex_may_differ(exchange: Exchange):
    async with multiplex(exchange.uri, deserializer=shout) as mux:
        loud = await mux.subscribe("loud")
        plain = await mux.subscribe("plain", deserializer=json.loads)
        raw = await mux.subscribe("raw", deserializer=bytes)
        typed = await mux.subscribe("typed", message_type=Dict)
        exchange.send_text('{"stream":"loud"}')
        exchange.send_text('{"stream":"plain","p":1}')
        exchange.send_text('{"stream":"raw","p":1}')
        exchange.send_text('{"stream":"typed","p":1}')
        assert await loud.recv(5) == '{"STREAM":"LOUD"}'
        assert await plain.recv(5) == {"stream": "plain", "p": 1}
        assert await raw.recv(5) == b'{"stream":"raw","p":1}'
        assert await typed.recv(5) == {"p": 1}


def refuse(payload: bytes) -> object:
    raise LookupError("not in the mood")


@pytest.mark.parametrize(
    "options, bad, words",
    [
        ({}, "{", "truncated"),
        ({}, "hello", "malformed"),
        ({"message_type": Struct}, '{"p":"1.5"}', "Expected `float`, got `str` - at `$.p`"),
        ({"message_type": Struct}, "[]", "Expected `object`, got `array`"),
        ({"message_type": Dataclass}, "{}", "missing required field `p`"),
        ({"message_type": Model}, '{"p":"x"}', "1 validation error for Model"),
        ({"deserializer": refuse}, "{}", "not in the mood"),
    ],
    ids=["truncated", "no JSON", "path", "another type", "missing", "pydantic", "raises"],
)
async def test_one_odd_message_is_raised_from_its_own_step(exchange: Exchange, options, bad, words):
    async with WebSocket(exchange.uri, **options) as ws:
        exchange.send_text(bad)
        with pytest.raises(jetsocket.DecodeError) as caught:
            await ws.recv(5)
        error = caught.value
        assert str(error).startswith(f"cannot decode a message ({len(bad)} bytes): ")
        assert words in str(error)
        assert (error.raw, error.channel) == (bad.encode(), None)
        assert error.__cause__ is not None
        assert isinstance(error, ValueError)
        assert ws.is_connected
        if "deserializer" not in options:
            exchange.send_text('{"p":1.5}')
            assert await ws.recv(5) in ({"p": 1.5}, Struct(1.5), Dataclass(1.5), Model(p=1.5))


async def test_iteration_goes_on_behind_it(exchange: Exchange):
    async with WebSocket(exchange.uri) as ws:
        for text in ("1", "{", "2", "}", "3"):
            exchange.send_text(text)
        seen: list[object] = []
        while len(seen) < 5:
            try:
                async for message in ws:
                    seen.append(message)
                    if len(seen) == 5:
                        break
            except jetsocket.DecodeError as error:
                seen.append(error.raw)
        assert seen == [1, b"{", 2, b"}", 3]


async def test_a_batch_ends_before_it(exchange: Exchange):
    async with WebSocket(exchange.uri) as ws:
        for text in ("1", "2", "{", "3"):
            exchange.send_text(text)
        marker = exchange.account().injected
        while ws.stats().messages_received < marker:
            await ws.ping(5)
        assert await ws.recv_batch() == [1, 2]
        with pytest.raises(jetsocket.DecodeError):
            await ws.recv_batch()
        assert await ws.recv_batch() == [3]


async def test_binary_that_is_no_text(scripted: Serve):
    async def script(peer: Conversation) -> None:
        await peer.accept(then=frame(BINARY, b"\xff\xfe"))
        await peer.answer_close()

    server = await scripted(script)
    async with WebSocket(server.uri, deserializer=str) as ws:
        with pytest.raises(jetsocket.DecodeError) as caught:
            await ws.recv(5)
        assert caught.value.raw == b"\xff\xfe"


# The way back.


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    "message, payload, binary",
    [
        ("text", b"text", False),
        ('{"a": 1}', b'{"a": 1}', False),
        ("", b"", False),
        (b"\xff\x00", b"\xff\x00", True),
        (bytearray(b"ab"), b"ab", True),
        (memoryview(b"abcd")[::2], b"ac", True),
        (memoryview(array.array("H", [1])), array.array("H", [1]).tobytes(), True),
        ({"a": [1, None]}, b'{"a":[1,null]}', False),
        ([1, "é"], '[1,"é"]'.encode(), False),
        (None, b"null", False),
        (7, b"7", False),
        (Point(1), b'{"x":1}', False),
        (Dataclass(1.5), b'{"p":1.5}', False),
    ],
    # Not by `repr`: where a memoryview lies differs from process to process.
    ids=lambda given: f"{type(given).__name__}-{bytes(given)}" if isinstance(given, memoryview) else repr(given),
)
async def test_what_is_sent(scripted: Serve, message, payload, binary):
    received: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    async def script(peer: Conversation) -> None:
        await peer.accept()
        opcode, data, _ = await peer.read_frame()
        received.set_result((opcode, data))
        await peer.answer_close()

    server = await scripted(script)
    async with WebSocket(server.uri) as ws:
        await ws.send(message)
        assert await received == (BINARY if binary else 1, payload)


@pytest.mark.parametrize("serializer", [json.dumps, lambda message: json.dumps(message).encode()], ids=["str", "bytes"])
async def test_a_serializer_of_ones_own(echo_uri: str, serializer):
    async with WebSocket(echo_uri, serializer=serializer) as ws:
        await ws.send({"a": 1})
        async for message in ws.messages():
            assert (message.data, message.binary) == (b'{"a": 1}', False)
            break


def pack(message: object) -> bytes:
    return b"\x81\xa1"


def give_up(message: object) -> str:
    raise RuntimeError("no")


def ask_a_cancelled_task(message: object) -> str:
    raise asyncio.CancelledError("no")


def count(message: object) -> int:
    return 3


@pytest.mark.parametrize(
    "serializer, message, text",
    [
        (None, object(), "send: the JSON serializer cannot serialise object: "),
        (None, {"a": {1, 2j}}, "send: the JSON serializer cannot serialise dict: "),
        (give_up, 1, "send: give_up cannot serialise int: no; see serializer="),
        (ask_a_cancelled_task, 1, "send: ask_a_cancelled_task cannot serialise int: no; see serializer="),
        (count, 1, "send: count must return str or bytes, got int"),
        (pack, 1, "send: pack returned bytes that are no text; use send_raw() for binary"),
    ],
)
def test_what_cannot_be_sent(serializer, message, text):
    with pytest.raises(TypeError) as caught:
        Serializing(serializer)(message)
    assert str(caught.value).startswith(text)


async def test_nothing_is_sent_of_what_cannot_be(echo_uri: str):
    async with WebSocket(echo_uri, deserializer=str) as ws:
        with pytest.raises(TypeError):
            await ws.send(object())
        with pytest.raises(TypeError):
            await ws.send_raw({"a": 1})  # type: ignore[arg-type]
        with pytest.raises(UnicodeDecodeError):
            await ws.send_raw(b"\xff", binary=False)
        await ws.send("after")
        assert await ws.recv(5) == "after"
        assert ws.stats().messages_sent == 1


# Without msgspec.

WITHOUT_MSGSPEC = """
import sys
sys.modules["msgspec"] = None
from jetsocket.decoding import Serializing, make_decoding
decode, is_json = make_decoding()
assert is_json and decode(b'{"a":null}') == {"a": None}
assert Serializing()({"a": [1]}) == (b'{"a":[1]}', False)
try:
    make_decoding(message_type=dict)
except TypeError as error:
    print(error)
"""


def test_without_msgspec_there_is_json():
    said = subprocess.run([sys.executable, "-c", WITHOUT_MSGSPEC], capture_output=True, text=True, check=True).stdout
    assert "pip install msgspec" in said


def test_plain_json_is_known_as_such():
    assert make_decoding().is_json
    assert not make_decoding(json.loads).is_json
    assert not make_decoding(None, dict).is_json
