"""A market that counts its messages, and anything that may happen: where a number is missing, there is a gap."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from jetsocket import BufferOverflowError, Gap, JetSocketError, Multiplex, Subscription
from jetsocket.testing import Limits, VenueExchange

from .dialects import DIALECTS, desk, names, number

STEPS = 250


class Play:
    """What is done at random, and the `holes` that nobody told: (consumer, channel, the number before, behind)."""

    def __init__(self, dialect: str, seed: int, exchange: VenueExchange, mux: Multiplex[Any]) -> None:
        self.holes: list[tuple[str, str, int, int]] = []
        self.taken = self.gaps = 0
        self._chance = random.Random(f"{dialect} {seed}")
        self._dialect = dialect
        self._exchange = exchange
        self._mux = mux
        self._channels = names(dialect, 4)
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: dict[int, Subscription[Any]] = {}
        self._moves: list[tuple[int, Callable[[str], object]]] = [
            (8, lambda one: exchange.publish(one, self._chance.choice((1, 5, 60)))),
            (4, lambda one: self._begin(self._subscribe(one))),
            (1, lambda _: self._begin(self._subscribe_group())),
            (2, lambda one: self._begin(mux.unsubscribe(one))),
            (2, lambda one: self._begin(self._return(one))),
            (2, mux.ask_anew),
            (1, lambda _: exchange.drop_all(reset=self._chance.random() < 0.5)),
            (1, lambda _: mux.replace_connection("for a test")),
            (1, lambda _: exchange.delay_acks()),
            (2, lambda _: exchange.release_acks()),
            (1, lambda _: exchange.data_before_ack(self._chance.random() < 0.5)),
            (1, exchange.refuse),
            (2, lambda _: exchange.accept()),
        ]
        if dialect in ("bitfinex", "coinbase"):
            # Behind its answers: one that came later would say what is no longer so.
            self._moves.append((2, lambda one: exchange.release_acks() + exchange.revoke(one)))
        if dialect == "bitfinex":
            self._moves.append((1, lambda _: exchange.notice("resumed")))

    async def run(self) -> None:
        """All steps, and then what is queued to its end."""
        weights = [weight for weight, _ in self._moves]
        for _ in range(STEPS):
            ((_, move),) = self._chance.choices(self._moves, weights)
            move(self._chance.choice(self._channels))
            # Time that passes is part of the play: sometimes more than an answer may take.
            await asyncio.sleep(self._chance.choices((0, 0.001, 0.06), (60, 30, 1))[0])
        await self._mux.close()
        async with asyncio.timeout(10):
            while self._tasks:
                await asyncio.gather(*self._tasks)

    def _begin(self, doing: Any) -> None:
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _terms(self) -> dict[str, Any]:
        async def recover(channel: str, gap: Gap) -> None:
            assert channel == gap.channel in self._channels
            await asyncio.sleep(0)

        terms: dict[str, Any] = {
            "overflow": self._chance.choice(("drop_oldest", "drop_newest", "block", "error")),
            "queue_size": self._chance.choice((3, 50, 1000)),
            "timeout": 5,
        }
        return terms | ({"recover": recover} if self._chance.random() < 0.4 else {"events": True})

    async def _subscribe(self, channel: str) -> None:
        terms = self._terms()
        try:
            found = await self._mux.subscribe(channel, shared=self._chance.random() < 0.5, **terms)
        except JetSocketError:
            return
        self._follow(found, terms)

    async def _subscribe_group(self) -> None:
        terms = self._terms()
        try:
            found = await self._mux.subscribe_group(self._chance.sample(self._channels, 3), **terms)
        except JetSocketError:
            return
        self._follow(found, terms)

    async def _return(self, channel: str) -> None:
        """Leave it, and want it again before the exchange has answered."""
        await self._mux.unsubscribe(channel)
        await self._subscribe(channel)

    def _follow(self, subscription: Subscription[Any], terms: dict[str, Any]) -> None:
        if id(subscription) not in self._followed:
            self._followed[id(subscription)] = subscription
            self._begin(self._read(subscription, f"{terms['overflow']} {len(self._followed)}"))

    async def _read(self, subscription: Subscription[Any], who: str) -> None:
        last: dict[str, int] = {}
        told: set[str] = set()
        while True:
            try:
                items = await subscription.recv_batch(self._chance.choice((None, 1, 7)))
            except BufferOverflowError:
                told |= last.keys()
                continue
            except JetSocketError:
                return
            for item in items:
                if isinstance(item, Gap):
                    self.gaps += 1
                    told |= {item.channel} if item.channel in self._channels else last.keys()
                else:
                    tagged = (subscription.channel, item) if subscription.channel in self._channels else item
                    self._look(who, *tagged, last, told)

    def _look(self, who: str, channel: str, message: Any, last: dict[str, int], told: set[str]) -> None:
        self.taken += 1
        came = number(self._dialect, message)
        if channel in last and came != last[channel] + 1 and channel not in told:
            self.holes.append((who, channel, last[channel], came))
        last[channel] = came
        told.discard(channel)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_where_a_number_is_missing_there_is_a_gap(dialect: str, seed: int) -> None:
    venue = {"pace": (), "connect_pace": (), "answer_timeout": 0.05}
    async with desk(dialect, exchange={"limits": Limits()}, **venue) as (exchange, mux):
        play = Play(dialect, seed, exchange, mux)
        await play.run()
    assert play.holes == []
    assert play.taken > 100
    assert play.gaps > 5
