from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.protocol.timing import (
    BackoffConfig,
    Heartbeat,
    HeartbeatConfig,
    backoff_delay,
    check_seconds,
    check_timeout,
    duration_text,
    heartbeat_config,
)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.05, "50.0 ms"),
        (0.1, "0.1 s"),
        (0.3, "0.3 s"),
        (2, "2.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min"),
        (125, "2 min 5 s"),
        (3599, "59 min 59 s"),
        (3599.7, "1 h"),
        (10920, "3 h 2 min"),
        (86399, "1 d"),
        (200_000, "2 d 8 h"),
    ],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


@given(st.floats(0, 1e9))
def test_no_duration_has_sixty_of_anything(seconds):
    text = duration_text(seconds)
    assert not text.endswith(("60 s", "60 min", "24 h"))
    assert not text.startswith(("60.0 s", "60 min", "24 h "))


def test_seconds():
    assert check_seconds("x", 1) == 1.0
    assert check_seconds("x", None, optional=True) is None
    assert check_seconds("x", 0, positive=False) == 0.0


# Back-off.


@pytest.mark.parametrize("timeout", [None, 0, -1, 2, 0.5])
def test_a_timeout(timeout):
    check_timeout(timeout)


@pytest.mark.parametrize(
    "timeout, error, text",
    [
        ("1", TypeError, "timeout must be seconds or None, got str '1'"),
        (True, TypeError, "timeout must be seconds or None, got bool True"),
        (math.inf, ValueError, "timeout must be seconds or None, got inf"),
        (math.nan, ValueError, "timeout must be seconds or None, got nan"),
    ],
)
def test_a_timeout_that_makes_no_sense(timeout, error, text):
    with pytest.raises(error) as caught:
        check_timeout(timeout)
    assert str(caught.value) == text


@pytest.mark.parametrize("attempt, delay", [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (10_000, 60.0)])
def test_the_delay_doubles_up_to_the_cap(attempt, delay):
    assert backoff_delay(BackoffConfig(jitter=False), attempt, 0.5) == delay
    assert backoff_delay(BackoffConfig(), attempt, 0.5) == delay / 2
    assert backoff_delay(BackoffConfig(), attempt, 0.0) == 0.0


@given(st.floats(0, 1e6), st.floats(1, 1e6), st.floats(0, 1e6), st.integers(1, 10**9), st.floats(0, 1), st.booleans())
def test_a_delay_is_never_more_than_the_cap(base, multiplier, cap, attempt, random, jitter):
    config = BackoffConfig(base=base, multiplier=multiplier, cap=cap, jitter=jitter)
    delay = backoff_delay(config, attempt, random)
    assert 0 <= delay <= cap
    assert math.isfinite(delay)


def test_a_base_of_zero_means_at_once():
    assert backoff_delay(BackoffConfig(base=0.0), 10_000, 1.0) == 0.0


def test_attempts_count_from_one():
    with pytest.raises(ValueError, match="counts from 1, got 0"):
        backoff_delay(BackoffConfig(), 0, 0.5)


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"base": -1}, ValueError, "backoff base must be seconds, at least 0, got -1"),
        ({"base": "1"}, TypeError, "backoff base must be seconds, got str '1'"),
        ({"cap": math.inf}, ValueError, "backoff cap must be seconds, at least 0, got inf"),
        ({"reset_after": math.nan}, ValueError, "backoff reset_after must be seconds, at least 0, got nan"),
        ({"multiplier": 0.5}, ValueError, "backoff multiplier must be at least 1, got 0.5"),
        ({"multiplier": "2"}, TypeError, "backoff multiplier must be a number, got str '2'"),
        ({"jitter": 1}, TypeError, "backoff jitter must be True or False, got int 1"),
        ({"max_attempts": -1}, ValueError, "backoff max_attempts must be at least 0 (no end), got -1"),
        ({"max_attempts": 1.5}, TypeError, "backoff max_attempts must be a whole number, got float 1.5"),
    ],
)
def test_back_off_that_makes_no_sense(options, error, text):
    with pytest.raises(error) as caught:
        BackoffConfig(**options)
    assert str(caught.value) == text


# Heartbeat.


def test_the_option():
    assert heartbeat_config(None) is None
    assert heartbeat_config(5) == HeartbeatConfig(interval=5.0)
    config = HeartbeatConfig(interval=1)
    assert heartbeat_config(config) is config


@pytest.mark.parametrize(
    "value, error, text",
    [
        ("20", TypeError, "heartbeat must be seconds or None, got str '20'"),
        (True, TypeError, "heartbeat must be seconds or None, got bool True"),
        (0, ValueError, "heartbeat must be seconds or None, more than 0, got 0"),
        (-1.5, ValueError, "heartbeat must be seconds or None, more than 0, got -1.5"),
        (math.nan, ValueError, "heartbeat must be seconds or None, more than 0, got nan"),
    ],
)
def test_an_option_that_makes_no_sense(value, error, text):
    with pytest.raises(error) as caught:
        heartbeat_config(value)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"interval": "20"}, TypeError, "heartbeat interval must be seconds, got str '20'"),
        ({"interval": None}, TypeError, "heartbeat interval must be seconds, got NoneType None"),
        ({"timeout": 0}, ValueError, "heartbeat timeout must be seconds or None, more than 0, got 0"),
        ({"payload": {"op": "ping"}}, TypeError, "heartbeat payload must be bytes or str, got dict {'op': 'ping'}"),
        ({"payload": b"x" * 126}, ValueError, "heartbeat payload of a ping is at most 125 bytes, got 126"),
        (
            {"use_ws_ping": False},
            ValueError,
            "heartbeat needs use_ws_ping or use_application_ping; for no heartbeat use heartbeat=None",
        ),
        (
            {"use_application_ping": True},
            ValueError,
            "heartbeat use_application_ping needs a payload, the message to send",
        ),
        (
            {"pong_matcher": bool},
            ValueError,
            "heartbeat pong_matcher is for answers to use_application_ping, which is off",
        ),
        (
            {"pong_matcher": "pong", "use_application_ping": True, "payload": "ping"},
            TypeError,
            "heartbeat pong_matcher must be callable, got str 'pong'",
        ),
    ],
)
def test_a_heartbeat_that_makes_no_sense(options, error, text):
    with pytest.raises(error) as caught:
        HeartbeatConfig(**options)
    assert str(caught.value) == text


@pytest.fixture
def heartbeat():
    return Heartbeat(HeartbeatConfig(interval=10.0, timeout=3.0), 100.0)


def test_a_ping_every_interval_while_data_comes(heartbeat):
    now = 100.0
    for _ in range(5):
        assert heartbeat.next_wakeup() == now + 10
        assert heartbeat.due(now + 9.9) == "nothing"
        assert heartbeat.due(now + 10) == "ping"
        now += 10
        heartbeat.ping(now)
        assert heartbeat.due(now) == "nothing"
        heartbeat.on_bytes(now + 0.1)


def test_silence_after_a_ping_is_death_at_the_timeout(heartbeat):
    heartbeat.on_bytes(105.0)
    heartbeat.ping(110.0)
    assert heartbeat.next_wakeup() == 113.0
    assert heartbeat.due(112.9) == "nothing"
    assert heartbeat.due(113.0) == "dead"
    assert heartbeat.unanswered_for(113.0) == 3.0
    assert heartbeat.last_data == 105.0


def test_any_byte_is_life_and_no_pong_is_needed(heartbeat):
    heartbeat.ping(110.0)
    heartbeat.on_bytes(112.9)
    assert heartbeat.due(113.0) == "nothing"
    assert heartbeat.next_wakeup() == 120.0
    assert heartbeat.unanswered_for(113.0) == 0.0


def test_life_before_the_ping_does_not_answer_it(heartbeat):
    heartbeat.on_bytes(109.9)
    heartbeat.ping(110.0)
    assert heartbeat.due(113.0) == "dead"


def test_last_data_may_be_set_instead(heartbeat):
    heartbeat.ping(110.0)
    heartbeat.last_data = 111.0
    assert heartbeat.due(113.0) == "nothing"


def test_a_timeout_longer_than_the_interval_counts_from_the_first_unanswered_ping():
    heartbeat = Heartbeat(HeartbeatConfig(interval=1.0, timeout=2.5), 0.0)
    for now in (1.0, 2.0, 3.0):
        assert heartbeat.due(now) == "ping"
        heartbeat.ping(now)
    assert heartbeat.next_wakeup() == 3.5
    assert heartbeat.due(3.5) == "dead"


def test_the_timeout_is_the_interval_by_default():
    heartbeat = Heartbeat(HeartbeatConfig(interval=1.0), 0.0)
    heartbeat.ping(1.0)
    assert heartbeat.due(1.9) == "nothing"
    assert heartbeat.due(2.0) == "dead"


def test_a_late_ping_is_not_caught_up_with(heartbeat):
    assert heartbeat.due(155.0) == "ping"
    heartbeat.ping(155.0)
    heartbeat.on_bytes(155.5)
    assert heartbeat.next_wakeup() == 165.0


def test_the_round_trip_is_measured_by_the_payload(heartbeat):
    first, second = heartbeat.ping(110.0), heartbeat.ping(120.0)
    assert first != second
    assert heartbeat.on_pong(110.5, b"unsolicited") is None
    assert heartbeat.latency is None
    assert heartbeat.on_pong(110.25, first) == 0.25
    assert heartbeat.on_pong(110.3, first) is None
    assert heartbeat.on_pong(120.5, second) == heartbeat.latency == 0.5


def test_a_pong_for_the_latest_ping_answers_the_older_ones(heartbeat):
    first, second = heartbeat.ping(110.0), heartbeat.ping(120.0)
    assert heartbeat.on_pong(121.0, second) == 1.0
    assert heartbeat.on_pong(122.0, first) is None


def test_pings_that_are_never_answered_do_not_pile_up(heartbeat):
    payloads = [heartbeat.ping(float(now)) for now in range(1000)]
    assert heartbeat.on_pong(1000.0, payloads[0]) is None
    assert heartbeat.on_pong(1000.0, payloads[-10]) == 10.0


def test_a_pong_is_life(heartbeat):
    heartbeat.on_pong(112.0, heartbeat.ping(110.0))
    assert heartbeat.due(113.0) == "nothing"


def test_a_payload_of_the_users_own():
    heartbeat = Heartbeat(HeartbeatConfig(interval=1.0, payload="ping"), 0.0)
    assert heartbeat.ping(1.0) == b"ping"
    assert heartbeat.on_pong(1.5, b"ping") == 0.5


def test_an_application_ping_measures_by_its_matched_answer():
    config = HeartbeatConfig(
        interval=1.0, payload="ping", use_ws_ping=False, use_application_ping=True, pong_matcher=b"pong".__eq__
    )
    heartbeat = Heartbeat(config, 0.0)
    assert heartbeat.due(1.0) == "ping"
    heartbeat.ping(1.0)
    assert heartbeat.on_application_pong(1.25) == 0.25
    assert heartbeat.on_application_pong(1.5) is None
    assert heartbeat.due(1.9) == "nothing"


def test_both_kinds_of_ping_at_once():
    config = HeartbeatConfig(interval=1.0, payload='{"op":"ping"}', use_application_ping=True)
    heartbeat = Heartbeat(config, 0.0)
    payload = heartbeat.ping(1.0)
    assert payload != b'{"op":"ping"}'
    assert heartbeat.on_pong(1.5, payload) == 0.5
    assert heartbeat.on_application_pong(1.75) == 0.75
