"""What coverage.py has measured: Python by branches, Cython by lines."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import coverage

from .coverage_runs import Area
from .coverage_table import Covered

# Copies of the package that a test made are the package.
_SETTINGS = """\
[run]
branch = true
plugins = Cython.Coverage
data_file = {data}
[report]
exclude_also =
    {excluded}
[paths]
source =
    {package}
    */jetsocket
"""


class Reader:
    """The data of all runs in one area, combined."""

    def __init__(self, area: Area) -> None:
        self._area = area
        project = tomllib.loads((area.project / "pyproject.toml").read_text(encoding="utf-8"))
        settings = area.folder / "report.ini"
        settings.write_text(
            _SETTINGS.format(
                data=area.folder / "combined",
                package=area.project / "jetsocket",
                excluded="\n    ".join(project["tool"]["coverage"]["report"]["exclude_also"]),
            ),
            encoding="utf-8",
        )
        self._measured = coverage.Coverage(config_file=str(settings))
        self._measured.combine([str(path) for path in area.data.glob("part.*")], keep=True)
        self._measured.save()
        self._measured.load()

    def covered(self, module: str, tests: list[str] | None = None) -> Covered:
        """By all tests, or by those of some files; importing a module belongs to every test."""
        contexts = None if tests is None else ["^$", *(f"^{re.escape(test)}$" for test in tests)]
        file = self._area.folder / "module.json"
        # The plugin of Cython finds the sources from here.
        before = Path.cwd()
        os.chdir(self._area.project)
        try:
            self._measured.json_report([str(self._area.project / module)], outfile=str(file), contexts=contexts)
        except coverage.exceptions.NoDataError:
            return Covered(1, 0, 0, 0)
        finally:
            os.chdir(before)
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        (facts,) = report["files"].values()
        summary = facts["summary"]
        return Covered(
            summary["num_statements"],
            summary["covered_lines"],
            summary.get("num_branches", 0),
            summary.get("covered_branches", 0),
            tuple(facts["missing_lines"]),
            tuple(f"{start}->{end if end > 0 else 'exit'}" for start, end in facts.get("missing_branches", [])),
        )
