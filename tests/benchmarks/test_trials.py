"""benchmarks/trials/: each trial finds something sane on a tiny scale, and sees what it is there to see."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from benchmarks.findings import Finding
from benchmarks.trials import TRIALS, burst, latency, lookup, memory, scale, threads
from benchmarks.trials.__main__ import main
from benchmarks.trials.feed import one_each, sent_at, tick, trades
from benchmarks.trials.processes import ROOT, TrialError, apart, venue
from benchmarks.trials.rounds import in_turns

from . import hoarding

NEEDS_UVLOOP = pytest.mark.skipif(
    any(find_spec(library) is None for library in ("picows", "uvloop")), reason="needs the extra `bench`"
)
NEEDS_PROC = pytest.mark.skipif(not memory.STATM.exists(), reason="needs /proc/self/statm")


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with venue() as opened:
        yield opened


def named(findings: list[Finding], part: str) -> Finding:
    (found,) = [finding for finding in findings if part in finding.subject]
    return found


def linger(seconds: float) -> Callable[[object], None]:
    """Holds the thread that calls it, with work."""

    def hold(_: object) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    return hold


# Lookup.


def test_lookup_finds_skipping_and_templates() -> None:
    findings = lookup.measure(rounds=3)
    assert all(finding.value > 0 for finding in findings)
    assert {finding.bound for finding in findings} == {None, lookup.LEAST_GB, lookup.MOST_OF_ONE_PATH}


def test_slow_skipping_misses_its_bound() -> None:
    # The pure twin skips in Python.
    for finding in lookup.skipped("1 KB", 1000, 50, 3, "py"):
        assert not finding.met, str(finding)


def test_a_template_that_searches_far_misses_its_bound() -> None:
    findings = lookup.templates(3, "c", "{arg.channel}:{arg.instId|data[0].ts}{absent|data[0].ts|arg.instId}")
    assert not named(findings, "alone, in a decoder").met


def test_okx_messages_have_the_usual_size() -> None:
    source = lookup.random.Random(1)
    sizes = [len(lookup.okx(source)) for _ in range(500)]
    assert min(sizes) > 150
    assert max(sizes) < 500


# Scale.


@NEEDS_UVLOOP
def test_scale_finds_costs_of_messages_and_of_setting_up(uri: str) -> None:
    findings = scale.channels(uri, 1, few=2, many=100, messages=5_000)
    assert named(findings, "as many messages kept").value > 0
    assert 0 < named(findings, "setting up 100").value < 0.5


@NEEDS_UVLOOP
def test_lost_messages_are_an_error(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "names", lambda count: [f"other{number}" for number in range(count)])
    with pytest.raises(TrialError, match="0 messages of 1000 were routed"):
        scale.routed(uri, 10, 100, 1000)


@NEEDS_UVLOOP
@NEEDS_PROC
def test_memory_of_idle_subscriptions_is_seen(uri: str) -> None:
    lean = apart(memory.idle, uri, 3000)["resident"]
    assert 100 < lean < 10_000
    traced = apart(memory.idle, uri, 3000, False, True)["python"]
    assert 100 < traced < 10_000


@NEEDS_UVLOOP
@NEEDS_PROC
def test_a_subscription_that_keeps_much_is_seen(uri: str) -> None:
    # In a fresh process, as all of them: one that has freed much already does not grow.
    assert apart(hoarding.idle, uri, 1000, 8000)["resident"] > 0.8 * 8000


@NEEDS_UVLOOP
@NEEDS_PROC
def test_memory_of_queued_messages_is_seen(uri: str) -> None:
    found = apart(memory.queued, uri, 100_000)
    assert 1 < found["allocated"] < 2
    assert 0.9 < found["resident"] < 2
    assert 0 <= found["held"] < found["left"] + 0.1 < 2


# Latency.


@NEEDS_UVLOOP
@pytest.mark.parametrize("client", ["picows", "async for", "listen"])
def test_latency_of_a_client(uri: str, client: str) -> None:
    found = latency.percentiles(client, uri, 200)
    assert 0 < found["p50"] <= found["p99"] < 1e6


@NEEDS_UVLOOP
def test_a_slow_consumer_is_seen_in_the_latency(uri: str) -> None:
    found = latency.percentiles("async for", uri, 100, see=linger(0.002))
    assert found["p50"] > 2000
    compared = latency.compare({"picows": [{"p50": 100, "p99": 200}], "async for": [found]})
    assert not named(compared, "p50 of async for, of").met


def test_clients_are_compared_by_medians() -> None:
    runs = {
        "picows": [{"p50": 10.0, "p99": 20.0}, {"p50": 12.0, "p99": 900.0}, {"p50": 11.0, "p99": 21.0}],
        "async for": [{"p50": 11.0, "p99": 42.0}, {"p50": 500.0, "p99": 500.0}, {"p50": 1.0, "p99": 1.0}],
    }
    findings = latency.compare(runs)
    assert named(findings, "p50 of async for, of").met
    assert named(findings, "p99 of async for, of").value == 2.0
    assert not named(findings, "p99 of async for, of").met


# Bursts.


@NEEDS_UVLOOP
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("queued", [False, True], ids=["arriving", "queued"])
def test_a_burst_is_measured(uri: str, loop: str, queued: bool) -> None:
    found = burst.burst(uri, loop, True, queued, 5_000)
    assert 0 < found["longest"] <= found["spent"]
    assert found["turns"] > 1


@NEEDS_UVLOOP
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_consumer_that_holds_the_loop_is_seen(uri: str, loop: str) -> None:
    found = burst.burst(uri, loop, False, False, 30, linger(0.02))
    assert found["longest"] > 20
    assert not named(burst.judge("held", [found]), "longest turn").met


def test_the_longest_turn_of_all_runs_counts() -> None:
    runs = [{"longest": 1.0, "turns": 100}, {"longest": 7.0, "turns": 3}, {"longest": 2.0, "turns": 100}]
    longest, turns = burst.judge("any", runs)
    assert longest.value == 7.0
    assert not longest.met
    assert turns.value == 3
    assert not turns.met


# Threads.


def test_a_commit_without_python_or_pause_lets_no_other_thread_on() -> None:
    # The pure twin never lets the GIL go by itself, and nobody forces it to.
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("there is no GIL")
    found = threads.progress(3, "py")
    assert found.reads == 3
    assert not named(found.findings(threads.LEAST), "counts in").met


def test_a_commit_that_lets_the_gil_go_is_seen() -> None:
    def pausing(decoder: Any) -> threads.Commit:
        def commit(size: int, received_ns: int) -> object:
            time.sleep(0.002)
            return decoder.commit(size, received_ns)

        return commit

    found = threads.progress(20, "c", pausing).findings(threads.LEAST)
    assert named(found, "counts in").met
    assert named(found, "its speed").value > 0


def test_the_switch_interval_is_as_it_was() -> None:
    before = sys.getswitchinterval()
    threads.progress(1, "c")
    assert sys.getswitchinterval() == before


# What they stand on.


def test_traffic_has_few_busy_channels_and_many_quiet_ones() -> None:
    data, ends = trades(50, 2000)
    assert len(ends) == 2000
    assert ends[-1] == len(data)
    counts = sorted((data.count(b'"stream":"sym%05d' % number) for number in range(50)), reverse=True)
    assert sum(counts) == 2000
    assert counts[0] > 3 * counts[10] > 0
    assert one_each(3).count(b"stream") == 3


def test_a_tick_tells_when_it_was_sent() -> None:
    before, behind = tick("sym00001usdt@trade", 1)
    whole = before + b"%020d" % 12345 + behind
    assert whole[0] == 0x81
    assert sent_at(whole[4:]) == 12345
    assert int.from_bytes(whole[2:4], "big") == len(whole) - 4


def test_runs_take_turns() -> None:
    order: list[str] = []
    in_turns(2, {"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert order == ["a", "b", "a", "b"]


def test_a_failure_in_another_process_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrialError, match="failed with 1"):
        apart(memory.queued, "ws://127.0.0.1:1", 1)
    assert "ConnectionError" in capfd.readouterr().err


def test_trials_are_run_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planted = type(TRIALS[0])("planted", lambda: [Finding("a figure", 2.0, "times", 1.0)])
    monkeypatch.setattr("benchmarks.trials.__main__.TRIALS", (planted,))
    assert main(["planted"]) == 0
    assert "a figure: 2 times, at most 1 wanted: MISSED" in capsys.readouterr().out
    assert main(["planted", "--check"]) == 1


def test_an_unknown_trial_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.trials", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no trial 'nothing'; there are lookup, scale, latency, burst, threads" in done.stderr
