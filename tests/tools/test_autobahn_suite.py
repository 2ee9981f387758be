"""tools/autobahn_suite.py: finding the Python 2.7 that the suite needs, and saying what went wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tools.autobahn_suite import (
    REQUIREMENTS,
    FuzzingServer,
    PythonMissingError,
    SuiteError,
    environment,
    find_python,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="an interpreter played by a shell script")


def interpreter(path: Path, script: str) -> Path:
    """A program that answers as the shell script does."""
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def found_nowhere(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}


@posix
def test_finds_one_on_the_path(tmp_path: Path) -> None:
    interpreter(tmp_path / "bin" / "python2.7", "printf '2.7 /opt/python2.7'")
    assert find_python(found_nowhere(tmp_path)) == "/opt/python2.7"


@posix
@pytest.mark.parametrize("root", ["PYENV_ROOT", "HOME"])
def test_passes_by_what_does_not_run_and_finds_pyenvs_newest(tmp_path: Path, root: str) -> None:
    """pyenv's shims exist for versions that are not selected."""
    interpreter(tmp_path / "bin" / "python2.7", "echo 'pyenv: python2.7: command not found' >&2; exit 127")
    pyenv = tmp_path / ("elsewhere" if root == "PYENV_ROOT" else ".pyenv")
    for version in ("2.7.16", "2.7.18", "3.11.7"):
        interpreter(pyenv / "versions" / version / "bin" / "python2.7", f"printf '2.7 {version}'")
    environ = found_nowhere(tmp_path) | ({root: str(pyenv)} if root == "PYENV_ROOT" else {})
    assert find_python(environ) == "2.7.18"


@posix
def test_the_named_one_comes_first(tmp_path: Path) -> None:
    interpreter(tmp_path / "bin" / "python2.7", "printf '2.7 on-the-path'")
    named = interpreter(tmp_path / "named" / "python", "printf '2.7 named'")
    assert find_python(found_nowhere(tmp_path) | {"JETSOCKET_PYTHON27": str(named)}) == "named"


def test_naming_another_python_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=re.escape(f"JETSOCKET_PYTHON27={sys.executable} is no Python 2.7 that runs")):
        find_python(found_nowhere(tmp_path) | {"JETSOCKET_PYTHON27": sys.executable})


def test_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PythonMissingError, match=r"pyenv install 2\.7\.18"):
        find_python(found_nowhere(tmp_path))


def test_every_requirement_is_pinned() -> None:
    lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in lines)


@posix
def test_an_environment_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = interpreter(tmp_path / "broken" / "python", "echo 'no module named venv'; exit 3")
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(SuiteError, match=r"failed with 3:\nno module named venv"):
        environment("python2.7", {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert list((tmp_path / "cache" / "jetsocket").iterdir()) == []


@posix
def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = interpreter(tmp_path / "broken" / "python", "echo 'no module named twisted' >&2; exit 1")
    server = FuzzingServer(broken, tmp_path, {})
    with pytest.raises(SuiteError, match="the fuzzing server did not start:\nno module named twisted"), server:
        pass
