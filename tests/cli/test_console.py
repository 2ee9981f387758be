"""jetsocket_console.py: what the installed `jetsocket` command runs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import jetsocket

from .conftest import Done, environment

PROJECT = Path(__file__).parents[2]
SCRIPT = "import sys\nfrom jetsocket_console import main\nsys.argv[0] = 'jetsocket'\nsys.exit(main())"


def console(*args: str, before: str = "", **extra: str) -> Done:
    """The installed script, as pip writes it; `before` stands above it."""
    command = [sys.executable, "-c", f"{before}\n{SCRIPT}", *args]
    done = subprocess.run(command, env=environment(**extra), capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_it_is_the_script_that_is_installed() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"jetsocket": "jetsocket_console:main"}
    assert project["tool"]["setuptools"]["py-modules"] == ["jetsocket_console"]


def test_it_is_the_command() -> None:
    assert console("--version") == (0, f"jetsocket, version {jetsocket.__version__}\n", "")
    assert console("listn").code == 2


def test_a_word_that_means_nothing_is_one_line() -> None:
    says = "jetsocket: JETSOCKET_EXTENSIONS must be auto, require or off, got 'bogus'\n"
    assert console("info", JETSOCKET_EXTENSIONS="bogus") == (1, "", says)
    assert console("info", JETSOCKET_EXTENSIONS="bogus", before="import sys; sys.stderr = None") == (1, "", "")


def test_a_module_that_does_not_load_is_one_line() -> None:
    done = console("info", before="import sys; sys.modules['jetsocket.hot'] = None")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("jetsocket: ")
    assert "jetsocket.hot" in done.err
    assert done.err.count("\n") == 1


INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "jetsocket.multiplex":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


def test_ctrl_c_while_the_package_is_being_loaded_is_no_traceback() -> None:
    assert console("info", before=INTERRUPTED) == (130, "", "")
