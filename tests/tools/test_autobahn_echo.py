"""tools/autobahn_echo.py: the client that the suite judges, against a server that plays the suite's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tools.autobahn_echo import ask, run_case, run_cases


class FuzzingServer:
    """Case 1 sends messages, case 2 breaks the rules, case 3 never ends. `log` has what it was asked for."""

    def __init__(self) -> None:
        self.uri = ""
        self.log: list[str] = []
        self.echoes: list[str | bytes] = []

    async def play(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.log.append(connection.request.path)
        asked = urlsplit(connection.request.path)
        if asked.path == "/runCase":
            await self.play_case(connection, parse_qs(asked.query)["case"][0])
        elif asked.path == "/getCaseStatus":
            await connection.send('{"behavior": "OK"}')
        elif asked.path == "/updateReports":
            connection.transport.write(b"\x88\x00")  # a close frame without a code

    async def play_case(self, connection: ServerConnection, case: str) -> None:
        if case == "1":
            for message in ("", "grüezi", b"", b"\xff" * 70000):
                await connection.send(message)
                self.echoes.append(await connection.recv())
        elif case == "2":
            connection.transport.write(b"\xf1\x00")  # reserved bits
            await connection.wait_closed()
        else:
            await connection.wait_closed()


@pytest.fixture
async def suite() -> AsyncIterator[FuzzingServer]:
    server = FuzzingServer()
    async with serve(server.play, "127.0.0.1", 0, max_size=None) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.uri = f"ws://127.0.0.1:{port}"
        yield server


async def test_echoes_text_as_text_and_binary_as_binary(suite: FuzzingServer) -> None:
    assert await run_case(f"{suite.uri}/runCase?case=1&agent=a", limit=10.0)
    assert suite.echoes == ["", "grüezi", b"", b"\xff" * 70000]


async def test_a_server_that_breaks_the_rules_ends_the_case(suite: FuzzingServer) -> None:
    assert await run_case(f"{suite.uri}/runCase?case=2&agent=a", limit=10.0)


async def test_a_case_without_end_is_given_up(suite: FuzzingServer) -> None:
    assert not await run_case(f"{suite.uri}/runCase?case=3&agent=a", limit=0.1)


async def test_no_connection_is_no_verdict() -> None:
    with pytest.raises(ConnectionError, match="refused the connection"):
        await run_case("ws://127.0.0.1:1/runCase?case=1&agent=a", limit=10.0)


async def test_an_answer_or_none(suite: FuzzingServer) -> None:
    assert await ask(f"{suite.uri}/getCaseStatus?case=1&agent=a", limit=10.0) == '{"behavior": "OK"}'
    assert await ask(f"{suite.uri}/updateReports?agent=a", limit=10.0) == ""


async def test_runs_the_cases_and_waits_for_the_last_verdict(suite: FuzzingServer) -> None:
    lines: list[str] = []
    await run_cases(suite.uri, "me", [1, 2], 10.0, lines.append)
    assert [(told["case"], told["timed_out"]) for told in map(json.loads, lines)] == [(1, False), (2, False)]
    assert suite.log == [
        "/runCase?case=1&agent=me",
        "/runCase?case=2&agent=me",
        "/getCaseStatus?case=2&agent=me",
        "/updateReports?agent=me",
    ]
