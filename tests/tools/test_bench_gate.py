"""tools/bench_gate.py: ratios of medians, from what pytest-benchmark writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .gating import BOUNDS, gate, line, write_project
from .planting import python


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What pytest-benchmark writes."""
    folder = write_project(tmp_path_factory.mktemp("sums"))
    ran = python(
        *("-m", "pytest", ".", "-q", "-p", "no:cacheprovider", "--benchmark-max-time=0.05"),
        "--benchmark-json=result.json",
        cwd=folder,
    )
    assert ran.returncode == 0, ran.stdout
    content: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
    return content


class Run:
    """A result and bounds that a test may change before they are judged."""

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self.content: Any = json.loads(json.dumps(content))
        self.bounds = BOUNDS
        self._result = folder / "result.json"
        self._bounds = folder / "bounds.toml"

    def case(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(case for case in self.content["benchmarks"] if case["name"] == name)
        return found

    def judged(self, *arguments: str | Path) -> tuple[int, str]:
        self._result.write_text(json.dumps(self.content), encoding="utf-8")
        self._bounds.write_text(self.bounds, encoding="utf-8")
        return gate(self._result, *arguments, "--bounds", self._bounds)


@pytest.fixture
def run(written: dict[str, Any], tmp_path: Path) -> Run:
    return Run(tmp_path, written)


def test_what_is_within_its_bounds_passes(run: Run) -> None:
    status, printed = run.judged()
    assert status == 0, printed
    assert line(printed, "test_total[*]").endswith("ok")
    assert line(printed, "test_total[quick] : test_reference").endswith("ok")


def test_a_case_without_a_bound_is_told(run: Run) -> None:
    status, printed = run.judged()
    assert status == 0
    assert line(printed, "test_other ").endswith("no bound")
    run.bounds = run.bounds.replace("[left_out]", '[left_out]\n"test_o*" = "nobody minds"')
    status, printed = run.judged()
    assert status == 0
    assert "test_other" not in printed


def test_what_is_left_out_and_not_there_is_told(run: Run) -> None:
    run.bounds = run.bounds.replace("[left_out]", '[left_out]\n"test_gone*" = "once"')
    status, printed = run.judged()
    assert status == 0
    assert line(printed, "test_gone*").endswith("left out, but there is no such case")


def test_a_quick_case_that_became_slow_fails(run: Run) -> None:
    run.case("test_total[quick]")["stats"]["median"] = run.case("test_total[plain]")["stats"]["median"]
    status, printed = run.judged()
    assert status == 1
    assert line(printed, "test_total[*]").split()[1:] == [">=", "1.5", "x", "1.00", "x", "-33%", "SLOWER"]
    assert printed.rstrip().endswith("the gate fails: 1 of 3")


def test_a_case_too_far_from_its_floor_fails(run: Run) -> None:
    run.bounds = run.bounds.replace("1000", "0.5")
    run.case("test_total[quick]")["stats"]["median"] = run.case("test_reference")["stats"]["median"]
    status, printed = run.judged()
    assert status == 1
    told = line(printed, "test_total[quick] : test_reference")
    assert told.split()[3:] == ["<=", "0.5", "x", "1.00", "x", "+100%", "SLOWER"]


def test_of_several_runs_each_bound_counts_in_its_best(run: Run, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(json.dumps(run.content), encoding="utf-8")
    good = run.judged()
    # In this run both fail, in the one before neither.
    run.bounds = run.bounds.replace("1000", "900")
    run.case("test_total[quick]")["stats"]["median"] = 1000 * run.case("test_reference")["stats"]["median"]
    assert run.judged()[0] == 1
    status, printed = run.judged(before)
    assert status == good[0] == 0
    assert line(printed, "test_total[*]").split() == line(good[1], "test_total[*]").split()
    # In every one of them.
    before.write_text(json.dumps(run.content), encoding="utf-8")
    status, printed = run.judged(before)
    assert status == 1
    assert printed.count("SLOWER") == 2


def test_a_case_that_vanished_from_one_of_several_runs_fails(run: Run, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(json.dumps(run.content), encoding="utf-8")
    run.content["benchmarks"].remove(run.case("test_total[plain]"))
    status, printed = run.judged(before)
    assert status == 1
    assert "VANISHED: there is no test_total[plain]" in printed


def test_the_machine_does_not_matter(run: Run) -> None:
    before = run.judged()
    for case in run.content["benchmarks"]:
        case["stats"]["median"] *= 64
    status, printed = run.judged()
    assert status == before[0] == 0
    assert line(printed, "test_total[*]").split() == line(before[1], "test_total[*]").split()


@pytest.mark.parametrize("gone", ["test_total[quick]", "test_total[plain]", "test_reference"])
def test_a_case_that_vanished_fails(run: Run, gone: str) -> None:
    run.content["benchmarks"].remove(run.case(gone))
    status, printed = run.judged()
    assert status == 1
    assert f"VANISHED: there is no {gone}" in printed


def test_suggested_bounds_can_be_met(run: Run) -> None:
    status, suggested = run.judged("--suggest")
    assert status == 0
    assert '[times_as_fast]\n"test_total[*]" = ' in suggested
    assert '[times_the_cost_of."test_reference"]\n"test_total[quick]" = ' in suggested
    # No case is held to a floor that it has not been held to.
    assert suggested.count("test_reference") == 1
    run.bounds = BOUNDS[: BOUNDS.index("[times_as_fast]")] + suggested
    status, printed = run.judged()
    assert status == 0, printed


@pytest.mark.parametrize(
    "bounds", ["", '[left_out]\n"*_uncounted" = "too short"\n[instructions]\ncases = ["test_t*"]\n']
)
def test_without_pairs_each_case_is_held_to_the_cheapest(run: Run, bounds: str) -> None:
    run.case("test_uncounted")["stats"]["median"] = 1e-9
    run.bounds = bounds
    status, suggested = run.judged("--suggest")
    assert status == 0
    assert suggested.startswith("# ")
    assert ("[instructions]" in suggested) == (bounds == "")
    assert ("test_uncounted" in suggested) == (bounds == "")
    run.bounds += suggested
    status, printed = run.judged()
    assert status == 0, printed
    assert "no bound" not in printed


def test_bounds_are_suggested_before_there_is_a_file(run: Run, tmp_path: Path) -> None:
    run.bounds = ""
    assert gate(tmp_path / "result.json", "--bounds", tmp_path / "none.toml", "--suggest")[0] == 2
    expected = run.judged("--suggest")
    assert gate(tmp_path / "result.json", "--bounds", tmp_path / "none.toml", "--suggest") == expected
    status, printed = gate(tmp_path / "result.json", "--bounds", tmp_path / "none.toml")
    assert status == 2
    assert printed.startswith("cannot read ")


def test_a_single_case_can_only_be_counted(run: Run) -> None:
    run.bounds = ""
    run.content["benchmarks"] = [run.case("test_other") | {"name": 'test_odd["\\x00-ü"]'}]
    status, suggested = run.judged("--suggest")
    assert status == 0
    assert suggested.endswith('[instructions]\ncases = ["*"]\n')
    assert "times_the_cost_of" not in suggested
    second = run.case('test_odd["\\x00-ü"]') | {"name": "test_other"}
    run.content["benchmarks"].append(second)
    run.bounds = run.judged("--suggest")[1]
    assert run.judged()[0] == 0


@pytest.mark.parametrize(
    "content, complaint",
    [
        ([], "is not what pytest-benchmark writes with --benchmark-json: it has no list `benchmarks`"),
        ({"results": []}, "is not what pytest-benchmark writes with --benchmark-json"),
        ({"benchmarks": {}}, "is not what pytest-benchmark writes with --benchmark-json"),
        ({"benchmarks": []}, "holds no case: did any benchmark run?"),
        ({"benchmarks": [{"name": "test_total"}]}, "benchmarks[0] has no name or no stats.median"),
        ({"benchmarks": ["test_total"]}, "benchmarks[0] has no name or no stats.median"),
        ({"benchmarks": [{"name": "a", "stats": {"median": 0}}]}, "a has a median of 0.0 s"),
        ({"benchmarks": [{"name": "a", "stats": {"median": 1}}] * 2}, "two cases are called 'a': names must be unique"),
    ],
)
def test_what_is_no_result_is_refused(run: Run, content: object, complaint: str) -> None:
    run.content = content
    status, printed = run.judged()
    assert status == 2
    assert complaint in printed
    assert "Traceback" not in printed


def test_a_result_that_is_no_json_is_refused(tmp_path: Path) -> None:
    bounds = tmp_path / "bounds.toml"
    bounds.write_text(BOUNDS, encoding="utf-8")
    for result in (tmp_path / "none.json", bounds):
        status, printed = gate(result, "--bounds", bounds)
        assert status == 2
        assert printed.startswith(f"cannot read {result}: ")


@pytest.mark.parametrize(
    "old, new, complaint",
    [
        ("[pairs]", "[pairs", "Expected ']'"),
        ("[pairs]", "[twins]", "unknown key twins; there are pairs, times_as_fast, times_the_cost_of, left_out"),
        ("fast = ", "quick = ", "unknown key pairs.quick; there are pairs.fast, pairs.slow"),
        ('slow = "plain"', "", "times_as_fast needs pairs.fast and pairs.slow"),
        ('slow = "plain"', "slow = 1", "pairs.slow must be a text, got 1"),
        ("= 1.5", '= "1.5"', "times_as_fast.'test_total[*]' must be a number over 0, got '1.5'"),
        ("= 1.5", "= true", "must be a number over 0, got True"),
        ("= 1000", "= nan", "times_the_cost_of.'test_reference'.'test_total[quick]' must be a number over 0, got nan"),
        ('"test_total[*]"', '"test_total[quick]"', "'test_total[quick]' must have one `*`"),
        ("[times_the_cost_of.test_reference]", "[times_the_cost_of]", "must be a table, got 1000"),
        ("cases = [", "case = [", "unknown key instructions.case; there are instructions.cases"),
        ('cases = ["test_*"', "cases = [1", "instructions.cases must be a text, got 1"),
        ("sys:getrecursionlimit", "sys", "instructions.facts: 'sys' must be MODULE:FUNCTION"),
    ],
)
def test_bounds_that_are_wrong_are_refused(run: Run, old: str, new: str, complaint: str) -> None:
    assert old in run.bounds
    run.bounds = run.bounds.replace(old, new)
    status, printed = run.judged()
    assert status == 2
    assert "bounds.toml: " in printed
    assert complaint in printed
    assert "Traceback" not in printed


def test_nothing_to_judge_by_is_no_pass(run: Run) -> None:
    run.bounds = ""
    status, printed = run.judged()
    assert status == 2
    assert "there is no bound to judge by" in printed


def test_it_wants_something_to_judge(tmp_path: Path) -> None:
    status, printed = gate("--bounds", tmp_path / "bounds.toml")
    assert status == 2
    assert "give it RESULT.json, --count, or both" in printed
