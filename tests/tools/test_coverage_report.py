"""tools/coverage_report.py: what it runs, how it counts, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.coverage_own import module_named, own_patterns, room_of
from tools.coverage_report import main, measure, options
from tools.coverage_runs import LESSER, Area, all_runs, runs_of
from tools.coverage_table import Covered, Row, print_table, ranges, total

PROJECT = Path(__file__).parents[2]


def test_line_numbers_are_told_as_ranges() -> None:
    assert ranges([1, 2, 3, 5, 8, 9]) == ["1-3", "5", "8-9"]
    assert ranges([]) == []


def test_lines_and_branches_count_together() -> None:
    covered = Covered(6, 5, 4, 3, (7,), ("7->9",))
    assert covered.percent == 80.0
    assert covered.gaps() == "7, 7->9"
    assert Covered(0, 0, 0, 0).percent == 100.0
    assert total([covered, covered]) == Covered(12, 10, 8, 6)


def rows(own: int) -> list[Row]:
    full = Covered(100, 100, 0, 0)
    return [
        Row("jetsocket/hot/ring_c.pyx", full, full),
        Row("jetsocket/multiplex.py", full, Covered(100, own, 0, 0, (1, 2))),
    ]


def test_a_module_under_the_bar_is_named_with_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(rows(own=94), 95.0) == ["jetsocket/multiplex.py", "Python, branches"]
    shown = capsys.readouterr().out
    assert "jetsocket/multiplex.py: missing from its own tests (tests/test_multiplex.py" in shown
    assert shown.rstrip().endswith("under 95 %: jetsocket/multiplex.py, Python, branches")


def test_the_bar_may_be_touched(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(rows(own=95), 95.0) == []
    assert "under" not in capsys.readouterr().out


def test_a_percentage_is_not_rounded_up(capsys: pytest.CaptureFixture[str]) -> None:
    nearly = Covered(10_000, 9499, 0, 0)
    assert print_table([Row("jetsocket/link.py", nearly, nearly)], 95.0)
    assert "94.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    "module, room, patterns",
    [
        ("jetsocket/events.py", None, ("tests/test_events.py", "tests/test_events_*.py")),
        ("jetsocket/cli/__main__.py", None, ("tests/cli/test_main.py", "tests/cli/test_main_*.py")),
        ("jetsocket/protocol/uri.py", None, ("tests/protocol/test_uri.py", "tests/protocol/test_uri_*.py")),
        ("jetsocket/hot/key_grammar.py", None, ("tests/hot/test_key_grammar.py", "tests/hot/test_key_grammar_*.py")),
        (
            "jetsocket/hot/keys_scan_py.py",
            "keys",
            ("tests/conformance/test_keys.py", "tests/conformance/test_keys_*.py"),
        ),
        ("jetsocket/hot/mask.h", "frames", ("tests/conformance/test_frames.py", "tests/conformance/test_frames_*.py")),
    ],
)
def test_own_tests_have_the_modules_name(module: str, room: str | None, patterns: tuple[str, ...]) -> None:
    assert room_of(module) == room
    assert own_patterns(module) == patterns


def test_modules_are_named_as_a_user_would() -> None:
    for name in ("hot/ring_c", "hot/ring_c.pyx", "jetsocket/hot/ring_c.pyx"):
        assert module_named(name, PROJECT) == "jetsocket/hot/ring_c.pyx"
    with pytest.raises(SystemExit, match="there is no module 'rnig'"):
        module_named("rnig", PROJECT)


def test_every_test_file_is_run_once() -> None:
    files = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "tests").rglob("test_*.py")}
    runs = [run for run in all_runs(PROJECT, python=True, cython=True) if run.build not in LESSER]
    tests = [file for run in runs for file in run.tests]
    assert sorted(tests) == sorted(files)
    assert [run.name for run in all_runs(PROJECT, python=True, cython=False)] == ["public", "command"]


def test_a_room_is_run_with_its_headers_on_lesser_machines() -> None:
    assert [run.name for run in runs_of(["jetsocket/hot/keys_c.pyx"], PROJECT)] == [
        "keys",
        "keys-gcov_baseline",
        "keys-gcov_scalar",
    ]
    assert [run.name for run in runs_of(["jetsocket/hot/hash.h"], PROJECT)] == ["router"]
    (run,) = runs_of(["jetsocket/stats.py"], PROJECT)
    assert (run.name, run.tests, run.room) == ("public", ("tests/test_stats.py",), None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_python_cython_and_headers_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real thing, of the smallest modules: a table by one command, and a bar that cannot be reached."""
    given = options(["stats", "hot/router_c", "hot/router_py", "hot/hash", "--fail-under", "90"])
    assert measure(Area(tmp_path), given) == 0
    table = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if "jetsocket/" in line}
    assert table.keys() == {
        "jetsocket/stats.py",
        "jetsocket/hot/router_c.pyx",
        "jetsocket/hot/router_py.py",
        "jetsocket/hot/hash.h",
    }
    for lines, _branches, suite, own, *_missing in table.values():
        assert int(lines) > 10
        assert float(suite) == float(own) >= 90
    assert int(table["jetsocket/hot/router_py.py"][1]) > 10


def test_help_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options(["--help"])
    assert ended.value.code == 0
    assert "--fail-under" in capsys.readouterr().out
    assert main.__module__ == "tools.coverage_report"
