"""Tests mirror the source: whoever changes a module knows where its tests are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.coverage_own import FURTHER, HEADERS, modules, own_tests

PROJECT = Path(__file__).parents[1]
MODULES = modules(PROJECT)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_own_tests(module: str) -> None:
    assert own_tests(module, PROJECT), "write tests/…/test_<module>.py, or say in tools/coverage_own.py where they are"


def test_what_is_said_of_modules_is_of_modules_that_there_are() -> None:
    assert FURTHER.keys() <= set(MODULES)
    assert {f"jetsocket/hot/{name}.h" for name in HEADERS} <= set(MODULES)


@pytest.mark.parametrize("module", FURTHER)
def test_further_tests_are_there_and_have_a_reason(module: str) -> None:
    patterns, reason = FURTHER[module]
    assert reason
    for pattern in patterns:
        assert list(PROJECT.glob(pattern)), f"{pattern} names no file"


def test_readme_says_where_each_module_belongs() -> None:
    table = (PROJECT / "README.md").read_text(encoding="utf-8").partition("## How it is built")[2].partition("\n## ")[0]
    modules = {path.stem for path in (PROJECT / "jetsocket").glob("*.py")} - {"__init__"}
    assert {name for name in modules if f"`{name}`" not in table} == set()
