"""benchmarks/contest.py: every contender does the work that its figure is for; who cannot take part is left out."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from benchmarks.contenders import BY_NAME, COMPILED, CONTENDERS, Contender, peer
from benchmarks.contest import ContestError, contest, left_out
from benchmarks.courses import COURSES, TINY, Course
from benchmarks.report import RIVALS
from jetsocket import COMPILED as IS_COMPILED


def able(contender: Contender) -> bool:
    """Whether it can run here. A contest wants the compiled twin in earnest; this suite runs without, too."""
    return contender.absence() is None and (IS_COMPILED or not COMPILED.items() <= contender.environment.items())


@pytest.mark.parametrize("course", COURSES.values(), ids=list(COURSES))
def test_every_contender_holds_what_it_must(course: Course) -> None:
    contenders = [contender for contender in CONTENDERS if contender.course is course and able(contender)]
    if not contenders:
        pytest.skip("needs the extra `bench`: the other clients")
    told: list[str] = []
    # contest() compares what is held at the end with what was sent, and raises.
    found = contest(contenders, 2000, 1, told.append)
    assert [figure.name for figure in found] == [contender.name for contender in contenders]
    assert all(figure.cpu_ns > 0 and figure.wall_ns > 0 and figure.course == course.name for figure in found)
    assert [line.split(": ")[1] for line in told] == [figure.name for figure in found]


def test_contenders_take_turns() -> None:
    alone = BY_NAME["msgspec"]
    if not able(alone):
        pytest.skip("needs msgspec and uvloop")
    twin = dataclasses.replace(alone, name="twin")
    told: list[str] = []
    (figure, _) = contest([alone, twin], 1000, 3, told.append)
    assert [line.split(": ")[:2] for line in told] == [
        [f"run {turn} of 3", name] for turn in (1, 2, 3) for name in ("msgspec", "twin")
    ]
    assert figure.cpu_ns == sorted(figure.cpu_ns_runs)[1]
    assert figure.wall_ns == sorted(figure.wall_ns_runs)[1]


def test_a_contender_that_holds_another_number_is_an_error() -> None:
    if not able(BY_NAME["msgspec"]):
        pytest.skip("needs msgspec and uvloop")
    greedy = dataclasses.replace(BY_NAME["msgspec"], name="greedy", keeps="queues")
    with pytest.raises(ContestError, match=r"greedy holds 20001 messages at the end instead of \d+"):
        contest([greedy], 20_000, 1)


def test_a_contender_that_fails_is_an_error() -> None:
    with pytest.raises(ContestError, match=r"(?s)failing failed with 1: .*no_such_peer"):
        contest([Contender("failing", "fails", peer("no_such_peer"), connects=False)], 1000, 1)


def test_who_cannot_take_part_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    unborn = (sys.version_info[0], sys.version_info[1] + 1)
    younger = Contender("younger", "", peer("x"), python=unborn)
    foreign = Contender("foreign", "", peer("x"), needs=("sys", "no_such_module"))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert left_out([younger, foreign, BY_NAME["floor"], BY_NAME["tiny-floor"]]) == {
        "younger": f"needs Python {unborn[0]}.{unborn[1]} or later",
        "foreign": "needs no_such_module, which is not installed: pip install 'jetsocket[bench]'",
        "floor": "needs a C compiler",
        "tiny-floor": "needs a C compiler",
    }
    assert contest([younger, foreign], 1000, 1) == []


def test_slow_clients_and_courses_of_large_messages_get_fewer() -> None:
    assert BY_NAME["floor"].messages(4_000_000) == 4_000_000
    assert BY_NAME["websockets-json"].messages(4_000_000) == 400_000
    assert BY_NAME["large64k-floor"].messages(4_000_000) == 40_000
    assert BY_NAME["large1m-jetsocket"].messages(1000) == 50


def test_each_other_course_has_its_rival() -> None:
    assert {"trades", *RIVALS} == set(COURSES)
    assert all(BY_NAME[rival].course.name == course for course, (rival, _) in RIVALS.items())
    assert BY_NAME["tiny-jetsocket"].course is TINY
