"""Every Python snippet of README and of the public docstrings runs as it stands, offline."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import jetsocket
from jetsocket.testing import Exchange

README = Path(__file__).parents[1] / "README.md"
DOCUMENTED = [jetsocket.Multiplex, jetsocket.WebSocket]


def readme_snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def docstring_snippets(documented: type) -> list[str]:
    """The literal blocks (after `::`) of a docstring."""
    text = inspect.getdoc(documented) or ""
    return [textwrap.dedent(block) for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", text)]


def test_readme_has_snippets() -> None:
    assert readme_snippets()


@pytest.mark.parametrize("snippet", readme_snippets())
def test_a_readme_snippet_runs_as_pasted(snippet: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=README.parent, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("documented", DOCUMENTED)
async def test_a_docstring_snippet_runs(documented: type, capsys: pytest.CaptureFixture[str]) -> None:
    snippets = docstring_snippets(documented)
    assert snippets
    async with Exchange(rate=1000) as exchange:
        for snippet in snippets:
            names = {**vars(jetsocket), "exchange": exchange}
            body = "async def run():\n" + textwrap.indent(snippet, "    ")
            exec(compile(body, documented.__name__, "exec"), names)  # our own docstring
            async with asyncio.timeout(10):
                await names["run"]()
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(jetsocket.__all__) - {"COMPILED", "__version__"}))
def test_every_public_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(jetsocket, name))
