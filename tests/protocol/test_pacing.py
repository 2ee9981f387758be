"""How fast may be sent: every limit kept in every interval, and nothing kept waiting for longer than that takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.protocol.pacing import MOST_STRETCH, STRETCH_SHARE, Pacer, Window

BINANCE = Window(5, 1)
OKX = (Window(3, 1), Window(480, 3600))


def burst(pacer: Pacer, frames: int, now: float = 0.0) -> list[float]:
    """When each of `frames` went that were all waiting at `now`."""
    times = []
    for _ in range(frames):
        now += pacer.delay(now)
        pacer.spend(now)
        times.append(now)
    return times


def stretched(window: Window) -> float:
    """The oracle's own: a tenth longer, at most a quarter of a second."""
    return window.seconds + min(window.seconds / 10, 0.25)


def room(times: list[float], now: float, window: Window, seconds: float) -> int:
    """How many more frames `window`, taken for `seconds`, has room for at `now`; counted, one after the other."""
    return window.count - sum(1 for time in times if time + seconds > now)


def earliest(times: list[float], now: float, windows: list[Window], kept: int) -> float:
    """When the next frame may go; by trying `now` and each time at which an earlier frame leaves a window."""
    moments = {now} | {time + stretched(window) for time in times for window in windows}
    allowed = (
        moment
        for moment in moments
        if moment >= now and all(room(times, moment, window, stretched(window)) > kept for window in windows)
    )
    return min(allowed)


def fullest(times: list[float], window: Window) -> int:
    """The most frames that any interval of the window's real length holds, both its ends counted."""
    return max(sum(1 for time in times if start <= time <= start + window.seconds) for start in times)


WINDOWS = st.lists(
    st.builds(Window, st.integers(3, 12), st.sampled_from([0.001, 0.05, 0.3, 1, 2.5, 10, 60, 3600])),
    min_size=1,
    max_size=3,
)
STARTS = st.sampled_from([0.0, 0.1, 12345.678, 1e6, 1e9])
# Seconds until the next frame is asked for, and whether it is urgent.
DEMANDS = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 100)), st.booleans()), min_size=1, max_size=60
)


# A limit.


def test_without_windows_everything_goes_at_once():
    pacer = Pacer(())
    assert burst(pacer, 1000, 7.0) == [7.0] * 1000
    assert pacer.delay(7.0, urgent=True) == 0.0


def test_as_many_as_the_window_holds_go_at_once_and_the_next_when_the_first_has_left_it():
    assert burst(Pacer([BINANCE]), 11) == [0.0] * 5 + [1.1] * 5 + [2.2]


def test_the_window_rolls():
    pacer = Pacer([BINANCE])
    for now in (0.0, 0.5, 0.9, 0.95, 0.99):
        assert pacer.delay(now) == 0.0
        pacer.spend(now)
    # A counter that begins anew each full second would let five more go at 1.0.
    assert pacer.delay(1.0) == pytest.approx(0.1)
    pacer.spend(1.1)
    assert pacer.delay(1.1) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "seconds, taken_for", [(0.1, 0.11), (1, 1.1), (2, 2.2), (2.5, 2.75), (10, 10.25), (3600, 3600.25)]
)
def test_a_window_is_taken_for_a_tenth_longer_and_at_most_for_a_quarter_of_a_second(seconds, taken_for):
    assert (STRETCH_SHARE, MOST_STRETCH) == (0.1, 0.25)
    assert Window(1, seconds).stretched == pytest.approx(taken_for)
    pacer = Pacer([Window(1, seconds)])
    pacer.spend(0.0)
    assert pacer.delay(0.0) == pytest.approx(taken_for)


def test_a_long_budget_holds_beside_a_short_one():
    times = burst(Pacer(OKX), 481)
    assert fullest(times, OKX[0]) == 3
    assert fullest(times[:480], OKX[1]) == 480
    # 480 of them in the first minutes, then nothing for the rest of the hour.
    assert times[479] == pytest.approx(159 * 1.1)
    assert times[480] == pytest.approx(3600.25)


def test_a_new_connection_begins_with_nothing_sent():
    pacer = Pacer(OKX)
    burst(pacer, 3)
    assert pacer.delay(0.0) > 0
    pacer.reset()
    assert burst(pacer, 3) == [0.0] * 3


# What is kept for urgent ones.


def test_the_reserve_is_for_urgent_frames_alone():
    pacer = Pacer([BINANCE], reserve=1)
    assert burst(pacer, 4) == [0.0] * 4
    assert pacer.delay(0.0) == pytest.approx(1.1)
    assert pacer.delay(0.0, urgent=True) == 0.0
    pacer.spend(0.0)
    assert pacer.delay(0.0, urgent=True) == pytest.approx(1.1)


def test_after_an_urgent_frame_the_reserve_is_kept_again():
    pacer = Pacer([BINANCE], reserve=2)
    pacer.spend(0.0)
    assert burst(pacer, 2) == [0.0] * 2
    assert pacer.delay(0.0) == pytest.approx(1.1)
    assert pacer.delay(1.0, urgent=True) == 0.0


def test_urgent_frames_keep_the_limit_too():
    pacer = Pacer([BINANCE], reserve=1)
    for _ in range(5):
        assert pacer.delay(3.0, urgent=True) == 0.0
        pacer.spend(3.0)
    assert pacer.delay(3.0, urgent=True) == pacer.delay(3.0) == pytest.approx(1.1)


# Over the limit.


def test_a_frame_over_the_limit_delays_those_after_it():
    pacer = Pacer([BINANCE])
    burst(pacer, 5)
    pacer.spend(0.5)
    # What is asked for at 1.1 finds the late one in its window: four go, and the fifth when that has left.
    assert burst(pacer, 5, 0.5) == [1.1] * 4 + [1.6]


def test_many_frames_over_the_limit_are_forgotten_when_they_have_left_the_window():
    pacer = Pacer([BINANCE])
    for _ in range(1000):
        pacer.spend(0.0)
    assert burst(pacer, 6) == [1.1] * 5 + [2.2]


# Clocks.


def test_on_a_clock_that_stands_still_nothing_over_the_limit_goes():
    pacer = Pacer([BINANCE])
    sent = 0
    for _ in range(1000):
        if not pacer.delay(5.0):
            pacer.spend(5.0)
            sent += 1
    assert sent == 5
    assert pacer.delay(5.0) == pytest.approx(1.1)


def test_on_a_clock_that_goes_back_the_limit_is_kept_all_the_same():
    pacer = Pacer([Window(2, 1)])
    pacer.spend(10.0)
    pacer.spend(9.0)
    assert pacer.delay(9.0) == pytest.approx(2.1)
    assert pacer.delay(11.1) == 0.0
    pacer = Pacer([Window(1, 1)])
    pacer.spend(10.0)
    pacer.spend(9.0)
    assert pacer.delay(9.0) == pytest.approx(2.1)


def test_a_wait_that_is_rounded_down_is_rounded_up_again():
    pacer = Pacer([Window(1, 1.7)])
    pacer.spend(0.0)
    now = 2.0**-53
    due = Window(1, 1.7).stretched
    assert now + (due - now) < due
    assert now + pacer.delay(now) >= due


@given(WINDOWS, st.lists(st.floats(0, 5), max_size=30), STARTS, st.floats(0, 4000))
def test_what_is_told_to_wait_may_go_after_just_that_wait(windows, gaps, start, later):
    pacer = Pacer(windows)
    now = start
    for gap in gaps:
        now += gap
        pacer.spend(now)
    now += later
    delay = pacer.delay(now)
    assert delay >= 0
    assert math.isfinite(delay)
    assert pacer.delay(now + delay) == 0.0
    # Not a moment sooner, but for what floating point makes of sums.
    if delay > 1e-6:
        assert pacer.delay(now + delay - 1e-6) > 0


# Whatever is asked, and when.


@given(WINDOWS, DEMANDS, STARTS, st.integers(0, 2))
def test_no_interval_holds_more_than_the_limit_and_nothing_waits_for_longer_than_that_takes(
    windows, demands, start, reserve
):
    pacer = Pacer(windows, reserve=reserve)
    times: list[float] = []
    now = start
    for gap, urgent in demands:
        now += gap
        kept = 0 if urgent else reserve
        due = earliest(times, now, windows, kept)
        # The sums are rounded differently; at 1e9 seconds a clock has steps of 1e-7.
        now += pacer.delay(now, urgent=urgent)
        assert now == pytest.approx(due, rel=1e-15, abs=1e-9)
        pacer.spend(now)
        times.append(now)
        if not urgent:
            assert all(room(times, now, window, window.seconds) >= reserve for window in windows)
    assert all(fullest(times, window) <= window.count for window in windows)


@given(WINDOWS, DEMANDS, STARTS)
def test_what_had_to_go_is_counted_for_what_may_wait(windows, demands, start):
    pacer = Pacer(windows)
    times: list[float] = []
    now = start
    for gap, forced in demands:
        now += gap
        if not forced:
            now += pacer.delay(now)
            assert all(room(times, now, window, window.seconds) > 0 for window in windows)
        pacer.spend(now)
        times.append(now)


# What makes no sense.


@pytest.mark.parametrize(
    "count, seconds, error, text",
    [
        ("5", 1, TypeError, "window count must be a whole number, got str '5'"),
        (True, 1, TypeError, "window count must be a whole number, got bool True"),
        (5.0, 1, TypeError, "window count must be a whole number, got float 5.0"),
        (0, 1, ValueError, "window count must be at least 1, got 0"),
        (5, "1", TypeError, "window seconds must be seconds, got str '1'"),
        (5, None, TypeError, "window seconds must be seconds, got NoneType None"),
        (5, 0, ValueError, "window seconds must be seconds, more than 0, got 0"),
        (5, math.inf, ValueError, "window seconds must be seconds, more than 0, got inf"),
        (5, math.nan, ValueError, "window seconds must be seconds, more than 0, got nan"),
    ],
)
def test_a_window_that_makes_no_sense(count, seconds, error, text):
    with pytest.raises(error) as caught:
        Window(count, seconds)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "windows, reserve, error, text",
    [
        (BINANCE, 0, TypeError, "pacer windows must be a sequence of Window, got Window Window(count=5, seconds=1)"),
        (None, 0, TypeError, "pacer windows must be a sequence of Window, got NoneType None"),
        ([(5, 1)], 0, TypeError, "pacer windows must be of Window, got tuple (5, 1)"),
        ([BINANCE], "1", TypeError, "pacer reserve must be a whole number, got str '1'"),
        ([BINANCE], True, TypeError, "pacer reserve must be a whole number, got bool True"),
        ([BINANCE], -1, ValueError, "pacer reserve must be at least 0, got -1"),
        (
            [Window(9, 1), BINANCE],
            5,
            ValueError,
            "pacer reserve must be less than the count of each window, got 5 of Window(count=5, seconds=1)",
        ),
    ],
)
def test_a_pacer_that_makes_no_sense(windows, reserve, error, text):
    with pytest.raises(error) as caught:
        Pacer(windows, reserve=reserve)
    assert str(caught.value) == text


def test_windows_are_values():
    assert Window(5, 1) == BINANCE
    assert len({Window(5, 1), BINANCE}) == 1
    with pytest.raises(AttributeError):
        BINANCE.count = 6
