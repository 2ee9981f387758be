"""Waiting longer each time: what the waits are, and when they begin anew."""

from __future__ import annotations

import asyncio

import pytest

from jetsocket import pausing
from jetsocket.pausing import LONGEST, SHORTEST, Pause, longer


def test_a_wait_is_twice_the_one_before_up_to_the_longest():
    waits = [0.0]
    for _ in range(8):
        waits.append(longer(waits[-1]))
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert (SHORTEST, LONGEST) == (1, 60)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "SHORTEST", 0.01)


@pytest.mark.usefixtures("quick")
async def test_a_pause_ends_by_itself_and_the_next_one_is_longer_until_there_is_an_answer():
    over = asyncio.Event()
    pause = Pause(over.set)
    assert (pause.is_on, pause.left, pause.seconds) == (False, 0.0, 0.0)
    assert pause.begin()
    assert pause.is_on
    assert 0 < pause.left <= 0.01 + 1e-6
    # Of what was sent before.
    assert not pause.begin()
    pause.answered()
    assert pause.seconds == 0.01
    await asyncio.wait_for(over.wait(), 2)
    assert not pause.is_on
    assert pause.begin()
    assert pause.seconds == 0.02
    over.clear()
    await asyncio.wait_for(over.wait(), 2)
    pause.answered()
    assert pause.begin()
    assert pause.seconds == 0.01
    pause.clear()
    assert (pause.is_on, pause.seconds) == (False, 0.0)
