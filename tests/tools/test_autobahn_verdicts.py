"""tools/autobahn_verdicts.py: which cases, and what is good enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.autobahn_verdicts import (
    QUICK,
    NoSuchCaseError,
    Verdict,
    as_json,
    read_verdicts,
    remarks,
    select,
    table,
)

CASES = ["1.1.1", "1.2.1", "2.1", "2.11", "12.1.1", "12.1.11", "12.1.16", "12.2.7"]


@pytest.mark.parametrize(
    "patterns, chosen",
    [
        ([], CASES),
        (["1.1.1"], ["1.1.1"]),
        (["1"], ["1.1.1", "1.2.1"]),
        (["1.*"], ["1.1.1", "1.2.1"]),
        (["2.1"], ["2.1"]),
        (["12.1"], ["12.1.1", "12.1.11", "12.1.16"]),
        (["12.*.[1-6]"], ["12.1.1"]),
        (["2.11", "1.2", "2.*"], ["1.2.1", "2.1", "2.11"]),
    ],
)
def test_selects_in_the_order_of_the_suite(patterns: list[str], chosen: list[str]) -> None:
    assert select(CASES, patterns) == chosen


def test_refuses_a_pattern_that_no_case_matches() -> None:
    with pytest.raises(NoSuchCaseError, match=r"^no case matches '14'; there are 1\.1\.1 to 12\.2\.7$"):
        select(CASES, ["1", "14"])


def test_the_quick_set_leaves_out_large_compressed_payloads_alone() -> None:
    small = [f"{section}.1.1" for section in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
    compressed = [f"{section}.{group}.{case}" for section in (12, 13) for group in range(1, 6) for case in range(1, 19)]
    chosen = select(small + compressed, QUICK)
    assert chosen[: len(small)] == small
    assert {case.rpartition(".")[2] for case in chosen[len(small) :]} == {"1", "2", "3", "4", "5", "6", "11"}
    assert len(chosen) == len(small) + 2 * 5 * 7


@pytest.mark.parametrize(
    "facts, good, strictly",
    [
        ({"behavior": "OK"}, True, True),
        ({"behavior": "INFORMATIONAL", "behavior_close": "INFORMATIONAL"}, True, True),
        ({"behavior": "NON-STRICT"}, True, False),
        ({"behavior": "NON-STRICT", "repeats": ("NON-STRICT", "NON-STRICT")}, True, False),
        ({"behavior": "NON-STRICT", "repeats": ("NON-STRICT", "OK")}, True, True),
        ({"behavior": "NON-STRICT", "repeats": ("FAILED", "OK")}, False, False),
        ({"behavior": "FAILED"}, False, False),
        ({"behavior": "UNIMPLEMENTED"}, False, False),
        ({"behavior": "MISSING", "behavior_close": "MISSING"}, False, False),
        ({"behavior": "never heard of"}, False, False),
        ({"behavior": "OK", "behavior_close": "FAILED"}, False, False),
        ({"behavior": "OK", "behavior_close": "WRONG CODE"}, False, False),
        ({"behavior": "OK", "behavior_close": "UNCLEAN"}, False, False),
        ({"behavior": "OK", "timed_out": True}, False, False),
    ],
)
def test_what_is_good_enough(facts: dict[str, Any], good: bool, strictly: bool) -> None:
    verdict = Verdict("1.1", "Send.", **facts)
    assert verdict.is_good(strict=False) is good
    assert verdict.is_good(strict=True) is strictly


def test_reads_the_report_about_the_agent(tmp_path: Path) -> None:
    index = {
        "ours": {
            "1.1": {"behavior": "OK", "behaviorClose": "OK", "reportfile": "one.json"},
            "1.2": {"behavior": "FAILED", "behaviorClose": "WRONG CODE", "reportfile": "two.json"},
            "9.9": {"behavior": "FAILED", "behaviorClose": "OK", "reportfile": "not asked for"},
        },
        "another": {"1.3": {"behavior": "OK", "behaviorClose": "OK", "reportfile": "three.json"}},
    }
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    told = {"result": "Actual events differ.", "resultClose": "The close code was wrong."}
    (tmp_path / "two.json").write_text(json.dumps(told), encoding="utf-8")
    wanted = {"1.1": "First.", "1.2": "Second.", "1.3": "Third."}
    timings = {"1.1": {"seconds": 0.5, "timed_out": False}, "1.3": {"seconds": 60.0, "timed_out": True}}
    assert read_verdicts(tmp_path, "ours", wanted, timings) == [
        Verdict("1.1", "First.", "OK", seconds=0.5),
        Verdict("1.2", "Second.", "FAILED", "WRONG CODE", "Actual events differ. The close code was wrong."),
        Verdict("1.3", "Third.", "MISSING", "MISSING", seconds=60.0, timed_out=True),
    ]


def test_without_a_report_every_case_is_missing(tmp_path: Path) -> None:
    assert read_verdicts(tmp_path, "ours", {"1.1": "First."}, {}) == [Verdict("1.1", "First.", "MISSING", "MISSING")]


def test_the_table_counts_by_section() -> None:
    verdicts = [
        Verdict("1.1.1", "", "OK"),
        Verdict("1.1.2", "", "OK"),
        Verdict("3.4", "", "NON-STRICT"),
        Verdict("12.1.1", "", "UNIMPLEMENTED"),
        Verdict("12.1.2", "", "never heard of"),
        Verdict("12.1.3", "", "MISSING"),
    ]
    rows = [line.split() for line in table(verdicts, {"1": "Framing", "3": "Bits", "12": "Compression"}).splitlines()]
    assert rows == [
        ["section", "OK", "NON-STRICT", "INFORMATIONAL", "FAILED", "UNIMPLEMENTED", "MISSING"],
        ["1", "Framing", "2", "-", "-", "-", "-", "-"],
        ["3", "Bits", "-", "1", "-", "-", "-", "-"],
        ["12", "Compression", "-", "-", "-", "1", "1", "1"],
        ["all", "2", "1", "-", "1", "1", "1"],
    ]


def test_remarks_are_about_what_is_not_ok() -> None:
    verdicts = [
        Verdict("1.1", "Send nothing.", "OK"),
        Verdict("1.2", "Send something.", "OK", "WRONG CODE"),
        Verdict("1.3", "Send a lot.", "OK", seconds=120.2, timed_out=True),
        Verdict("3.4", "Send in parts.", "NON-STRICT", result="Other events.", repeats=("NON-STRICT", "OK")),
        Verdict("4.1", "Send at once.", "NON-STRICT", repeats=("NON-STRICT",)),
        Verdict("5.1", "Send never.", "MISSING", "MISSING"),
    ]
    assert remarks(verdicts).splitlines() == [
        "1.2 OK, close WRONG CODE",
        "    Send something.",
        "1.3 OK, not finished in 120 s",
        "    Send a lot.",
        "3.4 NON-STRICT (again: NON-STRICT, OK; the suite's timing)",
        "    Send in parts.",
        "    Other events.",
        "4.1 NON-STRICT (again: NON-STRICT; not timing: our behaviour)",
        "    Send at once.",
        "5.1 MISSING",
        "    Send never.",
    ]
    assert remarks(verdicts[:1]) == ""


def test_verdicts_go_into_json() -> None:
    verdict = Verdict("3.4", "Send in parts.", "NON-STRICT", repeats=("OK",))
    assert json.loads(json.dumps(as_json([verdict])))["3.4"] == {
        "case": "3.4",
        "description": "Send in parts.",
        "behavior": "NON-STRICT",
        "behavior_close": "OK",
        "result": "",
        "seconds": 0.0,
        "timed_out": False,
        "repeats": ["OK"],
    }
