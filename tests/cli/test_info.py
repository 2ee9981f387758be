from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jetsocket
from jetsocket.hot import simd_level

from .conftest import environment, run


def test_what_runs_is_told() -> None:
    done = run("info")
    assert (done.code, done.err) == (0, "")
    told = dict(line.split("  ", 1) for line in done.out.splitlines())
    facts = {name: value.strip() for name, value in told.items()}
    assert facts["jetsocket"] == jetsocket.__version__
    assert facts["package"] == str(Path(jetsocket.__file__).resolve().parent)
    assert facts["hot path"] == ("compiled" if jetsocket.COMPILED else "pure Python")
    assert facts["SIMD"] == simd_level()
    assert {"event loop", "JSON decoder", "inflate", "Python", "platform"} <= facts.keys()


def test_the_pure_twin_says_so() -> None:
    facts = json.loads(run("info", "--jsonl", JETSOCKET_EXTENSIONS="off").out)
    assert facts["hot path"] == "pure Python"
    assert facts["why pure"] == "JETSOCKET_EXTENSIONS=off"


def of_a_copy(folder: Path, note: str | None = None) -> dict[str, str]:
    """What a copy of the package in `folder`, without compiled modules, tells of itself."""
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "*_c.c", "__pycache__", "why_pure.txt")
    shutil.copytree(Path(jetsocket.__file__).parent, folder / "jetsocket", ignore=ignored)
    if note is not None:
        (folder / "jetsocket" / "hot" / "why_pure.txt").write_text(note)
    path = os.pathsep.join([str(folder), *(entry or os.getcwd() for entry in sys.path)])
    done = run("info", "--jsonl", JETSOCKET_EXTENSIONS="auto", PYTHONPATH=path, PYTHONSAFEPATH="1")
    facts: dict[str, str] = json.loads(done.out)
    assert facts["package"] == str((folder / "jetsocket").resolve())
    return facts


@pytest.mark.parametrize(
    "note, why",
    [
        (None, "installed without the compiled modules"),
        ("CompileError: command 'cc'\n failed", "they could not be compiled: CompileError: command 'cc' failed"),
    ],
)
def test_a_package_without_compiled_modules_says_why(tmp_path: Path, note: str | None, why: str) -> None:
    assert of_a_copy(tmp_path, note)["why pure"] == why


def test_a_checkout_that_is_not_built_says_so_and_how_to_build_it(tmp_path: Path) -> None:
    (tmp_path / "setup.py").touch()
    why = f"a source checkout that is not built: python -m pip install --editable {tmp_path.resolve()}"
    assert of_a_copy(tmp_path)["why pure"] == why


WITHOUT = """
import importlib.metadata, sys

def version(name, known=importlib.metadata.version):
    if name in ("picows", "msgspec", "python-socks"):
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)

importlib.metadata.version = version
sys.argv = ["jetsocket", "info", "--jsonl"]
from jetsocket.cli import main
sys.exit(main())
"""


def test_what_is_not_installed_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=environment(), capture_output=True, text=True, check=True
    )
    facts = json.loads(done.stdout)
    assert facts["embedded exchange"] == "none (no picows)"
    assert facts["proxy support"] == "none (no python-socks)"
    assert facts["JSON decoder"] == "json (standard library)"
