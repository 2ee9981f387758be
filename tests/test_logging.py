"""What is logged, where, and how loud."""

from __future__ import annotations

import logging

import pytest

import jetsocket
from jetsocket import WebSocket
from jetsocket.testing import Exchange

from .peers import AT_ONCE, multiplex, told

NAMES = {"jetsocket.connection", "jetsocket.reconnect", "jetsocket.subscriptions", "jetsocket.cli"}


def lines(caplog: pytest.LogCaptureFixture, name: str, level: int) -> list[str]:
    return [line for logger, severity, line in caplog.record_tuples if (logger, severity) == (name, level)]


def test_a_null_handler_on_the_root_alone():
    assert [type(handler) for handler in logging.getLogger("jetsocket").handlers] == [logging.NullHandler]
    assert all(not logging.getLogger(name).handlers for name in NAMES)


async def test_a_failed_first_connect_is_a_warning(caplog: pytest.LogCaptureFixture):
    with pytest.raises(jetsocket.ConnectionError) as caught:
        await WebSocket("ws://127.0.0.1:1").connect()
    assert caplog.record_tuples == [("jetsocket.connection", logging.WARNING, str(caught.value))]


async def test_a_quiet_life_has_no_warnings(exchange: Exchange, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "jetsocket")
    async with multiplex(exchange.uri) as mux:
        await mux.subscribe("btcusdt@trade")
    ours = [record for record in caplog.records if record.name.startswith("jetsocket")]
    assert ours
    assert {record.name for record in ours} <= NAMES
    assert max(record.levelno for record in ours) == logging.INFO


async def test_every_reconnect_is_a_warning(exchange: Exchange, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "jetsocket")
    mux = multiplex(exchange.uri)
    lost, again = told(mux, "disconnected"), told(mux, "reconnected")
    async with mux:
        await mux.subscribe("btcusdt@trade")
        await exchange.wait_subscribed("btcusdt@trade")
        for _ in range(2):
            exchange.drop_all()
            error = await lost.get()
            await again.get()
            assert f"{error}; connecting again in 0.0 s" in lines(caplog, "jetsocket.reconnect", logging.WARNING)
    assert len(lines(caplog, "jetsocket.reconnect", logging.WARNING)) == 2
    assert lines(caplog, "jetsocket.reconnect", logging.INFO) == [f"{exchange.uri}: connected again"] * 2
    asked = lines(caplog, "jetsocket.subscriptions", logging.INFO)
    assert len(asked) == 2
    assert all(line.startswith(f"{exchange.uri}: ") for line in asked)


async def test_credentials_are_never_logged(exchange: Exchange, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "jetsocket")
    uri = exchange.uri.replace("ws://", "ws://user:secret@")
    ws = WebSocket(uri, backoff=AT_ONCE)
    again = told(ws, "reconnected")
    async with ws:
        exchange.drop_all()
        await again.get()
    assert caplog.records
    assert "secret" not in caplog.text
