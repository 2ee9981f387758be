"""tools/variant.py: copies of the project, compiled for finding faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import variant as variants
from tools.variant import PROJECT, compiled, variant

from .planting import python

pytestmark = pytest.mark.timeout(300)


@pytest.mark.slow
def test_a_copy_runs_what_was_compiled_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    variant("strict", folder)
    told = python(
        "-c",
        "import jetsocket.hot.ring_c as ring; print(ring.__file__)",
        cwd=folder,
        JETSOCKET_EXTENSIONS="require",
    ).stdout
    assert Path(told.strip()).parent == folder / "jetsocket" / "hot"
    (module,) = (folder / "jetsocket" / "hot").glob("ring_c.*.so")
    assert module.read_bytes() == (compiled("strict") / "jetsocket" / "hot" / module.name).read_bytes()
    assert (folder / "tests" / "tools" / Path(__file__).name).read_bytes() == Path(__file__).read_bytes()
    # Nothing compiled by other means has come along.
    modules = {path.name.split(".")[0] for path in folder.rglob("*.so")}
    assert modules == {path.stem for path in (PROJECT / "jetsocket" / "hot").glob("*_c.pyx")}


@pytest.mark.slow
def test_what_was_in_the_way_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "left.py").touch()
    variant("strict", folder)
    assert not (folder / "left.py").exists()


@pytest.mark.slow
def test_it_is_compiled_once(tmp_path: Path) -> None:
    first = compiled("strict")
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*.so")}
    assert before
    variant("strict", tmp_path / "copy")
    assert compiled("strict") == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*.so")} == before


@pytest.mark.parametrize("name", variants.SHAPING)
def test_what_shapes_the_code_has_a_set_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = variants.fingerprint()
    monkeypatch.setenv(name, "another")
    assert variants.fingerprint() != before


def test_a_build_that_fails_says_so_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(variants, "COMPILED", tmp_path / "variants")
    monkeypatch.setenv("CC", "false")
    # One module is enough to fail with.
    monkeypatch.setenv("JETSOCKET_ONLY", "waiting_c")
    with pytest.raises(RuntimeError, match=r"the build 'sanitize' failed with \d+:\n"):
        variant("sanitize", tmp_path / "copy")
    assert list((tmp_path / "variants").iterdir()) == [tmp_path / "variants" / "sanitize.lock"]
    assert not (tmp_path / "copy").exists()


def test_an_unknown_build_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(variants, "COMPILED", tmp_path / "variants")
    with pytest.raises(RuntimeError, match="JETSOCKET_BUILD must be one of release, strict, sanitize"):
        variant("quick", tmp_path / "copy")


def test_usage() -> None:
    told = python("-m", "tools.variant")
    assert told.returncode == 1
    assert told.stdout.startswith("usage: python -m tools.variant")
