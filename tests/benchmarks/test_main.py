"""`python -m benchmarks`: the options, and what is run, printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main, parse, run_trials, save, verdict
from benchmarks.bars import checked, judge
from benchmarks.contenders import BY_NAME
from benchmarks.findings import Finding
from benchmarks.report import Outcome
from benchmarks.trials import TRIALS, Trial
from tests.benchmarks.figures import figures

LATE = Finding("ticks late", 3.0, "ms", 2.0)
TRIAL_NAMES = [trial.name for trial in TRIALS]


def test_all_contenders_and_trials_run_by_default() -> None:
    options = parse([])
    assert options.only == [*BY_NAME, *TRIAL_NAMES]
    assert (options.messages, options.runs) == (4_000_000, 5)
    assert options.picture is options.readme is None


def test_check_runs_a_few_quickly() -> None:
    options = parse(["--check"])
    assert options.only == checked()
    assert options.messages < 1_000_000
    assert options.runs < 5
    assert parse(["--check", "--only", "floor", "--runs", "7"]).runs == 7


def test_readme_and_its_picture_lie_in_the_repository() -> None:
    options = parse(["--readme"])
    assert (options.readme.parent / "pyproject.toml").exists()
    assert options.picture == options.readme.parent / "benchmarks" / "results.svg"


def test_what_was_typed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(["--readme", "--messages", "1500000"]).command == "python -m benchmarks --readme --messages 1500000"
    assert parse(["--json", "my file"]).command == "python -m benchmarks --json 'my file'"
    monkeypatch.setattr("sys.argv", ["benchmarks", "--runs", "2"])
    assert parse(None).command == "python -m benchmarks --runs 2"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--messages", "10"], "--messages must be at least 1000"),
        (["--runs", "0"], "--runs at least 1"),
        (["--only", "nobody"], "invalid choice: 'nobody'"),
        (["--only", "tiny-floor", "--picture", "x.svg"], "need a client of the main course"),
        (["--only", "msgspec", TRIAL_NAMES[0], "--readme"], "need a client of the main course"),
    ],
)
def test_arguments_that_cannot_be_right(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert told in capsys.readouterr().err


def test_a_run_tells_tables_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "all.json"
    able = "msgspec" if BY_NAME["msgspec"].absence() is None else "floor"
    arguments = ["--only", able, "--messages", "1000", "--runs", "2", "--json", str(file)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert BY_NAME[able].title in out
    assert err.count(f": {able}: ") == 2
    document = json.loads(file.read_text(encoding="utf-8"))
    assert [figure["name"] for figure in document["figures"]] == [able]


def test_trials_are_told_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(1)
    run_trials(outcome, [Trial("late", lambda: [LATE]), Trial("absent", list)])
    assert capsys.readouterr().out == "\nlate:\n  ticks late: 3 ms, at most 2 wanted: MISSED\n\nabsent:\n"
    assert outcome.trials == {"late": [LATE], "absent": []}


def test_a_check_fails_where_a_bound_is_missed_or_nothing_is_judged() -> None:
    good = Outcome(1, figures(), findings=judge(figures()))
    slow = Outcome(1, figures(jetsocket=1e6), findings=judge(figures(jetsocket=1e6)))
    late = Outcome(1, trials={"late": [LATE]})
    assert [verdict(outcome, True) for outcome in (good, slow, late, Outcome(1))] == [0, 1, 1, 1]
    assert [verdict(outcome, False) for outcome in (good, slow, late, Outcome(1))] == [0, 0, 0, 0]


def test_readme_and_picture_are_written(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- benchmark-table -->\n<!-- /benchmark-table -->\n", encoding="utf-8")
    (tmp_path / "benchmarks").mkdir()
    save(parse(["--readme", str(readme), "--json", str(tmp_path / "all.json")]), Outcome(1, figures()))
    assert "](benchmarks/results.svg)" in readme.read_text(encoding="utf-8")
    assert (tmp_path / "benchmarks" / "results.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert len(json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["figures"]) == len(figures())
