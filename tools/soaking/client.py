"""The soak's client: a Multiplex, and all that its user wants of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from jetsocket.errors import DecodeError
from jetsocket.exchanges import BINANCE
from jetsocket.multiplex import Multiplex
from jetsocket.occurrences import Gap, Stale
from jetsocket.protocol.pacing import Window
from jetsocket.protocol.timing import BackoffConfig

from .ledger import Ledger
from .market import names
from .wish import PATIENCE, Wish

_SEQUENCE = "data.t"
# What is counted of what the client tells.
_EVENTS = (
    *("disconnected", "reconnecting", "reconnected", "replaced", "error", "failed"),
    *("resubscribed", "refused", "notice", "gap", "stale", "silent", "blocked"),
)
# The user's, when the server refuses some: these are taken from one small group and the single channels.
_REFUSABLE = 20
# How each single channel is kept and read. What a listener raises has no place among its messages, so "error" is none.
_SINGLES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("drop_oldest", "iterate", {}),
    ("drop_oldest", "batches", {}),
    ("drop_oldest", "one_by_one", {}),
    ("drop_oldest", "some_at_a_time", {}),
    ("drop_oldest", "raw", {}),
    ("drop_oldest", "listen", {}),
    ("drop_newest", "iterate", {}),
    ("drop_newest", "batches", {}),
    ("latest", "iterate", {}),
    ("latest", "batches", {"conflate_key": "data.s"}),
    ("block", "iterate", {}),
    ("block", "some_at_a_time", {}),
    ("error", "iterate", {}),
    ("error", "one_by_one", {}),
)
_GROUPS = (("drop_oldest", "batches"), ("drop_newest", "iterate"), ("block", "some_at_a_time"), ("error", "raw"))


@dataclass(frozen=True, slots=True)
class Options:
    """Of one soak. Seconds, but for `minutes`.

    `per_second`: messages that the client may send in any second; Binance's real number is 5, with which to find the
    few refused of 1,000 channels, by halves, takes half a minute. `connects`: attempts in five minutes.
    `answer_timeout` is the venue's. `queue_seconds`: how long a consumer may do nothing before its queue is full.
    `faults`: their names; empty for all. `rounds`: it ends when each was committed so often; 0 for the end of the time
    alone.
    """

    minutes: float = 30.0
    channels: int = 1000
    rate: float = 50_000.0
    seed: int = 1
    every: float = 2.5
    per_second: int = 50
    connects: int = 300
    answer_timeout: float = 2.0
    data_timeout: float = 3.0
    stale_after: float | None = 4.0
    queue_seconds: float = 1.5
    faults: tuple[str, ...] = ()
    rounds: int = 0


class LostForGood(Exception):
    """The client has given up."""


class Client:
    """`multiplex`: what is made, for tests that plant a defect in it."""

    def __init__(self, options: Options, uri: str, multiplex: Callable[..., Multiplex[Any]]) -> None:
        self.events: Counter[str] = Counter()
        self.stale: Counter[tuple[str, str]] = Counter()
        self.problems: list[str] = []
        self.lost = asyncio.Event()
        venue = replace(
            BINANCE,
            pace=(Window(options.per_second, 1.0),),
            connect_pace=(Window(options.connects, 300.0),),
            answer_timeout=options.answer_timeout,
        )
        self.multiplex = multiplex(
            uri,
            venue=venue,
            data_timeout=options.data_timeout,
            backoff=BackoffConfig(base=0.05, cap=0.5, reset_after=5.0),
        )
        self.wishes = wishes(options)
        self._tasks: list[asyncio.Task[None]] = []
        for event in _EVENTS:
            self.multiplex.on(event, self._counted(event))

    def _counted(self, event: str) -> Callable[..., None]:
        def count(*facts: Any) -> None:
            self.events[event] += 1
            if event == "failed":
                self.problems.append(f"the connection is lost for good: {facts[0]}")
                self.lost.set()
            for fact in facts:
                if isinstance(fact, Stale):
                    self.stale[fact.channel, fact.step] += 1
                elif isinstance(fact, Gap):
                    self.events[f"gap, {fact.reason}"] += 1

        return count

    async def open(self) -> None:
        """Connect, and have all that is wanted."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_trouble)
        await self.multiplex.connect(timeout=PATIENCE)
        self._tasks = [loop.create_task(wish.live(self.multiplex)) for wish in self.wishes]
        async with asyncio.timeout(PATIENCE):
            while any(wish.reading is None for wish in self.wishes):
                self.raise_failed()
                await asyncio.sleep(0.02)

    def raise_failed(self) -> None:
        """What a consumer has failed with, which is a defect. LostForGood, where there is nothing to wait for."""
        if self.lost.is_set():
            raise LostForGood
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def close(self) -> None:
        """End everything."""
        for wish in self.wishes:
            wish.wanted.clear()
        await self.multiplex.close()
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("jetsocket")]
        if left:
            self.problems.append(f"tasks are left behind: {', '.join(left)}")
        asyncio.get_running_loop().set_exception_handler(None)
        self.problems += [f"a consumer failed: {one!r}" for one in outcomes if isinstance(one, Exception)]

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A listener's messages that cannot be decoded are told here; anything else is a defect."""
        error = context.get("exception")
        if isinstance(error, DecodeError):
            for wish in self.wishes:
                if wish.reading is not None and wish.way == "listen" and error.channel in wish.channels:
                    wish.reading.ledger.undecodable += 1
                    return
        self.problems.append(f"the event loop was told of {context.get('message')}: {error!r}")
        loop.default_exception_handler(context)

    # What there is.

    def wanted(self) -> set[str]:
        """The channels that the server should send."""
        return {channel for wish in self.wishes if wish.wanted.is_set() for channel in wish.channels}

    def refusable(self) -> list[Wish]:
        """Those whose channels may be refused: their user asks for them again."""
        return [wish for wish in self.wishes if len(wish.channels) <= _REFUSABLE and wish.terms.get("shared", True)]

    def singles(self) -> list[Wish]:
        """Those of one channel."""
        return [wish for wish in self.wishes if not wish.together and wish.terms.get("shared", True)]

    def sum(self) -> Ledger:
        """Of all consumers, what their ledgers count."""
        total = Ledger("all", ())
        for wish in self.wishes:
            for ledger in wish.ledgers:
                total.absorb(ledger)
        return total

    def missing(self, numbers: dict[str, int]) -> list[str]:
        """The channels of which nothing newer than these numbers came to some consumer that wants it."""
        return [name for wish in self.wishes if wish.wanted.is_set() for name in wish.missing(numbers)]


async def recover(channel: str, gap: Gap) -> str:
    """As a user would fetch a snapshot, while new messages wait."""
    await asyncio.sleep(0.01)
    return f"{channel} {gap.reason}"


def wishes(options: Options) -> list[Wish]:
    """What is wanted: single channels of each kind, a second consumer of two of them, and the rest in groups."""
    of_all: dict[str, Any] = {"events": True, "sequence": _SEQUENCE, "stale_after": options.stale_after}
    rest = names(options.channels)
    wanted: list[Wish] = []
    each = options.rate / options.channels * options.queue_seconds
    size = max(10, int(each))
    for overflow, way, more in _SINGLES:
        terms = {**of_all, **more, "overflow": overflow, "queue_size": size}
        wanted.append(Wish([rest.pop()], way, together=False, **terms))
    wanted.append(Wish([rest.pop()], "batches", together=False, **of_all, queue_size=size, recover=recover))
    second = {**of_all, "queue_size": size, "shared": False}
    wanted += [Wish(wish.channels, "iterate", together=False, **second) for wish in wanted[:2]]
    wanted.append(Wish(rest[:_REFUSABLE], "batches", together=True, **of_all, queue_size=size * _REFUSABLE))
    rest = rest[_REFUSABLE:]
    for number, (overflow, way) in enumerate(_GROUPS):
        part = rest[number :: len(_GROUPS)]
        terms = {**of_all, "overflow": overflow, "queue_size": int(len(part) * each)}
        wanted.append(Wish(part, way, together=True, **terms))
    return wanted
