"""README's way to hold one's own benchmarks to the gate, typed as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.readme_command import README, command
from tools.variant import PROJECT

from .gating import CASES

needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="README's commands are a POSIX shell's")


def typed(line: str, folder: Path, path: str) -> tuple[int, str]:
    """The exit code and all that was printed. `python` is this one, in a folder that stands for the checkout."""
    # A pytest that runs inside of one that is spread over processes is none of those.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        ["/bin/sh", "-c", f'python() {{ "$INTERPRETER" "$@"; }}\n{line}'],
        cwd=folder,
        env=clean | {"INTERPRETER": sys.executable, "PYTHONPATH": str(PROJECT), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def follow(folder: Path, bounds: str | None, path: str) -> list[tuple[int, str]]:
    """What each command of README comes to, with such a bounds file or none."""
    mine = folder / "my"
    mine.mkdir()
    (mine / "test_sums.py").write_text(CASES.replace('"quick"', '"mine"'), encoding="utf-8")
    if bounds is not None:
        (mine / "bounds.toml").write_text(bounds, encoding="utf-8")
    lines = command("bench-commands", README.read_text(encoding="utf-8")).splitlines()
    return [typed(line, folder, path) for line in lines]


@needs_shell
@pytest.mark.parametrize("bounds", ["README", None, ""], ids=["as in README", "no file", "an empty file"])
def test_the_way_can_be_followed(tmp_path: Path, bounds: str | None) -> None:
    if bounds == "README":
        bounds = command("bench-bounds", README.read_text(encoding="utf-8"))
    # Without valgrind, which takes long.
    ran, suggested, updated, judged = follow(tmp_path, bounds, str(tmp_path))
    assert ran[0] == 0, ran
    assert suggested == (0, "")
    assert updated == (77, "\ninstructions were not counted: valgrind is not installed\n")
    assert judged[0] == 0, judged
    assert "SLOWER" not in judged[1]
    written = tomllib.loads((tmp_path / "my" / "bounds.toml").read_text(encoding="utf-8"))
    assert written["instructions"] == {"cases": ["*"]}
    if bounds:
        assert written["times_as_fast"].keys() == {"test_total[*]"}
    else:
        ((cheapest, others),) = written["times_the_cost_of"].items()
        names = {"test_total[mine]", "test_total[plain]", "test_reference", "test_uncounted", "test_other"}
        assert {cheapest, *others} == names
        assert "no bound" not in judged[1]


@needs_shell
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_way_can_be_followed_to_its_end(tmp_path: Path) -> None:
    bounds = command("bench-bounds", README.read_text(encoding="utf-8"))
    ran, suggested, updated, judged = follow(tmp_path, bounds, os.environ["PATH"])
    if updated[0] == 77:
        pytest.skip(updated[1].strip())
    assert [ran[0], suggested[0], updated[0], judged[0]] == [0, 0, 0, 0], (updated, judged)
    assert (tmp_path / "my" / "instructions.json").exists()
    assert "5 cases did not move" in judged[1]
