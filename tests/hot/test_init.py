"""The switch between the twins: what JETSOCKET_EXTENSIONS says is what is taken, or an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jetsocket
from jetsocket.hot import ROOMS

PACKAGE = Path(jetsocket.__file__).parent
IMPORT = "from jetsocket import hot; print(hot.COMPILED, hot.MessageRing.__module__)"


def imported(word: str | None, folder: Path) -> subprocess.CompletedProcess[str]:
    """A new interpreter that imports the package that lies in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "JETSOCKET_EXTENSIONS"}
    path = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    environment |= {"PYTHONPATH": path} | ({} if word is None else {"JETSOCKET_EXTENSIONS": word})
    command = [sys.executable, "-c", IMPORT]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def without_compiled(tmp_path: Path) -> Path:
    """A copy of the package as it is where there was no compiler."""
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "*_c.c", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "jetsocket", ignore=ignored)
    return tmp_path


def test_off_takes_the_pure_twin() -> None:
    assert imported("off", PACKAGE.parent).stdout == "False jetsocket.hot.ring_py\n"


def test_require_takes_the_compiled_twin() -> None:
    assert imported("require", PACKAGE.parent).stdout == "True jetsocket.hot.ring_c\n"


def test_the_compiled_twin_is_taken_where_there_is_one() -> None:
    assert imported(None, PACKAGE.parent).stdout == "True jetsocket.hot.ring_c\n"


def test_the_pure_twin_is_taken_where_there_is_no_other(without_compiled: Path) -> None:
    assert imported("auto", without_compiled).stdout == "False jetsocket.hot.ring_py\n"


def test_require_is_an_error_where_modules_are_missing(without_compiled: Path) -> None:
    done = imported("require", without_compiled)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: JETSOCKET_EXTENSIONS=require, but these compiled modules are missing: ")
    assert ", ".join(f"jetsocket.hot.{room}_c" for room in ROOMS) in last


def test_any_other_word_is_an_error() -> None:
    done = imported("yes", PACKAGE.parent)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == ("ImportError: JETSOCKET_EXTENSIONS must be auto, require or off, got 'yes'")
