"""Every cell of the channels' table, and what holds whatever happens."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.errors import InvalidStateError
from jetsocket.protocol.channels import ChannelEvent, ChannelState, next_state

S = ChannelState
E = ChannelEvent

ABBREVIATIONS = {
    "idle": S.IDLE,
    "want": S.WANTED,
    "sing": S.SUBSCRIBING,
    "subd": S.SUBSCRIBED,
    "refd": S.REFUSED,
    "canc": S.CANCELLING,
    "leav": S.LEAVING,
    "unsu": S.UNSUBSCRIBING,
    "ling": S.LINGERING,
    "renw": S.RENEWING,
    "retn": S.RETURNING,
}

# Written out by hand. "-": it stays; "!": it raises.
MATRIX = """
       WANT UNWANT ASKED LEFT ACCEPTED REFUSED RELEASED KEPT SILENT UNHEARD UNDECIDED POSTPONED REVOKED RENEW LOST
idle   want -      !     !    -        -       -        -    -      -       -         -         -       -     -
want   -    idle   sing  !    subd     refd    -        -    -      -       -         -         refd    -     -
sing   -    canc   !     !    subd     refd    -        -    want   -       want      want      refd    -     want
subd   -    leav   !     !    -        -       want     -    -      -       -         -         refd    renw  want
refd   want idle   !     !    -        -       -        -    -      -       -         -         -       -     -
canc   sing -      !     !    leav     idle    -        -    ling   -       idle      idle      idle    -     idle
leav   subd -      !     unsu -        -       idle     -    -      -       -         -         idle    -     idle
unsu   retn -      !     !    -        -       idle     idle ling   idle    idle      leav      idle    -     idle
ling   want -      !     unsu -        -       idle     idle -      -       -         -         idle    -     idle
renw   -    leav   !     retn -        -       want     -    -      -       -         -         refd    -     want
retn   -    unsu   !     !    -        -       want     subd want   -       want      renw      want    -     want
"""


def cells() -> list[tuple[ChannelState, ChannelEvent, str]]:
    head, *rows = (line.split() for line in MATRIX.strip().splitlines())
    found = []
    for abbreviation, *outcomes in rows:
        found += [(ABBREVIATIONS[abbreviation], E[name], outcome) for name, outcome in zip(head, outcomes, strict=True)]
    return found


CELLS = cells()


def after(state: ChannelState, *events: ChannelEvent) -> ChannelState:
    """Where `events` lead, those that do not fit left out."""
    for event in events:
        try:
            state = next_state(state, event)
        except InvalidStateError:
            assert event in {E.ASKED, E.LEFT}
    return state


STATES = st.sampled_from(list(S))
EVENTS = st.lists(st.sampled_from(list(E)), max_size=20)


def test_the_matrix_has_every_cell_once():
    assert [(state, event) for state, event, _ in CELLS] == list(itertools.product(S, E))
    assert len(CELLS) == 165


@pytest.mark.parametrize(
    "state, event, outcome", CELLS, ids=[f"{state.value}-{event.value}" for state, event, _ in CELLS]
)
def test_each_cell(state, event, outcome):
    if outcome == "!":
        with pytest.raises(InvalidStateError) as caught:
            next_state(state, event)
        assert caught.value.current_state is state
    else:
        assert next_state(state, event) is (state if outcome == "-" else ABBREVIATIONS[outcome])


def test_the_names_that_users_see():
    assert all(state.value == state.name.lower() for state in S)
    assert all(event.value == event.name.lower() for event in E)


def test_which_are_wanted():
    assert {state for state in S if state.is_wanted} == {
        S.WANTED,
        S.SUBSCRIBING,
        S.SUBSCRIBED,
        S.RENEWING,
        S.RETURNING,
    }


@pytest.mark.parametrize(
    "state, event, text",
    [
        (S.SUBSCRIBED, E.ASKED, "cannot ask for a channel: the state is subscribed, must be wanted"),
        (S.IDLE, E.LEFT, "cannot leave a channel: the state is idle, must be leaving or lingering or renewing"),
    ],
)
def test_the_text_says_when_it_would_have_been_allowed(state, event, text):
    with pytest.raises(InvalidStateError) as caught:
        next_state(state, event)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "events, states",
    [
        ([E.WANT, E.ASKED, E.ACCEPTED], [S.WANTED, S.SUBSCRIBING, S.SUBSCRIBED]),
        ([E.WANT, E.ASKED, E.REFUSED, E.LOST, E.WANT], [S.WANTED, S.SUBSCRIBING, S.REFUSED, S.REFUSED, S.WANTED]),
        # The user changes their mind while the request is under way.
        (
            [E.WANT, E.ASKED, E.UNWANT, E.ACCEPTED, E.LEFT, E.RELEASED],
            [S.WANTED, S.SUBSCRIBING, S.CANCELLING, S.LEAVING, S.UNSUBSCRIBING, S.IDLE],
        ),
        ([E.WANT, E.ASKED, E.UNWANT, E.WANT], [S.WANTED, S.SUBSCRIBING, S.CANCELLING, S.SUBSCRIBING]),
        # The unsubscribe is not answered: it is sent again; or it is given up.
        (
            [E.WANT, E.ASKED, E.ACCEPTED, E.UNWANT, E.LEFT, E.SILENT, E.LEFT, E.RELEASED],
            [S.WANTED, S.SUBSCRIBING, S.SUBSCRIBED, S.LEAVING, S.UNSUBSCRIBING, S.LINGERING, S.UNSUBSCRIBING, S.IDLE],
        ),
        (
            [E.WANT, E.ASKED, E.UNWANT, E.SILENT, E.LEFT, E.UNHEARD],
            [S.WANTED, S.SUBSCRIBING, S.CANCELLING, S.LINGERING, S.UNSUBSCRIBING, S.IDLE],
        ),
        # Whether the server has left it is not known: who wants it again asks again.
        ([E.WANT, E.ASKED, E.UNWANT, E.SILENT, E.WANT], [S.WANTED, S.SUBSCRIBING, S.CANCELLING, S.LINGERING, S.WANTED]),
        # Stale: left and asked for again.
        (
            [E.WANT, E.ASKED, E.ACCEPTED, E.RENEW, E.LEFT, E.RELEASED, E.ASKED],
            [S.WANTED, S.SUBSCRIBING, S.SUBSCRIBED, S.RENEWING, S.RETURNING, S.WANTED, S.SUBSCRIBING],
        ),
        # Ended while there was no connection.
        ([E.WANT, E.ASKED, E.ACCEPTED, E.LOST, E.UNWANT], [S.WANTED, S.SUBSCRIBING, S.SUBSCRIBED, S.WANTED, S.IDLE]),
    ],
)
def test_lives(events, states):
    assert [after(S.IDLE, *events[: count + 1]) for count in range(len(events))] == states


@given(STATES, EVENTS)
def test_without_a_connection_nothing_is_under_way(state, events):
    assert after(state, *events, E.LOST) in {S.IDLE, S.WANTED, S.REFUSED}


@given(STATES, EVENTS, EVENTS)
def test_what_the_user_has_left_is_gone_with_the_connection(state, before, since):
    since = [event for event in since if event is not E.WANT]
    assert after(state, *before, E.UNWANT, *since, E.LOST) is S.IDLE


@given(STATES, EVENTS, EVENTS)
def test_what_the_user_wants_is_not_forgotten(state, before, since):
    since = [event for event in since if event is not E.UNWANT]
    final = after(state, *before, E.WANT, *since)
    assert final.is_wanted or final is S.REFUSED


@given(EVENTS)
def test_what_the_server_was_silent_about_is_live_by_its_word_alone(events):
    events = [event for event in events if event not in {E.ACCEPTED, E.KEPT}]
    assert after(S.LINGERING, *events) is not S.SUBSCRIBED


@given(EVENTS)
def test_what_was_refused_is_not_asked_for_again_until_the_user_does(events):
    events = [event for event in events if event is not E.WANT]
    assert not after(S.REFUSED, *events).is_wanted


@given(STATES, EVENTS)
def test_whether_it_is_wanted_is_the_users_word_or_the_servers_refusal(state, events):
    for event in events:
        following = after(state, event)
        if event is E.WANT:
            assert following.is_wanted
        elif event is E.UNWANT:
            assert not following.is_wanted
        elif following.is_wanted != state.is_wanted:
            assert following is S.REFUSED
        state = following
