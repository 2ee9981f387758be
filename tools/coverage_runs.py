"""The test runs that coverage is measured in, in copies of the project.

Everything but tests/conformance runs in pure Python: there every line that it reaches is counted. The rooms of
jetsocket/hot are tested by tests/conformance, compiled with line tracing and pure, a process each: what gcov counts in
the headers belongs to the process, and so to the room. What a header does on lesser machines is counted in two builds
more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from .coverage_own import CONFORMANCE, ROOM, own_tests, room_of
from .coverage_plugin import CONTEXT
from .variant import variant

ROOMS = ("frames", "keys", "ring", "router", "stream")
# The rooms whose headers have vector instructions, and the builds that go without some of them.
VECTORS = ("frames", "keys")
LESSER = ("gcov_baseline", "gcov_scalar")
# Line tracing costs the more the longer a test's loops are, so a test may take longer than its usual minute.
LIMIT = 300

_SETTINGS = """\
[run]
branch = true
source_pkgs = jetsocket
parallel = true
data_file = {data}
context = ${{{context}-}}
plugins = {plugins}
omit = {omitted}
disable_warnings = module-not-imported, module-not-measured, no-data-collected
"""


class Run(NamedTuple):
    """One pytest process. `build`: of the copy that it runs in; `room`: whose compiled modules are measured."""

    name: str
    tests: tuple[str, ...]
    room: str | None = None
    build: str = "coverage"


class Outcome(NamedTuple):
    """How a run ended, in how many seconds."""

    run: Run
    code: int
    seconds: float
    output: str


class Area:
    """The folder that everything is made in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = self.copy("coverage")
        self.data = folder / "data"
        self.counts = folder / "gcov"

    def copy(self, build: str) -> Path:
        """The copy of the project that is compiled as `build`."""
        return self.folder / build

    def prepare(self, builds: set[str]) -> None:
        """The copies of the project, compiled, and what makes every Python process measure itself.

        Raises RuntimeError with the compiler's output where they cannot be compiled.
        """
        for build in sorted(builds | {"coverage"}):
            variant(build, self.copy(build))
        for folder in (self.data, self.counts):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        start = self.folder / "start"
        start.mkdir(exist_ok=True)
        (start / "sitecustomize.py").write_text("import coverage\n\ncoverage.process_startup()\n", encoding="utf-8")
        # Without the plugin a .pyx file that a child process runs all the same would be taken for Python.
        for name, plugins, omitted in (("plain", "", "*.pyx"), ("traced", "Cython.Coverage", "")):
            settings = _SETTINGS.format(data=self.data / "part", context=CONTEXT, plugins=plugins, omitted=omitted)
            (self.folder / f"{name}.ini").write_text(settings, encoding="utf-8")

    def start(self, run: Run) -> Running:
        """Start a run, whose output goes to a file."""
        project = self.copy(run.build)
        environment = {
            **os.environ,
            "GCOV_PREFIX": str(self.counts / run.name),
            "JETSOCKET_EXTENSIONS": "off" if run.room is None else "require",
            "PYTHONPATH": os.pathsep.join([str(self.folder / "start"), str(project)]),
        }
        for name in ("COVERAGE_PROCESS_START", CONTEXT):
            environment.pop(name, None)
        command = [sys.executable, "-m", "pytest", "--quiet", "-p", "tools.coverage_plugin", "-p", "no:cacheprovider"]
        command += [f"--timeout={LIMIT}", "--durations=10", *run.tests]
        if run.build in LESSER:
            command += ["-k", "not pure"]
        else:
            settings = "plain.ini" if run.room is None else "traced.ini"
            environment["COVERAGE_PROCESS_START"] = str(self.folder / settings)
        log = self.folder / f"{run.name}.log"
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                command, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        return Running(run, process, log)


class Running:
    """A run that was started."""

    def __init__(self, run: Run, process: subprocess.Popen[bytes], log: Path) -> None:
        self._run = run
        self._process = process
        self._log = log
        self._started = time.monotonic()

    def poll(self) -> Outcome | None:
        """How it ended, or None while it is going on."""
        code = self._process.poll()
        if code is None:
            return None
        output = self._log.read_text(encoding="utf-8", errors="replace")
        return Outcome(self._run, code, time.monotonic() - self._started, output)

    def kill(self) -> None:
        """End it, if it is still going on."""
        self._process.kill()
        self._process.wait()


def all_runs(project: Path, *, python: bool, cython: bool) -> list[Run]:
    """Of the whole suite; the longest first."""
    files = [path.relative_to(project).as_posix() for path in sorted((project / "tests").rglob("test_*.py"))]
    conformance = [file for file in files if file.startswith(CONFORMANCE)]
    # Its tests wait for the processes that they start: beside them there is room for another run.
    command = [file for file in files if file.startswith("tests/cli/")]
    public = sorted(set(files).difference(conformance, command))
    runs = [Run("public", tuple(public)), Run("command", tuple(command))] if python else []
    if cython:
        rooms = [run for room in reversed(ROOMS) for run in runs_of_room(room, project)]
        rest = tuple(sorted(set(conformance).difference(*(run.tests for run in rooms))))
        runs += [*rooms, *([Run("rest", rest, "rest")] if rest else [])]
    return runs


def runs_of_room(room: str, project: Path) -> list[Run]:
    """Of the own tests of a room."""
    tests = tuple(own_tests(f"{ROOM}/{room}_c.pyx", project))
    lesser = [Run(f"{room}-{build}", tests, room, build) for build in LESSER if room in VECTORS]
    return [Run(room, tests, room), *lesser]


def runs_of(modules: list[str], project: Path) -> list[Run]:
    """Of the own tests of some modules."""
    files = {module: own_tests(module, project) for module in modules}
    direct = sorted({file for own in files.values() for file in own if not file.startswith(CONFORMANCE)})
    runs = [Run("public", tuple(direct))] if direct else []
    for room in ROOMS:
        if any(room_of(module) == room for module in modules):
            runs += runs_of_room(room, project)
    return runs


def play(area: Area, runs: list[Run], jobs: int) -> list[Outcome]:
    """Run them, at most `jobs` at once."""
    waiting = list(runs)
    running: list[Running] = []
    ended: list[Outcome] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(area.start(waiting.pop(0)))
            time.sleep(0.2)
            for one in tuple(running):
                if (outcome := one.poll()) is not None:
                    running.remove(one)
                    ended.append(outcome)
                    last = (outcome.output.splitlines() or [""])[-1]
                    print(f"{outcome.run.name:20} {outcome.seconds:6.0f} s  {last}", file=sys.stderr, flush=True)
    finally:
        for one in running:
            one.kill()
    return ended
