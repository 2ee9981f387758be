"""benchmarks/report.py: tables and JSON of fixed figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.bars import judge
from benchmarks.findings import Finding
from benchmarks.report import HEADINGS, Outcome, markdown, rows, terminal, write_json, write_readme
from tests.benchmarks.figures import figure, figures


def outcome() -> Outcome:
    trials = {"latency": [Finding("p50", 1.3, "× picows", 1.1)]}
    return Outcome(
        5,
        figures(),
        {"websocket-rs": "needs Python 3.12 or later"},
        judge(figures()),
        trials,
        "python -m benchmarks --readme --messages 4000",
    )


def test_table_is_sorted_and_has_ratios() -> None:
    table = rows([figure("websockets-orjson", 8000), figure("floor", 20), figure("jetsocket", 80)])
    assert [row[0] for row in table] == [
        "C, receives and splits frames only",
        "JetSocket, kept in queues",
        "websockets + orjson + deques",
    ]
    assert "| JetSocket, kept in queues | 80 | 160 | 12,500,000 | 4.0 × | 100.0 × |" in markdown(HEADINGS, table)


def test_terminal_has_a_table_of_the_other_courses() -> None:
    main, others = terminal(figures()).split("\n\n")
    assert main.splitlines()[0].split("  ")[0] == "client"
    assert "books of 64 KiB" not in main
    (line,) = (line for line in others.splitlines() if line.startswith("trades over wss://") and "JetSocket" in line)
    assert line.split()[-4:] == ["680", "0.25", "×", "picows"]
    assert terminal([figure("floor")]).count("\n") == 1


def test_a_contest_on_another_course_alone_has_its_table_alone() -> None:
    assert terminal([figure("tiny-jetsocket")]).splitlines()[0].startswith("course")


def test_readme_is_replaced_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmark-table -->\nold\n<!-- /benchmark-table -->\nafter\n", encoding="utf-8")
    write_readme(readme, outcome(), "benchmarks/results.svg")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- benchmark-table -->\n![Messages a CPU second")
    assert text.endswith("\n<!-- /benchmark-table -->\nafter\n")
    assert "old" not in text
    assert "](benchmarks/results.svg)" in text
    assert "| C, receives and splits frames only | 20 | 40 | 50,000,000 | 1.0 × | 400.0 × |" in text
    assert "| trades, permessage-deflate | JetSocket, kept in queues | 1,000 |" in text
    assert "Made by `python -m benchmarks --readme --messages 4000`, median of 5 runs of " in text
    assert "Left out: websocket-rs needs Python 3.12 or later." in text
    write_readme(readme, outcome(), "benchmarks/results.svg")
    assert readme.read_text(encoding="utf-8") == text


def test_readme_without_markers_is_an_error(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no <!-- benchmark-table --> markers"):
        write_readme(readme, outcome(), "results.svg")


def test_json_has_figures_findings_trials_and_surroundings(tmp_path: Path) -> None:
    write_json(tmp_path / "figures.json", outcome())
    document = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert document["figures"][0]["cpu_ns"] == 20
    assert document["figures"][0]["wall_ns_runs"] == [40]
    assert document["findings"][0]["met"] is True
    assert document["trials"]["latency"][0] == {
        "subject": "p50",
        "value": 1.3,
        "unit": "× picows",
        "bound": 1.1,
        "at_most": True,
        "met": False,
    }
    assert document["left_out"] == {"websocket-rs": "needs Python 3.12 or later"}
    assert set(document["surroundings"]) == {"processor", "processors", "kernel", "python", "packages"}


def test_what_was_missed_is_of_bars_and_trials() -> None:
    assert [finding.subject for finding in outcome().missed] == ["p50"]
