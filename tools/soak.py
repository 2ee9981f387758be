"""A soak: many channels, many messages, a fault every few seconds; at the end everything must be accounted for.

    python -m tools.soak --minutes 30
    python -m tools.soak --minutes 2 --channels 200 --rate 5000 --seed 7 --json soak.json

An exchange in a process of its own speaks Binance's dialect and keeps its limits strictly, but that 50 messages a
second are allowed to a client in place of 5: with those it would take half a minute after some refusals to have all
channels back. The client is one Multiplex, here. Its subscriptions, single ones of each overflow policy and groups, ask
for `events=True` and `sequence=`. The exchange numbers each channel's messages, also those that nobody gets.

It holds, and the exit code is 0, if

- each fault is noticed as it should be, and at the end every channel that is wanted is live, and no other is sent;
- no number comes twice or out of order, and each that is missing lies where a gap was told, with the right count where
  the gap tells one;
- what `stats()` says is what the consumers took, dropped and received;
- the exchange found none of its limits broken;
- the memory of the client (resident, without garbage) has not grown by more than 16 MiB from its median in the first
  quarter to that in the last.

Else the exit code is 1, and what does not hold is printed. Ctrl-C ends it, with the account so far; that is judged too.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from jetsocket.multiplex import Multiplex
from jetsocket.running import run

from .soaking.client import Client, LostForGood, Options
from .soaking.faults import FAULTS, Scene, Unnoticed, chosen
from .soaking.memory import Memory
from .soaking.process import ExchangeProcess
from .soaking.verdict import Outcome, of_counters, of_firsts, of_ledgers, of_memory, some, sums_of

# Seconds between two status lines, and the most between two samples of the memory.
_STATUS = 10.0
_FEWEST_SAMPLES = 40
# Seconds that what is on its way at the end may take to be there.
_PATIENCE = 60.0


class Soak:
    """One soak. `multiplex`: what is made for the client."""

    def __init__(self, options: Options, multiplex: Callable[..., Multiplex[Any]] = Multiplex) -> None:
        self.options = options
        self.outcome = Outcome(options)
        self.stop = asyncio.Event()
        self._multiplex = multiplex
        self._names = chosen(options)
        self._memory = Memory()
        self._began = time.monotonic()
        self.client: Client
        self.scene: Scene

    async def run(self) -> Outcome:
        """All of it."""
        options, outcome = self.options, self.outcome
        limits = {"per_second": options.per_second, "connects": options.connects}
        process = ExchangeProcess(channels=options.channels, seed=options.seed, **limits)
        async with process as exchange:
            self.client = Client(options, exchange.uri, self._multiplex)
            self.scene = Scene(exchange, self.client, options)
            try:
                await exchange.ask("go", options.rate)
                await self.client.open()
                await self.scene.live()
                outcome.problems += of_firsts(self.client, await exchange.ask("firsts"))
                await self._suffer()
                await self._settle()
            except (Unnoticed, TimeoutError, LostForGood) as error:
                outcome.problems.append(f"it went no further: {error!r}")
            finally:
                await self._account()
                await self.client.close()
        outcome.problems += self.client.problems
        return outcome

    async def _suffer(self) -> None:
        """Faults, until the time is over, or somebody stops it."""
        self._began = time.monotonic()
        options = self.options
        print(
            f"{options.channels:,} channels are live; {options.rate:,.0f} messages a second, seed {options.seed},"
            f" {options.minutes:g} minutes",
            file=sys.stderr,
            flush=True,
        )
        tasks = [asyncio.create_task(one()) for one in (self._commit, self._report, self._sample)]
        ends = [asyncio.create_task(end.wait()) for end in (self.stop, self.client.lost)]
        try:
            await asyncio.wait([*ends, *tasks], timeout=options.minutes * 60, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, *tasks):
                task.cancel()
            outcomes = await asyncio.gather(*ends, *tasks, return_exceptions=True)
        self.outcome.seconds = time.monotonic() - self._began
        for one in outcomes:
            if isinstance(one, Exception):
                raise one

    async def _commit(self) -> None:
        """One fault after another, each kind once before any comes again."""
        scene, every = self.scene, self.options.every
        for done in itertools.count():
            if self.options.rounds and done == self.options.rounds:
                return
            names = list(self._names)
            scene.random.shuffle(names)
            for name in names:
                await asyncio.sleep(scene.random.uniform(0.5, 1.5) * every)
                # Counted before, so that one that is cut short by the end is among them.
                self.outcome.faults[name] = self.outcome.faults.get(name, 0) + 1
                try:
                    await FAULTS[name](scene)
                except Unnoticed as error:
                    self.outcome.problems.append(f"{name}, after {time.monotonic() - self._began:.0f} s: {error}")
                    await scene.ask("relent")

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_STATUS)
            total = self.client.sum()
            seconds = time.monotonic() - self._began
            memory = self._memory.samples[-1] / 2**20 if self._memory.samples else 0.0
            print(
                f"{seconds:6.0f} s  {total.messages:,} messages ({total.messages / seconds:,.0f} a second)"
                f"  {sum(self.outcome.faults.values())} faults  {self.client.events['reconnected']} reconnects"
                f"  missing {total.within:,} within gaps, {total.outside:,} outside"
                f"  {memory:.1f} MiB  {len(self.outcome.problems) + len(self.client.problems)} problems",
                file=sys.stderr,
                flush=True,
            )

    async def _sample(self) -> None:
        wait = min(_STATUS, self.options.minutes * 60 / _FEWEST_SAMPLES)
        while self._memory.sample() is not None:  # noqa: ASYNC110  # that is its pace
            await asyncio.sleep(wait)

    async def _settle(self) -> None:
        """No more faults: everything that is wanted must come, and all that was sent be taken."""
        scene, client, problems = self.scene, self.client, self.outcome.problems
        client.raise_failed()
        await scene.ask("relent")
        for wish in client.wishes:
            if wish.reading is not None:
                wish.reading.gate.set()
                wish.reading.nap = 0.0
            await wish.want_again()
        numbers = await scene.ask("numbers")
        if not await _within(_PATIENCE, lambda: not client.missing(numbers)):
            problems.append(f"not live at the end: {some(client.missing(numbers))}")
        held = set(await scene.ask("subscribed"))
        if held != client.wanted():
            problems.append(f"wanted and sent differ at the end: {some(sorted(held ^ client.wanted()))}")
        final = await scene.ask("pause")
        await _within(_PATIENCE, lambda: not any(wish.unfinished(final) for wish in client.wishes))
        await _within(_PATIENCE, lambda: not client.multiplex.stats().total_messages_queued)
        for wish in client.wishes:
            if wish.reading is not None:
                wish.reading.ledger.finish(final, wish.gone())
        problems += of_counters(client)

    async def _account(self) -> None:
        outcome, client = self.outcome, self.client
        total = client.sum()
        outcome.events = dict(client.events)
        outcome.gaps, outcome.sums = dict(total.gaps), sums_of(total)
        outcome.problems += of_ledgers(client) + of_memory(self._memory)
        outcome.memory = {"samples": self._memory.samples, "growth": self._memory.growth}
        outcome.exchange = await self.scene.ask("facts")
        if outcome.exchange["violations"]:
            outcome.problems.append(f"limits of the exchange were broken: {some(outcome.exchange['violations'])}")


async def _within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Whether it happens."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def soak(options: Options, multiplex: Callable[..., Multiplex[Any]] = Multiplex) -> Outcome:
    """Soak; a first Ctrl-C ends it early, a second one at once."""
    one = Soak(options, multiplex)
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        one.stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        return await one.run()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def parser() -> argparse.ArgumentParser:
    """Of the command line; the defaults are those of `Options`."""
    made = argparse.ArgumentParser(prog="python -m tools.soak", description=(__doc__ or "").partition("\n")[0])
    default = Options()
    made.add_argument("--minutes", type=float, default=default.minutes, help="how long (%(default)s)")
    made.add_argument("--channels", type=int, default=default.channels, help="how many, at least 60 (%(default)s)")
    made.add_argument("--rate", type=float, default=default.rate, help="messages a second in all (%(default)s)")
    made.add_argument("--seed", type=int, default=default.seed, help="of the faults (%(default)s)")
    made.add_argument("--every", type=float, default=default.every, help="seconds between two faults (%(default)s)")
    made.add_argument("--rounds", type=int, default=default.rounds, help="end when each fault was there so often")
    made.add_argument("--fault", action="append", dest="faults", metavar="NAME", help="only this one; repeatable")
    made.add_argument("--json", type=Path, metavar="FILE", help="write a summary there")
    return made


def main(arguments: Sequence[str]) -> int:
    """See above; returns the exit code."""
    given = parser().parse_args(arguments)
    if given.channels < 60:
        parser().error(f"--channels must be at least 60, got {given.channels}")
    known = {field.name for field in fields(Options)}
    options = {name: value for name, value in vars(given).items() if name in known and value is not None}
    # What the library tells of every fault is expected here.
    logging.getLogger("jetsocket").setLevel(logging.CRITICAL)
    outcome = run(soak(Options(**{**options, "faults": tuple(given.faults or ())})))
    print("\n".join(outcome.lines()))
    print("it does not hold" if outcome.problems else "it holds", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(outcome.summary(), indent=1) + "\n", encoding="utf-8")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
