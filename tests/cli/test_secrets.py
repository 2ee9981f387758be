"""The command line is given secrets, and tells none of them. What the server says is printed, and is no secret."""

from __future__ import annotations

import pytest

from ..conftest import Serve
from ..leaks import HEADERS, PROXY_USERINFO, check, planted
from ..peers import Conversation, close_frame, text
from ..proxies import connect_proxy
from ..refusals import answering, http
from .conftest import alongside


async def greet(peer: Conversation) -> None:
    """A message, and a close frame."""
    await peer.accept(then=text("1") + close_frame())
    await peer.read_frame()


@pytest.mark.parametrize("command", ["listen", "doctor"])
@pytest.mark.parametrize("kind", ["open", "401", "proxy", "proxy of the environment", "refused port"])
async def test_the_command_line_tells_no_secret(scripted: Serve, command: str, kind: str):
    script = answering(http("401 Unauthorized")) if kind == "401" else greet
    uri = "ws://127.0.0.1:1/" if kind == "refused port" else (await scripted(script)).uri
    args = [arg for name, value in HEADERS.items() for arg in ("-H", f"{name}: {value}")]
    extra = {}
    if kind.startswith("proxy"):
        proxy = f"http://{PROXY_USERINFO}@127.0.0.1:{(await scripted(connect_proxy([], None, 'a:b'))).port}"
        args += ["--proxy", proxy] if kind == "proxy" else []
        extra = {"ws_proxy": proxy, "no_proxy": "", "NO_PROXY": ""}
    limits = ["--no-reconnect"] if command == "listen" else []
    done = await alongside(command, planted(uri), *args, "-vv", *limits, PYTHONASYNCIODEBUG="1", **extra)
    assert uri in done.err + done.out or done.code == 0
    check(done.out + done.err)


async def test_info_tells_no_secret():
    environment = {"JETSOCKET_HEADER": "Cookie: pl4nted-cookie", "https_proxy": f"http://{PROXY_USERINFO}@p"}
    done = await alongside("info", **environment)
    assert done.code == 0
    check(done.out + done.err)
