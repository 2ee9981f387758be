"""tools/soak.py: it holds through every fault, and it sees what a client does wrong."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jetsocket.multiplex import Multiplex
from jetsocket.occurrences import Gap
from jetsocket.reconciler import Reconciler
from jetsocket.stats import MultiplexStats
from tools.soak import main, soak
from tools.soaking.client import Client, Options
from tools.soaking.faults import FAULTS
from tools.soaking.ledger import Ledger
from tools.soaking.market import FIRST, names
from tools.soaking.memory import MOST_GROWTH, Memory
from tools.soaking.process import PROJECT, ExchangeProcess

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of Unix")

# As short as everything can be on a busy machine.
SHORT = Options(
    minutes=0.05,
    channels=64,
    rate=3000.0,
    every=0.02,
    answer_timeout=0.4,
    data_timeout=1.0,
    stale_after=1.2,
    queue_seconds=0.2,
)


class Spoilt:
    """A subscription of which `change(item)` says what its consumer gets for each item: any number of them."""

    def __init__(self, subscription: Any, change: Any) -> None:
        self._subscription = subscription
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subscription, name)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for item in self._subscription:
            for one in self._change(item):
                yield one


# The single channel that is read with plain `async for` by its first consumer.
SPOILT = names(SHORT.channels)[-1]


async def soaked(change: Any = None, **options: Any) -> list[str]:
    """What does not hold of a short soak; `change(item)`: what a client makes of some consumer's messages."""

    class Planted(Multiplex[Any]):
        async def subscribe(self, channel: str, **terms: Any) -> Any:  # type: ignore[override]
            subscription = await super().subscribe(channel, **terms)
            if change is None or channel != SPOILT or not terms["shared"]:
                return subscription
            return Spoilt(subscription, change)

    given = {"faults": ("reset",), "every": 0.3, "rounds": 2, **options}
    return (await soak(replace(SHORT, **given), Planted)).problems


def every(most: int, change: Any) -> Any:
    """Changes one message in so many, and gives the others as they are."""
    count = 0

    def changed(item: Any) -> list[Any]:
        nonlocal count
        if isinstance(item, Gap):
            return [item]
        count += 1
        return list(change(item)) if count % most == 0 else [item]

    return changed


# The whole of it.


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_it_holds_through_every_fault() -> None:
    outcome = await soak(replace(SHORT, minutes=2.0, rounds=1))
    assert outcome.problems == []
    assert outcome.faults == dict.fromkeys(FAULTS, 1)
    assert outcome.sums["messages"] > 1000
    assert outcome.sums["within"] > 0
    assert outcome.gaps.keys() == {"reconnect", "resubscribe", "overflow", "sequence"}


def test_the_command_prints_an_account_and_writes_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "summary.json"
    given = ("--channels", "64", "--rate", "2000", "--every", "0.1", "--rounds", "1", "--json", str(file))
    assert main([*given, "--fault", "reset", "--fault", "maintenance"]) == 0
    summary = json.loads(file.read_text(encoding="utf-8"))
    assert summary["holds"] is True
    assert summary["faults"] == {"reset": 1, "maintenance": 1}
    printed = capsys.readouterr().out
    assert "0 outside of gaps" in printed
    assert printed.endswith("\nit holds\n")


async def test_control_c_ends_it_with_the_account_so_far() -> None:
    command = ("-m", "tools.soak", "--channels", "64", "--rate", "2000", "--every", "0.1", "--fault", "reset")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command), cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    # It says when it begins.
    await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    printed, errors = await process.communicate()
    assert errors == b""
    assert printed.endswith(b"\nit holds\n")
    assert b"0 outside of gaps" in printed
    assert process.returncode == 0


# What a client may do wrong.


async def test_a_message_that_is_lost_silently_is_seen() -> None:
    problems = await soaked(every(4, lambda _: []))
    assert any(f"{SPOILT}: 1 are missing" in text and "no gap was told" in text for text in problems)
    assert any("numbers are missing outside of gaps" in text for text in problems)
    assert any("its consumer took" in text for text in problems)


async def test_a_message_that_is_given_twice_is_seen() -> None:
    problems = await soaked(every(4, lambda item: [item, item]))
    assert any("numbers came twice, or out of order" in text for text in problems)


async def test_a_gap_that_is_not_told_is_seen() -> None:
    problems = await soaked(lambda item: [] if isinstance(item, Gap) else [item])
    assert any(SPOILT in text and "no gap was told" in text for text in problems)


async def test_a_gap_that_is_not_healed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def useless(channel: str, gap: Gap) -> None:
        """As if nobody had called it."""

    monkeypatch.setattr("tools.soaking.client.recover", useless)
    problems = await soaked()
    assert len(problems) == 1
    assert "gaps came without what recover() had returned" in problems[0]


async def test_a_channel_that_is_never_resubscribed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Reconciler.lost

    def forgetful(self: Reconciler) -> None:
        # Of this one the client goes on believing that the server sends it.
        kept = self.channels.pop(SPOILT, None)
        lost(self)
        if kept is not None:
            self.channels[SPOILT] = kept

    monkeypatch.setattr(Reconciler, "lost", forgetful)
    monkeypatch.setattr("tools.soak._PATIENCE", 1.0)
    problems = await soaked(stale_after=None)
    assert f"not live at the end: {SPOILT}" in " ".join(problems)
    assert f"wanted and sent differ at the end: {SPOILT}" in problems


async def test_a_silence_that_nobody_notices_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.soaking.faults.PATIENCE", 0.8)
    problems = await soaked(faults=("silence",), rounds=1, data_timeout=30.0, stale_after=None)
    assert len(problems) == 1
    assert "the event that no data come did not happen in 0.8 s" in problems[0]


async def test_a_limit_that_is_broken_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(options: Options, *rest: Any) -> Client:
        return Client(replace(options, per_second=1000), *rest)

    monkeypatch.setattr("tools.soak.Client", hasty)
    problems = await soaked(faults=("refusal",), rounds=1, per_second=3)
    assert any("limits of the exchange were broken: messages: more than 3 in 1 s" in text for text in problems)


async def test_a_counter_that_does_not_agree_is_seen() -> None:
    class Miscounting(Multiplex[Any]):
        def stats(self) -> MultiplexStats:
            stats = super().stats()
            return replace(stats, total_messages_delivered=stats.total_messages_delivered + 1)

    problems = (await soak(replace(SHORT, faults=("reset",), rounds=1), Miscounting)).problems
    assert any("Multiplex: routed or copied" in text for text in problems)
    assert any("Multiplex: delivered" in text for text in problems)


# Its parts.


def test_a_missing_number_is_within_a_gap_or_outside() -> None:
    ledger = Ledger("one", ["a", "b"])
    ledger.message("a", 5)
    ledger.message("a", 6)
    ledger.gap(Gap("a", "reconnect"))
    ledger.message("a", 10)
    ledger.message("b", 1)
    ledger.message("b", 3)
    assert (ledger.within, ledger.outside, ledger.repeated) == (3, 1, 0)
    assert ledger.words == ["one: b: 1 are missing from 2 on, and no gap was told"]


def test_a_gap_of_one_channel_excuses_no_other() -> None:
    ledger = Ledger("one", ["a", "b"])
    ledger.message("a", 1)
    ledger.message("b", 1)
    ledger.gap(Gap("a", "reconnect"))
    ledger.message("b", 3)
    assert ledger.outside == 1


def test_a_gap_excuses_what_is_missing_behind_it_once() -> None:
    ledger = Ledger("one", ["a"])
    ledger.message("a", 1)
    ledger.gap(Gap("a", "sequence", dropped=1))
    ledger.message("a", 3)
    ledger.message("a", 5)
    assert (ledger.within, ledger.outside) == (1, 1)


def test_an_overflow_of_a_group_excuses_each_of_its_channels_once() -> None:
    ledger = Ledger("one", ["a", "b"])
    for channel in "ab":
        ledger.message(channel, 1)
    ledger.gap(Gap("a group of 2 channels", "overflow", dropped=4))
    for number in (4, 6):
        for channel in "ab":
            ledger.message(channel, number)
    assert (ledger.within, ledger.outside, ledger.overflowed) == (4, 2, 4)


def test_a_gap_that_tells_another_number_than_is_missing_is_counted() -> None:
    ledger = Ledger("one", ["a"])
    ledger.message("a", 1)
    ledger.gap(Gap("a", "overflow", dropped=1))
    ledger.gap(Gap("a", "sequence", dropped=2))
    ledger.message("a", 5)
    ledger.gap(Gap("a", "overflow", dropped=1))
    ledger.message("a", 6)
    assert ledger.miscounted == 1
    assert "0 are missing from 6 on, and the gaps told of 1" in ledger.words[0]


def test_what_is_missing_at_the_end_counts_too() -> None:
    ledger = Ledger("one", ["a", "b"])
    ledger.message("a", 1)
    ledger.message("b", 1)
    ledger.gap(Gap("b", "overflow", dropped=2))
    assert ledger.unfinished({"a": 3, "b": 3}) == ["a"]
    ledger.finish({"a": 3, "b": 3})
    assert (ledger.within, ledger.outside, ledger.miscounted) == (2, 2, 0)


def test_memory_is_flat_unless_the_last_quarter_has_more_than_the_first() -> None:
    memory = Memory()
    memory.samples = [50, 50, 900, 900, 900, 60, 60, 60]
    assert (memory.growth, memory.is_flat) == (10, True)
    memory.samples = [0, 0, 0, 0, 0, 0, MOST_GROWTH + 1, MOST_GROWTH + 1]
    assert not memory.is_flat


async def test_the_exchange_numbers_what_nobody_gets_too() -> None:
    async with ExchangeProcess(channels=10, seed=1, per_second=50, connects=300) as exchange:
        await exchange.ask("go", 10_000)
        while min((await exchange.ask("numbers")).values()) < FIRST + 10:  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0.01)
        final = await exchange.ask("pause")
        assert final == await exchange.ask("numbers")
        assert list(final) == names(10)
        facts = await exchange.ask("facts")
        assert facts["numbered"] == sum(final.values()) - 10 * (FIRST - 1)
        assert facts["sent"] == 0
        with pytest.raises(RuntimeError, match="ValueError: no such garbage: 'glitter'"):
            await exchange.ask("garble", "glitter")
