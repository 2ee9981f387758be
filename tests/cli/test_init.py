from __future__ import annotations

import subprocess
import sys

import pytest

import jetsocket

from .conftest import COMMAND, Done, environment


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


def started_without(*closed: str, args: tuple[str, ...]) -> Done:
    """As a shell starts it with `>&-` and the like."""
    shell = ["sh", "-c", f'exec "$@" {" ".join(closed)}', "sh"]
    done = subprocess.run(
        [*shell, *COMMAND, *args], env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that can close what it hands on")
@pytest.mark.parametrize("closed", [("<&-",), (">&-",), ("2>&-",), ("<&-", ">&-", "2>&-")], ids=" ".join)
@pytest.mark.parametrize(
    "args, code, out",
    [
        (("info",), 0, "hot path"),
        (("listen", "ws://127.0.0.1:1/"), 1, ""),
        (("doctor", "ws://127.0.0.1:1/"), 1, "connect           FAILED"),
        (("demo", "--duration", "0.1", "--channels", "1"), 0, "balanced"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_it_runs_without_standard_streams(closed: tuple[str, ...], args: tuple[str, ...], code: int, out: str) -> None:
    done = started_without(*closed, args=args)
    assert done.code == code
    assert "Traceback" not in done.err
    if ">&-" in closed:
        assert done.out == ""
    else:
        assert out in done.out
    if "2>&-" in closed:
        assert done.err == ""
