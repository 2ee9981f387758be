"""tools/bench_gate.py --count: instructions under valgrind, held against a baseline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .gating import BOUNDS, counted, gate, line, write_project

CASES = ["test_other", "test_reference", "test_total[plain]", "test_total[quick]"]


class Project:
    """Benchmarks, bounds, and a baseline that was made from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_project(folder)
        self.baseline = folder / "instructions.json"

    def arguments(self) -> tuple[str | Path, ...]:
        return "--bounds", self.folder / "bounds.toml", "--benchmarks", self.folder

    def change(self, old: str, new: str) -> None:
        file = self.folder / "test_sums.py"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> str:
    project = Project(tmp_path_factory.mktemp("sums"))
    status, printed = counted("--update", *project.arguments())
    assert status == 0, printed
    assert f"the baseline is now these {len(CASES)} counts: {project.baseline}" in printed
    return project.baseline.read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, baseline: str) -> Project:
    project = Project(tmp_path / "sums")
    project.baseline.write_text(baseline, encoding="utf-8")
    return project


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestUnderValgrind:
    def test_counts_repeat(self, project: Project) -> None:
        status, printed = counted(*project.arguments(), "--all")
        assert status == 0, printed
        for case in CASES:
            assert line(printed, case).endswith("ok")

    def test_a_loss_fails_and_a_gain_is_told(self, project: Project) -> None:
        project.change("total += number\n", "total += 2 * number\n        total -= number\n")
        project.change("lambda: ((NUMBERS,), {})", "lambda: ((NUMBERS[:10_000],), {})")
        project.change("rounds=5) == NUMBERS", "rounds=5)")
        status, printed = counted(*project.arguments())
        assert status == 1
        assert line(printed, "test_total[plain]").endswith("SLOWER")
        assert line(printed, "test_other").endswith("faster: update the baseline")
        assert "test_total[quick]" not in printed
        assert "2 cases did not move" in printed

    def test_a_gain_alone_passes(self, project: Project) -> None:
        project.change("range(20_000)", "range(10_000)")
        project.change(" == 199_990_000", "")
        project.change(" == 20_000", "")
        status, printed = counted(*project.arguments())
        assert status == 0, printed
        assert printed.count("faster: update the baseline") == len(CASES)

    def test_a_case_that_vanished_fails_and_a_new_one_is_told(self, project: Project) -> None:
        project.change("def test_other(", "def test_reference_2(")
        status, printed = counted(*project.arguments())
        assert status == 1
        assert line(printed, "test_other").endswith("VANISHED")
        assert line(printed, "test_reference_2").endswith("no baseline: --update")

    def test_a_baseline_of_another_kind_is_no_failure(self, project: Project) -> None:
        ((key, counts),) = json.loads(project.baseline.read_text(encoding="utf-8")).items()
        project.baseline.write_text(json.dumps({"another machine": dict.fromkeys(counts, 1)}), encoding="utf-8")
        status, printed = counted(*project.arguments())
        assert status == 0, printed
        assert f"({key}): there is no baseline of this kind in {project.baseline}, which has:" in printed
        assert "\n  another machine\nmake one, " in printed
        # It is put beside the other one.
        assert counted("--update", *project.arguments())[0] == 0
        assert json.loads(project.baseline.read_text(encoding="utf-8")).keys() == {key, "another machine"}

    def test_a_case_that_fails_is_no_count(self, project: Project) -> None:
        project.change("== 199_990_000", "== 0")
        status, printed = counted(*project.arguments())
        assert status == 2
        assert "the benchmarks failed under valgrind (1):" in printed
        assert "AssertionError" in printed or "assert 199990000 == 0" in printed

    def test_names_must_be_unique(self, project: Project) -> None:
        (project.folder / "test_more.py").write_text(
            "def test_reference(benchmark):\n    benchmark(sum, [])\n", encoding="utf-8"
        )
        status, printed = counted(*project.arguments())
        assert status == 2
        assert "two cases are called 'test_reference': names must be unique" in printed

    def test_no_case_at_all_is_an_error(self, project: Project) -> None:
        bounds = project.folder / "bounds.toml"
        bounds.write_text(BOUNDS.replace('cases = ["test_*"]', 'cases = ["test_none"]'), encoding="utf-8")
        status, printed = counted(*project.arguments())
        assert status == 2
        assert "instructions.cases matches no benchmark" in printed


def test_without_valgrind_it_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path / "sums")
    status, printed = gate("--count", *project.arguments(), PATH=str(tmp_path))
    assert status == 77
    assert printed.strip() == "instructions were not counted: valgrind is not installed"


@pytest.mark.parametrize(
    "script, complaint",
    [
        ("exit 1", "the compiler does not run: "),
        (
            'case $1 in -*version) echo 1 ;; *) echo "no such header"; exit 1 ;; esac',
            "valgrind/callgrind.h is missing or does not compile:\nno such header",
        ),
    ],
)
def test_without_a_compiler_or_the_header_it_says_so(tmp_path: Path, script: str, complaint: str) -> None:
    project = Project(tmp_path / "sums")
    for name, text in {"valgrind": "exit 1", "cc": script}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
    status, printed = gate("--count", *project.arguments(), PATH=str(tmp_path), CC=str(tmp_path / "cc"))
    assert status == 77
    assert printed.strip().startswith(f"instructions were not counted: {complaint}")


def test_a_bounds_file_that_counts_nothing_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path / "sums")
    (project.folder / "bounds.toml").write_text("", encoding="utf-8")
    status, printed = gate("--count", *project.arguments())
    assert status == 2
    assert "instructions.cases names no case to count" in printed


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("{", "cannot read"),
        ("[]", "must be an object, of objects of instruction counts"),
        ('{"x86_64": 1}', "'x86_64' must be an object of instruction counts"),
        ('{"x86_64": {"test_total": 1.5}}', "'x86_64' must be an object of instruction counts"),
    ],
)
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    project = Project(tmp_path / "sums")
    project.baseline.write_text(content, encoding="utf-8")
    status, printed = gate("--count", *project.arguments())
    assert status == 2
    assert str(project.baseline) in printed
    assert complaint in printed
