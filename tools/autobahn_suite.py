"""Autobahn|Testsuite's fuzzing server: the Python 2.7 that it needs, its environment, its process.

The environment lies in the user's cache folder, named after what is in it, and is made once (about a minute, 75 MB).
The server listens on a free port of 127.0.0.1, and ends with this process, however that ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

REQUIREMENTS = Path(__file__).with_name("autobahn_requirements.txt")
# The last release that makes environments for Python 2.7.
VIRTUALENV = "virtualenv==20.21.1"
# Seconds that the server may take to end, and an interpreter to say its version.
_END_TIMEOUT = 10.0
_VERSION_TIMEOUT = 10.0

HOW_TO_GET_PYTHON = """\
Autobahn|Testsuite runs on Python 2.7 only, and none was found: neither as python2.7 on the PATH nor among pyenv's.
To get one:
    pyenv install 2.7.18            (any system with pyenv and a C compiler)
    apt-get install python2.7       (Debian up to 11, Ubuntu up to 22.04)
    brew install pyenv              (macOS; then as above)
or name one: JETSOCKET_PYTHON27=/path/to/python2.7"""

# Runs on Python 2.7. Its arguments are a JSON object; it answers with one on its standard output, and everything that
# the suite prints goes to the log.
_SERVER = """
import json, os, sys, threading
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from autobahntestsuite import fuzzing
from twisted.internet import reactor

class Factory(fuzzing.FuzzingServerFactory):
    def createReports(self):
        # HTML takes longer to write, and nobody reads it.
        fuzzing.FuzzingServerFactory.createReports(self, produceHtml=False)

def end_with_parent():
    sys.stdin.read()
    reactor.callFromThread(reactor.stop)

# Without an address the port in the Host header is not checked: it is known only when the server listens.
factory = Factory({"url": None, "outdir": sys.argv[1], "cases": ["*"], "options": {"failByDrop": False}})
listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
cases = factory.CaseSet
json.dump({
    "port": listening.getHost().port,
    "sections": cases.CaseCategories,
    "cases": [[case, cases.caseClassToPrettyDescription(cases.CasesById[case])] for case in factory.specCases],
}, answer)
answer.close()
waiting = threading.Thread(target=end_with_parent)
waiting.daemon = True
waiting.start()
reactor.run()
"""


class PythonMissingError(Exception):
    """There is no Python 2.7 on this machine."""


class SuiteError(Exception):
    """The suite's environment could not be made, or its server did not start."""


class Suite(NamedTuple):
    """The suite while its server runs."""

    uri: str
    # Descriptions by case, in the suite's order: the server counts cases from 1.
    cases: dict[str, str]
    # Names by section.
    sections: dict[str, str]
    # The folder of the server's reports.
    reports: Path


def find_python(environ: Mapping[str, str]) -> str:
    """A Python 2.7, by its own path. Raises PythonMissingError; SuiteError where the one that is named is none."""
    if named := environ.get("JETSOCKET_PYTHON27"):
        found = _python_path(named, environ)
        if found is None:
            raise SuiteError(f"JETSOCKET_PYTHON27={named} is no Python 2.7 that runs")
        return found
    for candidate in _candidates(environ):
        found = _python_path(candidate, environ)
        if found is not None:
            return found
    raise PythonMissingError(HOW_TO_GET_PYTHON)


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    for folder in environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield os.path.join(folder, "python2.7")
    root = environ.get("PYENV_ROOT")
    versions = (Path(root) if root else Path(environ.get("HOME", "/")) / ".pyenv") / "versions"
    yield from map(str, sorted(versions.glob("2.7.*/bin/python2.7"), reverse=True))


def _python_path(candidate: str, environ: Mapping[str, str]) -> str | None:
    """Only running it tells: pyenv's shims are there for versions that are not selected, too."""
    ask = "import sys; sys.stdout.write('%d.%d %s' % (sys.version_info[:2] + (sys.executable,)))"
    try:
        asked = subprocess.run(
            [candidate, "-c", ask],
            env=_clean(environ),
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _, path = asked.stdout.partition(" ")
    return path if asked.returncode == 0 and version == "2.7" and path else None


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what would lead another Python to this one's modules."""
    return {name: value for name, value in environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def environment(python: str, environ: Mapping[str, str]) -> Path:
    """The interpreter of the suite's environment on `python`, which is made where it is missing. Raises SuiteError."""
    cache = environ.get("XDG_CACHE_HOME")
    folder = (Path(cache) if cache else Path(environ.get("HOME", "/")) / ".cache") / "jetsocket"
    made_of = f"{python}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    complete = folder / f"autobahn-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    interpreter = complete / "bin" / "python"
    if interpreter.exists():
        return interpreter
    print(f"making the environment of Autobahn|Testsuite, once: {complete}", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as making:
        made = _make_environment(Path(making), python, _clean(environ))
        try:
            made.rename(complete)
        except OSError:
            # Somebody else made it in the meantime.
            if not interpreter.exists():
                raise
    return interpreter


def _make_environment(folder: Path, python: str, environ: Mapping[str, str]) -> Path:
    tools, made = folder / "tools", folder / "suite"
    requirements = ["--no-deps", "--requirement", str(REQUIREMENTS)]
    commands = [
        [sys.executable, "-m", "venv", str(tools)],
        [str(tools / "bin" / "python"), "-m", "pip", "install", VIRTUALENV],
        [
            *(str(tools / "bin" / "python"), "-m", "virtualenv", "--no-download", "--app-data", str(folder / "data")),
            *("--python", python, str(made)),
        ],
        [str(made / "bin" / "python"), "-m", "pip", "install", *requirements],
        # What cannot be imported now would be found out at each run.
        [str(made / "bin" / "python"), "-c", "from autobahntestsuite import fuzzing"],
    ]
    for command in commands:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SuiteError(f"{' '.join(command)}\nfailed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return made


class FuzzingServer:
    """The suite's server, as a context manager; reports and a log go into the folder `reports`."""

    def __init__(self, interpreter: Path, reports: Path, environ: Mapping[str, str]) -> None:
        self._reports = reports
        self._log = reports / "server.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(interpreter), "-u", "-c", _SERVER, str(reports)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_clean(environ),
            )

    def __enter__(self) -> Suite:
        """Raises SuiteError where the server does not start."""
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            answer = stdout.read()
        if not answer:
            self._end()
            raise SuiteError(f"the fuzzing server did not start:\n{self._log.read_text(errors='replace')}")
        facts = json.loads(answer)
        return Suite(f"ws://127.0.0.1:{facts['port']}", dict(facts["cases"]), facts["sections"], self._reports)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
