"""Every asynchronous test of the public API runs on asyncio's event loop or on uvloop's, on which is asked for with
`--loop`; where the loop matters on both. None leaves a task or a socket behind."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from ssl import SSLContext

import pytest
import uvloop
from pytest_asyncio import is_async_test
from websockets.asyncio.server import ServerConnection, serve

from jetsocket.testing import Exchange

from .dialects import DIALECTS
from .peers import Script, ScriptedServer
from .recordings import RECORDINGS

HERE = Path(__file__).parent
# The folders whose tests are of the public API.
PUBLIC = (HERE, HERE / "hostile")
# Of those, what runs on both event loops whatever is asked: how sockets are read, how awaiting goes through the loop.
ON_BOTH = frozenset(
    f"test_{name}.py"
    for name in (
        "cancellation",
        "heartbeat",
        "link",
        "link_resting",
        "multiplex",
        "reconnect",
        "subscription",
        "subscription_listening",
        "tls",
        "websocket",
        "websocket_listening",
    )
)
# Repeated in asyncio's debug mode, they are long.
IN_DEBUG_TOO = frozenset({"test_secrets.py", "test_unlogged_payloads.py"})
# Seconds that an asynchronous test may take.
LIMIT = 45.0
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS: Mapping[str, LoopFactory] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Serve = Callable[..., Awaitable[ScriptedServer]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop",
        choices=(*LOOPS, "both"),
        default="asyncio",
        help="the event loop of the public API's tests, but for those that run on both; default: %(default)s",
    )


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """As was asked for the public API; elsewhere asyncio's own, unless the conftest there says otherwise."""
    if item.path.parent not in PUBLIC:
        return {"asyncio": LOOPS["asyncio"]}
    chosen = "both" if item.path.name in ON_BOTH else config.getoption("loop")
    return LOOPS if chosen == "both" else {chosen: LOOPS[chosen]}


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("recorded") is not None and not RECORDINGS.is_dir():
        pytest.skip(f"there are no recordings in {RECORDINGS}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is repeated in asyncio's debug mode is repeated only where slow tests are asked for, if it is long."""
    for item in items:
        called = getattr(item, "callspec", None)
        if called is not None and item.path.name in IN_DEBUG_TOO and "debug" in called.id.split("-"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Ten thousand tests are not looked through by every `gc.collect()` of theirs."""
    gc.collect()
    gc.freeze()


def open_files() -> list[int]:
    """The process's descriptors."""
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            # The descriptor that listed the others.
            continue
        found.append(int(name))
    return sorted(found)


def open_sockets() -> list[int]:
    """Those that are sockets; an event loop opens other files when it likes."""
    return [number for number in open_files() if stat.S_ISSOCK(os.fstat(number).st_mode)]


@pytest.fixture(scope="session")
def _opened_once() -> None:
    """What a library opens at its first use and keeps is no leak."""
    for factory in LOOPS.values():
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.sleep(0))


@pytest.fixture(autouse=True)
def no_files_left(request: pytest.FixtureRequest, _opened_once: None) -> Iterator[None]:
    """After a test, its event loop closed, nothing is open that was not open before."""
    before = open_files()
    yield
    if request.path.parent in PUBLIC:
        assert open_files() == before


@pytest.fixture(autouse=True)
def no_tasks_left(request: pytest.FixtureRequest, no_files_left: None) -> None:
    """See `quiet_loop`."""
    if request.path.parent in PUBLIC and is_async_test(request.node):
        request.getfixturevalue("quiet_loop")


def _cancel_everything() -> None:
    for task in asyncio.all_tasks():
        task.cancel(f"the test took more than {LIMIT} s")


@pytest.fixture
async def quiet_loop() -> AsyncIterator[None]:
    """After a test, its fixtures gone, its loop still open: no task but this one, and no socket."""
    before = len(open_sockets())
    # A signal does not get through to a test that waits in uvloop; this does.
    overdue = asyncio.get_running_loop().call_later(LIMIT, _cancel_everything)
    yield
    overdue.cancel()
    # Transports close their sockets in the loop's next turns, those of TLS after a round trip.
    try:
        async with asyncio.timeout(2):
            while len(open_sockets()) > before or len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
    except TimeoutError:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        assert len(open_sockets()) == before


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Each exchange that `.dialects` can play."""
    return str(request.param)


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """An exchange that sends what is published."""
    async with Exchange(paused=True) as opened:
        yield opened


@pytest.fixture
async def scripted() -> AsyncIterator[Serve]:
    """Opens servers that play scripts: `server = await scripted(script, ...)`, one script a connection."""
    servers: list[ScriptedServer] = []

    async def opened(*scripts: Script, ssl: SSLContext | None = None) -> ScriptedServer:
        server = ScriptedServer(*scripts, ssl=ssl)
        await server.open()
        servers.append(server)
        return server

    yield opened
    # All of them, whatever one fails with: uvloop waits for ever for a server that is left open.
    for outcome in await asyncio.gather(*(server.close() for server in servers), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


@pytest.fixture
async def echo_uri() -> AsyncIterator[str]:
    """Another implementation's server, with compression, that sends everything back."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"
