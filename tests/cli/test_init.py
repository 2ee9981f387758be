from __future__ import annotations

import subprocess
import sys

import pytest

import jetsocket

from .conftest import Done, environment


def main(before: str) -> Done:
    """The entry point in a new interpreter, after `before`."""
    script = f"import sys\n{before}\nfrom jetsocket.cli import main\nsys.argv = ['jetsocket', '--version']\n"
    command = [sys.executable, "-c", script + "sys.exit(main())"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_its_exit_code_is_that_of_the_command() -> None:
    assert main("") == (0, f"jetsocket, version {jetsocket.__version__}\n", "")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_the_pip_command_is_told(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from jetsocket.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "jetsocket: the command line is not installed: pip install 'jetsocket[cli]'\n"


def test_a_module_of_ours_that_is_missing_is_no_missing_extra() -> None:
    done = main("sys.modules['msgspec.json'] = sys.modules['jetsocket.cli.listen'] = None")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("ModuleNotFoundError: ")
    assert "pip install" not in done.err


def test_ctrl_c_while_it_is_being_loaded_is_no_traceback() -> None:
    finder = """
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "jetsocket.cli.command":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
"""
    assert main(finder) == (130, "", "")
