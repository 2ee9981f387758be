"""Arguments: the defaults, and what cannot be right refused before anything else happens."""

from __future__ import annotations

import inspect
import ssl
from typing import Any

import pytest

import jetsocket
from jetsocket import BackoffConfig, BufferConfig, HeartbeatConfig, Multiplex, MultiplexConfig, WebSocket
from jetsocket.options import Options

from .conftest import Serve
from .peers import AT_ONCE, Conversation, told

NOBODY = "ws://127.0.0.1:1"

DEFAULTS = {
    "reconnect": True,
    "backoff": None,
    "max_connection_age": None,
    "heartbeat": None,
    "buffer": None,
    "serializer": None,
    "deserializer": None,
    "message_type": None,
    "ssl_context": None,
    "extra_headers": None,
    "subprotocols": None,
    "compress": True,
    "compression_threshold": 128,
    "connect_timeout": 10.0,
    "close_timeout": 5.0,
    "max_message_size": 64 * 2**20,
    "proxy": None,
}


def defaults_of(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def multiplex(**options: Any) -> Multiplex[Any]:
    return Multiplex(NOBODY, **{"channel_key": "stream", **options})


def test_the_signature_of_a_websocket():
    assert list(inspect.signature(WebSocket).parameters) == ["uri", *DEFAULTS]
    assert defaults_of(WebSocket) == DEFAULTS


def test_the_signature_of_a_multiplex():
    own = {
        "channel_key": None,
        "channel_extractor": None,
        "subscribe_msg": None,
        "unsubscribe_msg": None,
        "queue_size": 1000,
        "venue": None,
        "max_bytes": 0,
        "overflow": "drop_oldest",
        "sequence": None,
        "data_timeout": None,
        "on_connect": None,
        "manager_kwargs": None,
    }
    connection = {name: value for name, value in DEFAULTS.items() if name != "buffer"}
    assert list(inspect.signature(Multiplex).parameters) == ["uri", "config", *own, *connection]
    assert defaults_of(Multiplex) == own | connection


def test_the_defaults_of_the_configurations():
    assert BackoffConfig() == BackoffConfig(
        base=1.0, multiplier=2.0, cap=60.0, jitter=True, max_attempts=0, reset_after=60.0
    )
    assert BufferConfig() == BufferConfig(capacity=10_000, overflow_policy="block", max_bytes=64 * 2**20)
    assert MultiplexConfig(str) == MultiplexConfig(
        channel_extractor=str, subscribe_message=None, unsubscribe_message=None, queue_size=1000
    )
    assert list(HeartbeatConfig.__dataclass_fields__) == [
        "interval",
        "timeout",
        "payload",
        "use_ws_ping",
        "use_application_ping",
        "pong_matcher",
    ]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_may_be_given_as_its_default(name: str):
    WebSocket(NOBODY, **{name: DEFAULTS[name]})


@pytest.mark.parametrize(
    "options, kind, text",
    [
        ({"reconnect": 1}, TypeError, "reconnect must be True or False, got int 1"),
        ({"compress": "yes"}, TypeError, "compress must be True or False, got str 'yes'"),
        ({"backoff": 1.0}, TypeError, "backoff must be of BackoffConfig or None, got float 1.0"),
        ({"ssl_context": True}, TypeError, "ssl_context must be of SSLContext or None, got bool True"),
        ({"max_connection_age": "1d"}, TypeError, "max_connection_age must be seconds or None, got str '1d'"),
        ({"max_connection_age": 0}, ValueError, "max_connection_age must be seconds or None, more than 0, got 0"),
        ({"connect_timeout": None}, TypeError, "connect_timeout must be seconds, got NoneType None"),
        ({"connect_timeout": -1}, ValueError, "connect_timeout must be seconds, more than 0, got -1"),
        ({"close_timeout": float("nan")}, ValueError, "close_timeout must be seconds, more than 0, got nan"),
        ({"close_timeout": float("inf")}, ValueError, "close_timeout must be seconds, more than 0, got inf"),
        ({"heartbeat": True}, TypeError, "heartbeat must be seconds or None, got bool True"),
        ({"heartbeat": 0}, ValueError, "heartbeat must be seconds or None, more than 0, got 0"),
        ({"max_message_size": 1e6}, TypeError, "max_message_size must be a whole number, got float 1000000.0"),
        ({"max_message_size": -1}, ValueError, "max_message_size must be non-negative, got -1"),
        ({"compression_threshold": True}, TypeError, "compression_threshold must be a whole number, got bool True"),
        ({"extra_headers": "a: b"}, TypeError, "extra_headers must be a mapping or pairs of str, got str"),
        ({"extra_headers": ["a: b"]}, TypeError, "extra_headers must be a mapping or pairs of str, got str in it"),
        ({"extra_headers": {"Upgrade": "x"}}, ValueError, "header 'Upgrade' is set by the upgrade itself"),
        ({"subprotocols": "chat"}, TypeError, "subprotocols must be a list of str, got str 'chat'"),
        ({"subprotocols": ["a b"]}, ValueError, "subprotocol 'a b' is not a valid token"),
        ({"proxy": 8080}, TypeError, "proxy must be an address, True or None, got int"),
        ({"serializer": "json"}, TypeError, "serializer must be callable, got str 'json'"),
        ({"deserializer": "json"}, TypeError, "deserializer must be callable, got str 'json'"),
        ({"message_type": 3}, TypeError, "message_type=3: nothing that JSON can be decoded into"),
        ({"message_type": dict, "deserializer": bytes}, TypeError, "give deserializer or message_type, not both"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize(
    "make", [lambda **options: WebSocket(NOBODY, **options), multiplex], ids=["WebSocket", "Multiplex"]
)
def test_what_cannot_be_right_is_refused_at_once(make, options, kind, text):
    with pytest.raises(kind) as caught:
        make(**options)
    assert str(caught.value).startswith(text)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "make, kind, text",
    [
        (lambda: WebSocket(NOBODY, buffer=-1), ValueError, "buffer must be non-negative, got -1"),
        (lambda: WebSocket(NOBODY, buffer="1"), TypeError, "buffer must be a whole number, got str '1'"),
        (lambda: BufferConfig(capacity=-1), ValueError, "buffer capacity must be non-negative, got -1"),
        (lambda: BufferConfig(max_bytes=None), TypeError, "buffer max_bytes must be a whole number, got NoneType None"),
        (
            lambda: BufferConfig(overflow_policy="drop"),
            ValueError,
            "buffer overflow_policy must be one of drop_oldest, drop_newest, block, got 'drop'",
        ),
        (lambda: multiplex(queue_size=-1), ValueError, "queue_size must be non-negative, got -1"),
        (lambda: multiplex(queue_size=1.5), TypeError, "queue_size must be a whole number, got float 1.5"),
        (lambda: MultiplexConfig(str, queue_size=-1), ValueError, "queue_size must be non-negative, got -1"),
        (lambda: MultiplexConfig(None), TypeError, "channel_extractor must be callable, got NoneType None"),
        (
            lambda: MultiplexConfig(str, subscribe_message={}),
            TypeError,
            "subscribe_message must be callable or None, got dict {}",
        ),
        (lambda: multiplex(subscribe_msg="x"), TypeError, "subscribe_msg must be callable or None, got str 'x'"),
        (lambda: multiplex(unsubscribe_msg=1), TypeError, "unsubscribe_msg must be callable or None, got int 1"),
        (lambda: multiplex(buffer=10), TypeError, "Multiplex() has no option 'buffer'"),
        (lambda: Multiplex(NOBODY, {}), TypeError, "config must be a MultiplexConfig or None, got dict {}"),
        (lambda: Multiplex(NOBODY), ValueError, "Multiplex needs venue, channel_key, channel_extractor or config"),
        (lambda: multiplex(channel_extractor=str), ValueError, "give channel_key or channel_extractor, not both"),
        (lambda: multiplex(channel_key="a..b"), ValueError, "channel key 'a..b': expected a name or an index"),
        (lambda: multiplex(channel_key=3), TypeError, "a channel key must be a str, got int 3"),
        (lambda: WebSocket(None), TypeError, "uri must be a str, got NoneType"),
        (lambda: BackoffConfig(base=-1), ValueError, "backoff base must be seconds, at least 0, got -1"),
    ],
)
def test_what_cannot_be_right_elsewhere(make, kind, text):
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value).startswith(text)
    assert type(caught.value) is kind


def test_an_unknown_keyword_is_refused_wherever_it_stands():
    for given in ({"max_size": 1}, {"manager_kwargs": {"max_size": 1}}):
        with pytest.raises(TypeError, match=r"^Multiplex\(\) has no option 'max_size'"):
            multiplex(**given)


def test_a_misspelt_keyword_of_its_own_is_not_a_missing_one():
    with pytest.raises(TypeError, match=r"^Multiplex\(\) has no option 'chanel_key'; did you mean 'channel_key'\?$"):
        Multiplex(NOBODY, chanel_key="stream")


def test_manager_kwargs_of_another_type():
    with pytest.raises(TypeError, match=r"^manager_kwargs must be of Mapping or None, got int 5$"):
        multiplex(manager_kwargs=5)


def test_a_config_wins_over_the_keywords():
    config = MultiplexConfig(lambda message: message["c"], queue_size=5)
    Multiplex(NOBODY, config, channel_key="not[valid", queue_size=-1)


def test_keywords_win_over_manager_kwargs():
    Multiplex(NOBODY, channel_key="stream", manager_kwargs={"heartbeat": "20"}, heartbeat=20)


def test_manager_kwargs_are_left_alone():
    given = {"heartbeat": 20}
    multiplex(manager_kwargs=given, connect_timeout=1)
    assert given == {"heartbeat": 20}


async def test_what_is_given_is_read_once(scripted: Serve):
    # An iterator would be spent after the first connection, a mapping may change.
    seen: list[tuple[str | None, str | None]] = []

    async def script(peer: Conversation) -> None:
        await peer.read_request()
        seen.append((peer.header("X-Key"), peer.header("Sec-WebSocket-Protocol")))
        await peer.send(peer.acceptance("Sec-WebSocket-Protocol: v2"))
        if len(seen) == 1:
            peer.reset()
        else:
            await peer.answer_close()

    server = await scripted(script)
    headers = {"X-Key": "first"}
    ws = WebSocket(server.uri, extra_headers=headers, subprotocols=iter(["v1", "v2"]), backoff=AT_ONCE)
    again = told(ws, "reconnected")
    headers["X-Key"] = "second"
    async with ws:
        await again.get()
        assert ws.subprotocol == "v2"
    assert seen == [("first", "v1, v2")] * 2


def test_options_are_frozen():
    options = Options(heartbeat=20)
    with pytest.raises(AttributeError):
        options.heartbeat = 10  # type: ignore[misc]


def test_a_context_is_taken_as_it_is():
    context = ssl.create_default_context()
    assert Options(ssl_context=context).ssl_context is context


def test_the_public_names():
    for name in jetsocket.__all__:
        assert getattr(jetsocket, name) is not None
