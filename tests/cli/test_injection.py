"""Options whose text would be more than text: refused before anything is connected to, in one line without a secret."""

from __future__ import annotations

import pytest

from jetsocket.testing import Exchange

from ..conftest import Serve
from ..refusals import mute
from .conftest import alongside

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "args, named",
    [
        (["-H", f"X-Key: {SECRET}\r\nX-Injected: yes"], "header 'X-Key' must not contain"),
        (["-H", f"X-Key\nX-Injected: {SECRET}"], "the name of a header cannot hold"),
        (["-H", f"Authorization Bearer {SECRET}"], "expected NAME:VALUE"),
        (["-H", f": {SECRET}"], "it has no name"),
        (["-o", f"http://{SECRET}\r\nX-Injected: yes"], "header 'Origin' must not contain"),
        (["-s", "a\r\nX-Injected: yes"], "subprotocol"),
        (["--proxy", f"http://user:{SECRET}\r\n@127.0.0.1:1"], "proxy must be"),
        (["--proxy", f"ftp://user:{SECRET}@127.0.0.1:1"], "proxy must be"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
@pytest.mark.parametrize("command", ["listen", "doctor"])
async def test_the_command_line(scripted: Serve, command: str, args: list[str], named: str) -> None:
    server = await scripted(mute)
    done = await alongside(command, server.uri, *args)
    assert (done.code, done.out) == (2, "")
    assert named in done.err
    assert len(done.err.splitlines()) == 1
    assert SECRET not in done.err
    assert server.accepted == 0


@pytest.mark.parametrize("command", ["listen", "doctor"])
async def test_the_command_lines_address(command: str) -> None:
    async with Exchange(paused=True) as exchange:
        done = await alongside(command, f"ws://user:{SECRET}@127.0.0.1:{exchange.port}/\r\nX-Injected: yes")
        assert (done.code, done.out) == (2, "")
        assert "cannot stand in an address" in done.err
        assert SECRET not in done.err
        assert exchange.account().accepted == 0
