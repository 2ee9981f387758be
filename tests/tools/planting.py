"""Copies of the project with a bug planted in them, for the fuzzers to find."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.fuzzing.corpus import fill
from tools.variant import PROJECT, variant

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is not installed: pip install 'jetsocket[fuzz]' (Linux on x86-64)"
)


def python(*arguments: str | Path, cwd: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python; what it printed is in `stdout`, errors too."""
    # A pytest that runs inside of one that is spread over processes is none of those.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("JETSOCKET_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def planted(folder: Path, file: str, old: str, new: str, *, only: str | None, build: str = "fuzz") -> Path:
    """A copy of the project, compiled for fuzzing, with `new` for `old` in `file`. `only`: what to compile again."""
    variant(build, folder)
    source = folder / file
    text = source.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}: plant another bug"
    source.write_text(text.replace(old, new), encoding="utf-8")
    if only is not None:
        built = python(
            *("setup.py", "build_ext", "--inplace"),
            cwd=folder,
            JETSOCKET_BUILD=build,
            JETSOCKET_EXTENSIONS="require",
            JETSOCKET_ONLY=only,
        )
        assert built.returncode == 0, built.stdout
    return folder


def assert_found(name: str, tree: Path, seeds: Iterable[bytes], *arguments: str) -> str:
    """The fuzzer finds the bug in `tree` within a minute, from its seeds, which alone do not. What it prints.

    The corpus is left out: it may know the bug.
    """
    module = f"tools.fuzz_{name}"
    fill(tree / "seeds", seeds)
    replayed = python("-m", module, "--tree", tree, *arguments, *sorted((tree / "seeds").iterdir()))
    assert replayed.returncode == 0, f"it takes no search to find this bug:\n{replayed.stdout[-5000:]}"
    fuzzed = python("-m", module, "--tree", tree, "--minutes", "1", "--seed", "1", "--scratch", *arguments)
    assert fuzzed.returncode == 1, fuzzed.stdout
    (finding,) = (tree / "build" / "fuzz" / name / "found").glob("crash-*")
    assert str(finding) in fuzzed.stdout
    passed = python("-m", module, finding)
    assert passed.returncode == 0, f"this is a real bug:\n{passed.stdout}"
    return fuzzed.stdout
