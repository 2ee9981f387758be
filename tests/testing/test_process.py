from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from jetsocket.testing import Exchange

from .conftest import client

BTC = "btcusdt@trade"


async def test_the_same_commands_from_outside() -> None:
    async with Exchange.spawn(paused=True) as exchange, client(exchange.uri) as user:
        await exchange.wait_connected()
        await user.send({"method": "SUBSCRIBE", "params": [BTC], "id": 1})
        await exchange.wait_subscribed(BTC)
        await exchange.wait_requests(1)
        assert await user.recv() == {"result": None, "id": 1}
        assert await exchange.publish(BTC, {"p": 1}) == 1
        assert await user.recv() == {"stream": BTC, "data": {"p": 1}}
        await exchange.start()
        await exchange.wait_sent(3)
        await exchange.pause()
        account = await exchange.account()
        assert account.subscribed == {1: [BTC]}
        assert account.messages == await exchange.sent() == await exchange.sent(BTC) >= 3
        assert await exchange.send_garbage("text") == await exchange.send_text("hi") == 1
        await exchange.go_silent()
        await exchange.stall()
        await exchange.resume()
        await exchange.refuse_handshakes(403)
        with pytest.raises(InvalidStatus):
            await connect(exchange.uri, proxy=None)
        await exchange.wait_refused()
        await exchange.accept_handshakes()
        await exchange.refuse_subscriptions(BTC)
        await exchange.accept_subscriptions()
        assert await exchange.close_all(4000, "bye") == 1
        assert await exchange.drop_all() == 0
        await exchange.wait_disconnected()


async def test_a_waiting_command_holds_up_no_other_and_can_be_cancelled() -> None:
    async with Exchange.spawn() as exchange:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await exchange.wait_connected()
        waiting = asyncio.create_task(exchange.wait_connected())
        assert (await exchange.account()).accepted == 0
        async with client(exchange.uri):
            await waiting


def test_for_code_without_an_event_loop() -> None:
    with Exchange.spawn(rate=None) as exchange:
        assert exchange.uri.startswith("ws://127.0.0.1:")
        assert exchange.call("sent", timeout=10) == 0
        with pytest.raises(ValueError, match="no such kind of garbage"):
            exchange.call("send_garbage", "rubbish")
        with pytest.raises(ValueError, match="no such command: 'close'"):
            exchange.call("close")
    exchange.close()
    with pytest.raises(ConnectionError, match="not running"):
        exchange.call("sent")


async def test_a_recorded_run_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("1 < one\n2 < two\n")
    async with Exchange.spawn(path=str(path), speed=0) as exchange, client(exchange.uri) as user:
        assert [await user.connection.recv() for _ in range(2)] == ["one", "two"]


async def test_what_the_constructor_refuses_is_raised_here() -> None:
    with pytest.raises(ValueError, match="rate must be finite and not negative, got -1"):
        async with Exchange.spawn(rate=-1):
            pytest.fail("it was accepted")


def test_a_taken_port_is_raised_here() -> None:
    with Exchange.spawn() as exchange:
        port = int(exchange.uri.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match=str(port)), Exchange.spawn(port=port):
            pytest.fail("the port was free")


async def test_a_process_that_dies_fails_what_waits_for_it() -> None:
    async with Exchange.spawn() as exchange:
        assert exchange.pid is not None
        waiting = asyncio.create_task(exchange.wait_connected())
        await exchange.account()
        os.kill(exchange.pid, signal.SIGKILL)
        with pytest.raises(ConnectionError, match="has ended"):
            await waiting


async def test_a_process_that_died_takes_no_command_and_is_closed() -> None:
    async with Exchange.spawn() as exchange:
        assert exchange.pid is not None
        ended = asyncio.create_task(exchange.wait_ended())
        given_up = asyncio.create_task(exchange.wait_ended())
        await exchange.account()
        given_up.cancel()
        assert not ended.done()
        os.kill(exchange.pid, signal.SIGKILL)
        await ended
        with pytest.raises(ConnectionError, match="the exchange's process has ended"):
            await exchange.account()


HASTY_PARENT = """
import os
from jetsocket.testing import Exchange
exchange = Exchange.spawn()
exchange.open()
for _ in range(200):
    try:
        exchange.call("account", timeout=0)
    except TimeoutError:
        pass
os._exit(0)
"""


def test_it_ends_quietly_when_nobody_takes_its_answers() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", HASTY_PARENT], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


PARENT = """
import sys, time
from jetsocket.testing import Exchange
exchange = Exchange.spawn(rate=0)
exchange.open()
print(exchange.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not a child by its descriptor")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(how)
            ended, _, _ = select.select([child], [], [], 5)
            assert ended == [child]
        finally:
            os.close(child)


async def test_an_error_that_cannot_be_made_again_is_told_by_its_name() -> None:
    async with Exchange.spawn() as exchange:
        with pytest.raises(RuntimeError, match=r"^UnicodeEncodeError: .*surrogates not allowed"):
            await exchange.publish(BTC, "\ud800")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this platform cannot hold a process")
def test_a_process_that_hangs_is_killed() -> None:
    with Exchange.spawn() as exchange:
        assert exchange.pid is not None
        os.kill(exchange.pid, signal.SIGSTOP)
        child = exchange.pid
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_without_uvloop_it_runs_on_asyncios_own_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uvloop.py").write_text("raise ModuleNotFoundError('there is no uvloop')\n")
    monkeypatch.syspath_prepend(tmp_path)
    async with Exchange.spawn(paused=True) as exchange, client(exchange.uri) as user:
        assert await user.ask("SUBSCRIBE", BTC) == {"result": None, "id": 1}
        assert await exchange.publish(BTC, 1) == 1
