"""No message is logged above DEBUG, whatever happens to it.

What a server says of itself is another matter: the reason of its close frame, the body of its refusal and the first
bytes of what is no HTTP are in the error's sentence, which is logged.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

import jetsocket
from jetsocket import BufferConfig, HeartbeatConfig, Multiplex, WebSocket

from .conftest import Serve
from .leaks import logged
from .peers import (
    AT_ONCE,
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Conversation,
    ScriptedServer,
    close_frame,
    frame,
    told,
)
from .refusals import answering, http

SIGN = "p4yl0ad"
MESSAGE = json.dumps({"stream": "a", "data": SIGN, "kind": SIGN})
# Long enough for every size of frame, and for compression.
LONG = SIGN * 10_000


class Kind(enum.Enum):
    """Of trades."""

    BUY = "buy"


class Trade(msgspec.Struct):
    """Msgspec quotes what is no `Kind`."""

    kind: Kind


def tells(message: Any) -> Any:
    """A user's function that fails with the message in its words."""
    raise ValueError(f"what is {message!r}?")


def sending(*frames: bytes, then: Callable[[Conversation], Awaitable[object]] | None = None) -> Any:
    """Opens the connection, sends, and goes on until the client closes."""

    async def script(peer: Conversation) -> None:
        await peer.accept(then=b"".join(frames))
        await (peer.answer_close() if then is None else then(peer))

    return script


async def drained(ws: WebSocket[Any]) -> None:
    """Take all that comes, until the connection is lost or half a tenth of a second nothing did."""
    while True:
        try:
            await ws.recv(0.05)
        except jetsocket.DecodeError:
            continue
        except jetsocket.JetSocketError:
            return


async def plain(uri: str, act: Callable[[WebSocket[Any]], Awaitable[Any]] = drained, **options: Any) -> None:
    """A WebSocket's life."""
    ws: WebSocket[Any] = WebSocket(uri, **{"reconnect": False, "close_timeout": 1.0, **options})
    await ws.connect()
    with suppress(jetsocket.JetSocketError):
        await act(ws)
    await ws.close()


async def many(uri: str, act: Callable[[Multiplex[Any]], Awaitable[Any]] | None = None, **options: Any) -> None:
    """A Multiplex's life, subscribed to "a"."""
    if not options.keys() & {"channel_key", "channel_extractor"}:
        options["channel_key"] = "stream"
    mux: Multiplex[Any] = Multiplex(uri, **{"reconnect": False, "close_timeout": 1.0, **options})
    async with mux:
        subscription = await mux.subscribe("a")
        if act is not None:
            await act(mux)
        with suppress(jetsocket.JetSocketError):
            while True:
                try:
                    await subscription.recv(0.05)
                except jetsocket.DecodeError:
                    continue


async def send_all(ws: WebSocket[Any]) -> None:
    for message in (SIGN, SIGN.encode(), {"data": SIGN}, LONG):
        await ws.send(message)
    await ws.send_raw(SIGN)
    for bad in ({"data": {SIGN, object()}}, {(SIGN,): SIGN, SIGN: object()}):
        with pytest.raises(TypeError):
            await ws.send(bad)
    with pytest.raises(ValueError):
        await ws.send_raw(f"{SIGN}\xff".encode("latin-1"), binary=False)


async def hang_up(peer: Conversation) -> None:
    peer.writer.close()


async def reset(peer: Conversation) -> None:
    peer.reset()


async def let_go(peer: Conversation) -> None:
    await peer.ended()


def subscribes_badly(how: dict[str, Any]) -> Callable[[str], Awaitable[None]]:
    """A subscription that cannot be made again after a reconnect."""

    async def life(uri: str) -> None:
        async def lose(mux: Multiplex[Any]) -> None:
            again = told(mux, "reconnected")
            calls.append(1)
            await mux.send("go")
            await again.get()

        calls: list[int] = []

        def subscribe_msg(channel: str) -> Any:
            if calls and how.get("raises"):
                tells(SIGN)
            return {"channel": channel, "key": SIGN, **({"odd": object()} if calls else {})}

        def serializer(message: Any) -> str:
            if calls and isinstance(message, dict):
                tells(message)
            return str(message)

        await many(
            uri, lose, reconnect=True, backoff=AT_ONCE, subscribe_msg=subscribe_msg,
            serializer=serializer if how.get("serializer") else None,
        )  # fmt: skip

    return life


async def first_lost(peer: Conversation) -> None:
    """Reads up to the message that says so, and hangs up."""
    while (await peer.read_frame()).payload != b"go":
        pass


async def handlers_that_raise(uri: str) -> None:
    ws: WebSocket[Any] = WebSocket(uri, heartbeat=MATCHING, close_timeout=1.0)
    raised = asyncio.Event()

    def sync(*facts: Any) -> None:
        raise RuntimeError(f"{SIGN} {facts}")

    async def later(*facts: Any) -> None:
        asyncio.get_running_loop().call_soon(raised.set)
        raise facts[0] if facts else KeyError(SIGN)

    for event in ("connected", "error", "closed"):
        ws.on(event, sync)
        ws.on(event, later)
    async with ws:
        await raised.wait()
        await drained(ws)


async def deflating(peer: Conversation, *frames: bytes) -> None:
    await peer.accept("Sec-WebSocket-Extensions: permessage-deflate", then=b"".join(frames))
    await peer.ended()


PARTS = [frame(TEXT, SIGN, fin=False), frame(CONT, SIGN)]
MATCHING = HeartbeatConfig(interval=30, payload="{}", use_application_ping=True, pong_matcher=tells)
DEFLATED = zlib.compress(LONG.encode(), wbits=-15)
# What the server does on each connection, and what is done with the messages.
LIVES: dict[str, tuple[list[Any], Callable[[str], Awaitable[None]]]] = {
    "received": ([sending(frame(TEXT, MESSAGE), *PARTS, frame(BINARY, LONG))], plain),
    "sent": ([sending()], lambda uri: plain(uri, send_all)),
    "sent, compressed": (
        [deflating],
        lambda uri: plain(uri, send_all, compression_threshold=1),
    ),
    "no JSON": ([sending(frame(TEXT, SIGN), frame(BINARY, SIGN), frame(TEXT, f'{{"{SIGN}":'))], plain),
    "of another type": ([sending(frame(TEXT, MESSAGE))], lambda uri: plain(uri, message_type=Trade)),
    "a deserializer that raises": ([sending(frame(TEXT, MESSAGE))], lambda uri: plain(uri, deserializer=tells)),
    "a channel's, undecodable": ([sending(frame(TEXT, MESSAGE))], lambda uri: many(uri, message_type=Trade)),
    "unroutable": (
        [sending(frame(TEXT, SIGN), frame(TEXT, f'{{"stream":"{SIGN}"}}'), frame(TEXT, f'{{"stream":["{SIGN}"]}}'))],
        many,
    ),
    "an extractor that raises": (
        [sending(frame(TEXT, MESSAGE), frame(TEXT, MESSAGE))],
        lambda uri: many(uri, channel_extractor=tells),
    ),
    "an extractor that gives no channel": (
        [sending(frame(TEXT, MESSAGE))],
        lambda uri: many(uri, channel_extractor=lambda message: [message]),
    ),
    "nothing that an extractor could see": (
        [sending(frame(TEXT, SIGN), frame(TEXT, MESSAGE))],
        lambda uri: many(uri, channel_extractor=lambda _: "a", message_type=Trade),
    ),
    "a pong_matcher that raises": ([sending(frame(TEXT, MESSAGE))], lambda uri: plain(uri, heartbeat=MATCHING)),
    "a multiplex's pong_matcher that raises": (
        [sending(frame(TEXT, f'{{"x":"{SIGN}"}}'))],
        lambda uri: many(uri, heartbeat=MATCHING),
    ),
    "handlers that raise": ([sending(frame(TEXT, MESSAGE))], handlers_that_raise),
    "a subscribe_msg that raises": ([sending(then=first_lost), sending()], subscribes_badly({"raises": True})),
    "a subscribe_msg that cannot be sent": ([sending(then=first_lost), sending()], subscribes_badly({})),
    "a serializer that raises": ([sending(then=first_lost), sending()], subscribes_badly({"serializer": True})),
    "closed with a reason by the client": ([sending()], lambda uri: plain(uri, lambda ws: ws.close(4000, SIGN))),
    "closed, and not answered": (
        [sending(then=let_go)],
        lambda uri: plain(uri, lambda ws: ws.close(1000, SIGN), close_timeout=0.05),
    ),
    "dropped from a full queue": (
        [sending(*[frame(TEXT, MESSAGE)] * 10)],
        lambda uri: plain(uri, buffer=BufferConfig(2, "drop_oldest")),
    ),
    "dropped from a channel's full queue": (
        [sending(*[frame(TEXT, MESSAGE)] * 10)],
        lambda uri: many(uri, queue_size=2),
    ),
    "pings and pongs": ([sending(frame(PING, SIGN), frame(PONG, SIGN))], plain),
    "too long a ping": ([sending(frame(PING, SIGN * 20), then=let_go)], plain),
    "fragmented control frames": ([sending(frame(PONG, SIGN, fin=False), then=let_go)], plain),
    "a reserved opcode": ([sending(frame(3, SIGN), then=let_go)], plain),
    "no UTF-8": ([sending(frame(TEXT, SIGN.encode() + b"\xff"), then=let_go)], plain),
    "no UTF-8 in a close frame": ([sending(frame(CLOSE, b"\x03\xe8" + SIGN.encode() + b"\xff"), then=let_go)], plain),
    "a fragment without a beginning": ([sending(frame(CONT, SIGN), then=let_go)], plain),
    "too big": ([sending(frame(TEXT, LONG), then=let_go)], lambda uri: plain(uri, max_message_size=100)),
    "too big when inflated": (
        [lambda peer: deflating(peer, frame(TEXT, DEFLATED, rsv1=True))],
        lambda uri: plain(uri, max_message_size=1000),
    ),
    "what does not inflate": ([lambda peer: deflating(peer, frame(TEXT, SIGN, rsv1=True))], plain),
    "cut amid a message": ([sending(frame(TEXT, LONG)[:-1], then=hang_up)], plain),
    "reset amid a message": ([sending(frame(TEXT, LONG)[:-1], then=reset)], plain),
    "never read": ([sending(frame(TEXT, MESSAGE))], lambda uri: plain(uri, lambda ws: ws.ping(1))),
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("what", LIVES)
async def test_no_message_is_logged_above_debug(
    scripted: Serve, caplog: pytest.LogCaptureFixture, what: str, debug: bool
) -> None:
    caplog.set_level(logging.INFO)
    if debug:
        # Asyncio then logs every callback with its arguments, at WARNING.
        asyncio.get_running_loop().set_debug(True)
        asyncio.get_running_loop().slow_callback_duration = 0.0
    scripts, live = LIVES[what]
    server: ScriptedServer = await scripted(*scripts)
    await asyncio.wait_for(live(server.uri), 20)
    assert server.accepted == len(scripts)
    words = logged(caplog, logging.INFO)
    assert f"{server.uri}: closed" in words, "nothing was logged at all"
    assert SIGN not in words


@pytest.mark.parametrize(
    "what, says",
    [
        (
            "an extractor that raises",
            ": a message could not be routed: ValueError in tells (test_unlogged_payloads.py:",
        ),
        (
            "a pong_matcher that raises",
            ": pong_matcher failed on a message: ValueError in tells (test_unlogged_payloads.py:",
        ),
        ("a subscribe_msg that raises", "'a': subscribe_msg failed: ValueError in tells (test_unlogged_payloads.py:"),
        ("handlers that raise", "a handler of 'connected' raised: RuntimeError in sync (test_unlogged_payloads.py:"),
    ],
)
async def test_a_users_function_that_raises_is_named_and_at_debug_quoted(
    scripted: Serve, caplog: pytest.LogCaptureFixture, what: str, says: str
) -> None:
    caplog.set_level(logging.DEBUG, "jetsocket")
    scripts, live = LIVES[what]
    server: ScriptedServer = await scripted(*scripts)
    await asyncio.wait_for(live(server.uri), 20)
    assert says in logged(caplog, logging.INFO)
    told_more = [record for record in caplog.records if record.levelno == logging.DEBUG and record.exc_info]
    assert any(SIGN in str(record.exc_info[1]) for record in told_more if record.exc_info)


@pytest.mark.parametrize(
    "script",
    [
        sending(close_frame(1008, f"bad {SIGN}")),
        answering(http("401 Unauthorized", SIGN.encode())),
        answering(f"SSH-2.0-{SIGN}\r\n".encode()),
    ],
    ids=["close reason", "body of a refusal", "no HTTP"],
)
async def test_what_a_server_says_of_itself_is_logged(
    scripted: Serve, caplog: pytest.LogCaptureFixture, script: Any
) -> None:
    server: ScriptedServer = await scripted(script)
    ws: WebSocket[Any] = WebSocket(server.uri, reconnect=False)
    with pytest.raises(jetsocket.ConnectionError):
        await ws.connect()
        await ws.recv(5)
    await ws.close()
    assert SIGN in logged(caplog, logging.WARNING)
