from __future__ import annotations

import itertools

import pytest

from jetsocket.errors import InvalidStateError
from jetsocket.protocol.states import TRANSITIONS, ConnectionState, check_move

S = ConnectionState


def test_the_names_that_users_know():
    assert [state.name for state in S] == [
        "IDLE",
        "CONNECTING",
        "CONNECTED",
        "DISCONNECTING",
        "DISCONNECTED",
        "RECONNECTING",
        "BACKING_OFF",
        "FAILED",
        "CLOSED",
    ]
    assert all(state.value == state.name.lower() for state in S)


@pytest.mark.parametrize(
    "life",
    [
        [S.IDLE, S.CONNECTING, S.CONNECTED, S.DISCONNECTING, S.CLOSED],
        [S.IDLE, S.CONNECTING, S.BACKING_OFF, S.CONNECTING, S.CONNECTED],
        [S.CONNECTED, S.RECONNECTING, S.BACKING_OFF, S.RECONNECTING, S.CONNECTED],
        [S.CONNECTED, S.DISCONNECTED, S.CONNECTING],
        [S.CONNECTED, S.FAILED, S.CLOSED],
        [S.BACKING_OFF, S.FAILED],
        [S.BACKING_OFF, S.CLOSED],
        [S.IDLE, S.CLOSED],
    ],
)
def test_lives(life):
    for current, following in itertools.pairwise(life):
        check_move(current, following)


def test_every_other_move_raises():
    for current in S:
        for following in set(S) - TRANSITIONS[current]:
            with pytest.raises(InvalidStateError) as caught:
                check_move(current, following)
            assert caught.value.current_state is current


def test_nothing_follows_closed_and_idle_follows_nothing():
    assert not TRANSITIONS[S.CLOSED]
    assert not any(S.IDLE in targets for targets in TRANSITIONS.values())
    assert set(TRANSITIONS) == set(S)


def test_the_text_names_both():
    with pytest.raises(
        InvalidStateError, match=r"^cannot become connected: the state is closed, must be connecting or "
    ):
        check_move(S.CLOSED, S.CONNECTED)
