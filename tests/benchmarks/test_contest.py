"""benchmarks/contest.py and report.py: every contender does the work that its figure is for."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.__main__ import missed
from benchmarks.contest import CONTENDERS, Figure, contest
from benchmarks.report import markdown, terminal, write_json, write_readme

LIBRARIES = ("aiohttp", "orjson", "picows", "uvloop", "websockets")
RIVALS = pytest.mark.skipif(
    any(find_spec(library) is None for library in LIBRARIES), reason="needs the extra `bench`: the other clients"
)


def figure(name: str, cpu_ns: float) -> Figure:
    return Figure(name, name.upper(), 1000, cpu_ns, cpu_ns, (cpu_ns,))


@RIVALS
@pytest.mark.parametrize("name", [contender.name for contender in CONTENDERS])
def test_contender_holds_what_it_must(name: str) -> None:
    # contest() compares what is held at the end with what was sent, and raises.
    (found,) = contest([name], 2000, 1)
    assert found.cpu_ns > 0


def test_table_is_sorted_and_has_ratios() -> None:
    figures = [figure("websockets-orjson", 8000), figure("floor", 20), figure("jetsocket", 80)]
    assert [line.split()[0] for line in terminal(figures).splitlines()[1:]] == [
        "FLOOR",
        "JETSOCKET",
        "WEBSOCKETS-ORJSON",
    ]
    assert "| JETSOCKET | 80 | 12,500,000 | 4.0 × | 100.0 × |" in markdown(figures)


def test_readme_table_is_replaced_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmark-table -->\nold\n<!-- /benchmark-table -->\nafter\n", encoding="utf-8")
    write_readme(readme, [figure("floor", 20)])
    text = readme.read_text(encoding="utf-8")
    assert "old" not in text
    assert "| FLOOR | 20 |" in text
    assert text.startswith("before\n<!-- benchmark-table -->\n|")
    assert text.endswith("|\n<!-- /benchmark-table -->\nafter\n")


def test_readme_without_markers_is_an_error(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no <!-- benchmark-table --> markers"):
        write_readme(readme, [figure("floor", 20)])


@RIVALS
def test_json_tells_the_surroundings(tmp_path: Path) -> None:
    write_json(tmp_path / "figures.json", [figure("floor", 20)], 3)
    document = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert document["figures"][0]["cpu_ns"] == 20
    assert set(document["surroundings"]) == {"python", "system", "processors", "packages"}


def test_bars(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [figure("websockets-orjson", 8000), figure("websockets-json", 9000), figure("jetsocket-pure", 4000)]
    assert missed([*figures, figure("jetsocket", 100)]) == 0
    assert missed([*figures, figure("jetsocket", 1000)]) == 1
    assert "MISSED" in capsys.readouterr().out
