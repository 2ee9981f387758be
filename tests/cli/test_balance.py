from __future__ import annotations

from dataclasses import replace

import pytest

from jetsocket import ConnectionStats, MultiplexStats
from jetsocket.cli.balance import Balance
from jetsocket.testing import Account

ACCOUNT = Account(
    channels={"a": 60, "b": 40, "end": 1},
    messages=101,
    answers=3,
    injected=0,
    accepted=1,
    refused=0,
    requests=3,
    subscribes=3,
    unsubscribes=0,
    pings=0,
    subscribed={1: ["a", "b", "end"]},
)
STATS = MultiplexStats(3, 3, 101, 3, ConnectionStats(), 1, 99, 1)
BALANCED = Balance(ACCOUNT, STATS, {"a": 60, "b": 40}, True, None, 2.0, 1.0, [0.1, 0.2, None])


def test_an_account_that_balances(capsys: pytest.CaptureFixture[str]) -> None:
    assert BALANCED.differences() == []
    BALANCED.print()
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "101 messages of 2 channels in 2.0 s: 50 a second",
        "sent                     104  = 101 data + 3 answers, by the exchange",
        "received                 104  = 101 routed + 3 unroutable",
        "routed                   101  = 99 delivered + 1 queued + 1 dropped",
        "latency                       p50 0.10 ms  p99 0.20 ms  p99.9 -, from the exchange's sending to the consumer",
        "CPU                    1.0 s  50 % of a core, 10101.01 µs a message",
        "account                       balanced",
    ]


@pytest.mark.parametrize(
    "change, says",
    [
        ({"complete": False}, "the last message did not come, or was not taken, in time"),
        ({"account": replace(ACCOUNT, messages=102)}, "sent 105, received 104: -1"),
        ({"account": replace(ACCOUNT, answers=1)}, "sent 102, received 104: +2"),
        ({"stats": replace(STATS, total_messages_delivered=98)}, "routed 101, delivered, queued or dropped 100: -1"),
        ({"received": {"a": 59, "b": 41}}, "a: -1; b: +1"),
    ],
)
def test_the_exact_difference_is_told(change: dict[str, object], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    balance = replace(BALANCED, **change)  # type: ignore[arg-type]
    assert not balance.is_balanced
    balance.print()
    assert capsys.readouterr().out.endswith(f"does not balance: {says}\n")


def test_with_faults_messages_may_be_lost_in_flight(capsys: pytest.CaptureFixture[str]) -> None:
    account = replace(ACCOUNT, messages=111, channels={"a": 70, "b": 40, "end": 1}, subscribes=9)
    balance = replace(BALANCED, account=account, faults=2)
    assert balance.differences() == []
    assert balance.lost == 10
    balance.print()
    shown = capsys.readouterr().out
    assert "lost in flight            10  sent on connections that broke before it arrived" in shown
    assert "faults                     2  0 reconnects, 6 resubscriptions" in shown


def test_with_faults_nothing_may_come_from_nowhere() -> None:
    assert not replace(BALANCED, account=replace(ACCOUNT, messages=100), faults=1).is_balanced
    assert not replace(BALANCED, received={"a": 61, "b": 39}, faults=1).is_balanced
