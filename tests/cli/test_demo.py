from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Done, alongside, ended, environment, interrupted, on_a_terminal, run, running

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the exchange's process in /proc")


def facts(done: Done) -> dict[str, str]:
    """The lines of the summary."""
    return {line[:15].strip(): line[15:].strip() for line in done.out.splitlines()}


@pytest.mark.parametrize(
    "channels, rate",
    [pytest.param(5, 2000, marks=pytest.mark.slow), (50, 0), pytest.param(200, 50_000, marks=pytest.mark.slow)],
)
def test_the_account_balances_to_the_message(channels: int, rate: int) -> None:
    done = run("demo", "--duration", "1.2", "--channels", str(channels), "--rate", str(rate))
    assert done.err == ""
    assert facts(done)["account"] == "balanced"
    assert done.code == 0
    assert re.search(rf"^[\d,]+ messages of {channels} channels in \d\.\d s: [\d,]+ a second$", done.out, re.MULTILINE)
    assert f" + {channels + 1} answers" in facts(done)["sent"]
    assert facts(done)["routed"].endswith("+ 0 queued + 0 dropped")


def test_a_line_a_second_in_a_pipe() -> None:
    done = run("demo", "--duration", "2.5", "--channels", "3", "--rate", "1000")
    lines = [line for line in done.out.splitlines() if "messages/s" in line]
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(
            r" +\d\.\d s  connected  [\d,]+ messages/s  [\d,]+ routed  [\d,]+ queued  0 dropped  0 reconnects"
            r"  p50 [\d.]+ ms  p99 [\d.]+ ms  p99\.9 [\d.]+ ms",
            line,
        )
    assert "\x1b" not in done.out


def test_faults_are_survived() -> None:
    done = run("demo", "--duration", "3", "--channels", "10", "--rate", "20000", "--faults")
    assert done.code == 0, done
    assert done.err == ""
    told = re.findall(r"^fault (\d+): ", done.out, re.MULTILINE)
    assert told == [str(number) for number in range(1, len(told) + 1)]
    assert len(told) >= 3
    summary = facts(done)
    assert summary["account"] == "balanced"
    found = re.fullmatch(r"(\d+)  (\d+) reconnects, (\d+) resubscriptions", summary["faults"])
    assert found is not None
    faults, reconnects, resubscriptions = map(int, found.groups())
    assert faults == len(told)
    assert reconnects >= 2
    assert resubscriptions >= 11 * 2


def test_on_a_terminal_a_table_is_drawn() -> None:
    code, seen = on_a_terminal("demo", "--duration", "1.5", "--channels", "5", "--rate", "2000")
    assert code == 0
    assert b"busiest channels" in seen
    assert b"btcusdt@trade" in seen
    assert seen.endswith(b"\r\n")
    assert seen.rstrip().endswith(b"balanced\x1b[0m")
    # The cursor is shown again.
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    code, seen = on_a_terminal("demo", until=b"busiest channels")
    assert code == 130
    assert b"Traceback" not in seen
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")


@pytest.mark.parametrize("options", [pytest.param([], marks=pytest.mark.slow), ["--rate", "0"], ["--faults"]])
async def test_ctrl_c_ends_it_within_a_second_without_a_traceback(options: list[str]) -> None:
    async with running("demo", *options) as child:
        assert child.stdout is not None
        await asyncio.wait_for(child.stdout.readline(), 20)
        done, seconds = await interrupted(child)
    assert (done.code, done.err) == (130, "")
    assert seconds < 1


def test_without_picows_the_pip_command_is_told() -> None:
    script = "import sys; sys.modules['picows'] = None; from jetsocket.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "demo"], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith("pip install 'jetsocket[testing]'\n")
    assert done.stderr.count("\n") == 1


async def test_a_closed_pipe_ends_it_quietly() -> None:
    async with running("demo", "--channels", "3", "--rate", "100", "--duration", "5") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.stdout._transport.close()  # type: ignore[attr-defined]  # a StreamReader has no other way
        assert child.stderr is not None
        assert await asyncio.wait_for(child.stderr.read(), 20) == b""
        assert await child.wait() == 0


@needs_proc
async def test_the_death_of_its_exchange_is_told_at_once() -> None:
    async with running("demo", "--channels", "3", "--duration", "30") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        for process in _children(child.pid):
            os.kill(process, signal.SIGKILL)
        done = await ended(child)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "jetsocket: the exchange's process has ended"


@needs_proc
async def test_an_exchange_that_hangs_does_not_keep_it() -> None:
    async with running("demo", "--channels", "3", "--duration", "1.5") as child:
        await _stop_exchange(child)
        started = time.monotonic()
        done = await ended(child)
    assert time.monotonic() - started < 15
    assert (done.code, done.err) == (1, "jetsocket: the exchange's process hangs: no answer in 5 s\n")


@needs_proc
@pytest.mark.parametrize("options", [["--duration", "30"], ["--faults"]])
async def test_ctrl_c_does_not_wait_for_an_exchange_that_hangs(options: list[str]) -> None:
    async with running("demo", "--channels", "3", *options) as child:
        await _stop_exchange(child)
        done, seconds = await interrupted(child)
    assert (done.code, done.err) == (130, "")
    assert seconds < 4


async def _stop_exchange(demo: asyncio.subprocess.Process) -> None:
    """Once it is running."""
    assert demo.stdout is not None
    await demo.stdout.readline()
    (exchange,) = _children(demo.pid)
    os.kill(exchange, signal.SIGSTOP)


def _children(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent:
            found.append(int(process.name))
    return found


async def test_the_same_seed_shows_the_same_market() -> None:
    done = await alongside("demo", "--duration", "0.2", "--seed", "7")
    assert done.code == 0
