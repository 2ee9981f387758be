"""tools/autobahn.py: runs, repeats and exit statuses; the suite's server is played, its client is the real one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tools.autobahn import ClientError, Run, arguments, verdict
from tools.autobahn_suite import Suite
from tools.autobahn_verdicts import Verdict

ROOT = Path(__file__).parents[2]
CASES = {"1.1": "First.", "3.4": "Second.", "6.4": "Third."}
# The behaviour in the first run, its first repeat, its second, and so on.
BEHAVIORS = {"1.1": ["OK"], "3.4": ["NON-STRICT", "NON-STRICT", "OK"], "6.4": ["NON-STRICT"] * 4}


class PlayedServer:
    """Sends one message a case, and judges as told by BEHAVIORS. `run` has each agent's cases."""

    def __init__(self, reports: Path) -> None:
        self.reports = reports
        self.run: dict[str, list[str]] = {}
        self.out_of_order = False

    def refuse(self, connection: ServerConnection, _request: Request) -> Response | None:
        return connection.respond(HTTPStatus.BAD_GATEWAY, "") if self.out_of_order else None

    async def play(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = urlsplit(connection.request.path)
        agent = parse_qs(asked.query)["agent"][0]
        if asked.path == "/runCase":
            await connection.send("hello")
            assert await connection.recv() == "hello"
            self.run.setdefault(agent, []).append(list(CASES)[int(parse_qs(asked.query)["case"][0]) - 1])
        elif asked.path == "/updateReports":
            self.write_reports()

    def write_reports(self) -> None:
        index = {}
        for turn, (agent, cases) in enumerate(self.run.items()):
            index[agent] = {
                case: {"behavior": BEHAVIORS[case][turn], "behaviorClose": "OK", "reportfile": "report.json"}
                for case in cases
            }
        (self.reports / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (self.reports / "report.json").write_text('{"result": "Other events.", "resultClose": ""}', encoding="utf-8")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[PlayedServer, Suite]]:
    played = PlayedServer(tmp_path)
    async with serve(played.play, "127.0.0.1", 0, process_request=played.refuse) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield played, Suite(f"ws://127.0.0.1:{port}", CASES, {"1": "Framing"}, tmp_path)


async def test_repeats_what_is_not_strict_until_it_is_ok(server: tuple[PlayedServer, Suite]) -> None:
    played, suite = server
    run = Run(suite, "pure", "asyncio", limit=10.0)
    await asyncio.to_thread(run.run, list(CASES), repeats=3)
    assert played.run == {
        "jetsocket-pure-asyncio": ["1.1", "3.4", "6.4"],
        "jetsocket-pure-asyncio-1": ["3.4", "6.4"],
        "jetsocket-pure-asyncio-2": ["3.4", "6.4"],
        "jetsocket-pure-asyncio-3": ["6.4"],
    }
    assert {v.case: (v.behavior, v.repeats) for v in run.verdicts} == {
        "1.1": ("OK", ()),
        "3.4": ("NON-STRICT", ("NON-STRICT", "OK")),
        "6.4": ("NON-STRICT", ("NON-STRICT", "NON-STRICT", "NON-STRICT")),
    }
    assert verdict([run], strict=False) == 0
    assert verdict([run], strict=True) == 1
    assert run.text().startswith("pure, asyncio: 3 cases in ")
    assert "6.4 NON-STRICT (again: NON-STRICT, NON-STRICT, NON-STRICT; not timing: our behaviour)" in run.text()
    assert run.as_json()["cases"]["3.4"]["repeats"] == ["NON-STRICT", "OK"]


@pytest.mark.parametrize("twin, loop", [("compiled", "uvloop"), ("pure", "uvloop"), ("compiled", "asyncio")])
async def test_runs_each_twin_on_each_loop(server: tuple[PlayedServer, Suite], twin: str, loop: str) -> None:
    played, suite = server
    run = Run(suite, twin, loop, limit=10.0)
    await asyncio.to_thread(run.run, ["1.1"], repeats=3)
    assert played.run == {f"jetsocket-{twin}-{loop}": ["1.1"]}
    assert verdict([run], strict=True) == 0


async def test_a_client_that_ends_early_is_an_error(
    server: tuple[PlayedServer, Suite], capfd: pytest.CaptureFixture[str]
) -> None:
    played, suite = server
    played.out_of_order = True
    run = Run(suite, "pure", "asyncio", limit=10.0)
    with pytest.raises(ClientError, match=r"the client ended with 1; the last case it finished: none"):
        await asyncio.to_thread(run.run, ["1.1"], repeats=0)
    assert "502 Bad Gateway" in capfd.readouterr().err


def test_names_what_is_not_good(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = Run(Suite("ws://127.0.0.1:1", CASES, {}, tmp_path), "compiled", "uvloop", limit=10.0)
    run.verdicts = [Verdict("1.1", "First.", "OK"), Verdict("3.4", "Second.", "FAILED")]
    assert verdict([run], strict=False) == 1
    assert capsys.readouterr().out == "not good: 3.4 (compiled, uvloop)\n"
    run.verdicts = run.verdicts[:1]
    assert verdict([run], strict=True) == 0
    assert capsys.readouterr().out == "every case was good\n"


@pytest.mark.parametrize("given", [["--quick", "--cases", "1"], ["--loop", "trio"], ["--twin", "both", "--limit", "x"]])
def test_refuses_arguments(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(given)
    assert ended.value.code == 2
    assert "python -m tools.autobahn: error:" in capsys.readouterr().err


def autobahn(home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    nowhere = {"PATH": str(home), "HOME": str(home), "XDG_CACHE_HOME": "", "PYENV_ROOT": "", "JETSOCKET_PYTHON27": ""}
    return subprocess.run(
        [sys.executable, "-m", "tools.autobahn", "--quick"],
        cwd=ROOT,
        env={**os.environ, **nowhere, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_python_27_it_says_so_and_exits_with_77(tmp_path: Path) -> None:
    done = autobahn(tmp_path)
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.startswith("Autobahn|Testsuite runs on Python 2.7 only, and none was found")
    assert "pyenv install 2.7.18" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_python_27_is_an_error(tmp_path: Path) -> None:
    done = autobahn(tmp_path, JETSOCKET_PYTHON27=sys.executable)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"JETSOCKET_PYTHON27={sys.executable} is no Python 2.7 that runs\n"
