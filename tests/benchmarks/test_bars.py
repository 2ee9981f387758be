"""benchmarks/bars.py: what is asked of the figures."""

from __future__ import annotations

import pytest

from benchmarks.bars import BARS, checked, judge, unjudged
from benchmarks.contenders import BY_NAME
from tests.benchmarks.figures import figure, figures


def test_every_bar_is_about_contenders_of_one_course() -> None:
    for bar in BARS:
        assert len({BY_NAME[name].course for name in bar.names}) == 1
        assert (bar.most is None) != (bar.least is None)


def test_tolerant_bounds_are_laxer() -> None:
    for bar in BARS:
        if bar.tolerant is not None:
            assert bar.tolerant > bar.most if bar.most is not None else bar.tolerant < (bar.least or 0)


def test_all_bars_are_met_by_figures_that_meet_them() -> None:
    findings = judge(figures())
    assert len(findings) == len(BARS)
    assert [str(finding) for finding in findings if not finding.met] == []
    assert unjudged(figures(), list(BY_NAME)) == []


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.client}-to-{bar.others[0]}")
def test_every_bar_can_be_missed(bar: object) -> None:
    number = BARS.index(bar)  # type: ignore[arg-type]
    slow = figures(**{BARS[number].client.replace("-", "_"): 1e9})
    assert not judge(slow)[number].met


def test_a_finding_reads_as_a_sentence() -> None:
    kept, beside_picows, *_ = judge(figures())
    assert str(kept) == "kept in queues: 3 × the CPU time of the floor, at most 3.5 wanted: met"
    assert str(beside_picows) == "kept in queues: 10 × as fast as picows with deques, at least 8 wanted: met"
    missed = judge([figure("floor", 20), figure("jetsocket", 80)])
    assert [str(finding) for finding in missed] == [
        "kept in queues: 4 × the CPU time of the floor, at most 3.5 wanted: MISSED"
    ]


def test_structs_are_held_against_async_for_and_msgspec_together() -> None:
    (finding,) = (finding for finding in judge(figures()) if finding.subject == "delivered as Structs")
    assert finding.value == pytest.approx(500 / (150 + 300))


def test_tolerant_bounds_are_for_what_the_check_runs_alone() -> None:
    findings = judge(figures(jetsocket=100), tolerant=True)
    assert len(findings) == sum(bar.tolerant is not None for bar in BARS)
    assert all(finding.met for finding in findings)
    assert not judge(figures(jetsocket=100))[0].met
    assert not judge(figures(jetsocket=1000), tolerant=True)[0].met
    assert {"jetsocket", "floor"} <= set(checked()) <= set(BY_NAME)


def test_a_bar_without_its_contender_is_said_to_be_unjudged() -> None:
    without = [found for found in figures() if found.name != "picows"]
    assert "kept in queues beside picows with deques: not judged, without picows" in unjudged(without, list(BY_NAME))
    # Nobody asked for it.
    assert unjudged([figure("floor")], ["floor"]) == []
