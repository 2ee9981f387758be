"""The ways in which a subscription can be read, each as a loop that enters what it takes in a ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from jetsocket.errors import BufferOverflowError, DecodeError, InvalidStateError, JetSocketError
from jetsocket.occurrences import Gap
from jetsocket.subscription import Subscription, SubscriptionGroup

from .ledger import Ledger


class Numbers(Struct):
    """The number of a trade."""

    t: int


class Trade(Struct):
    """A trade, as far as it is looked at."""

    stream: str
    data: Numbers


class Reading:
    """Reads one subscription until it ends, as `way` says: a name of `WAYS`.

    `gate`: while it is not set nothing is taken, where the way allows that. `nap`: seconds for which a listener blocks
    the event loop when it is called next. `heals`: each gap must come with what `recover` returned.
    """

    def __init__(self, subscription: Subscription[Any], way: str, ledger: Ledger, *, heals: bool = False) -> None:
        self.subscription = subscription
        self.ledger = ledger
        self.gate = asyncio.Event()
        self.gate.set()
        self.nap = 0.0
        self._way = WAYS[way]
        self._heals = heals
        self._unhealed: Gap | None = None
        self._grouped = isinstance(subscription, SubscriptionGroup)

    async def run(self) -> JetSocketError | None:
        """Until no more comes; the error that it ended with, if it was one."""
        while True:
            try:
                await self._way(self)
                return None
            except DecodeError:
                self.ledger.undecodable += 1
            except BufferOverflowError:
                self.ledger.gap(Gap(self.subscription.channel, "overflow"))
            except InvalidStateError:
                if self.subscription.is_active:
                    raise
                return None
            except JetSocketError as error:
                return error

    def take(self, item: Any) -> None:
        """Enter one message, or what stood between two."""
        if item.__class__ is Gap:
            self.ledger.gap(item)
            self._unhealed = item if self._heals and item.recovered is None else None
            return
        if self._unhealed is not None:
            # One behind which nothing comes any more need not be.
            self.ledger.unhealed += self._unhealed.until is not None
            self._unhealed = None
        if self._grouped:
            channel, trade = item
            if trade.stream != channel:
                self.ledger.wrong_channel(channel, trade.stream)
        else:
            trade = item
            channel = trade.stream
        self.ledger.message(channel, trade.data.t)

    async def iterate(self) -> None:
        """`async for`, and nothing else."""
        async for item in self.subscription:
            self.take(item)
            if not self.gate.is_set():
                await self.gate.wait()

    async def batches(self) -> None:
        """Lists."""
        async for batch in self.subscription.batches():
            for item in batch:
                self.take(item)
            if not self.gate.is_set():
                await self.gate.wait()

    async def one_by_one(self) -> None:
        """`recv()`, until that says that it is closed."""
        while True:
            await self.gate.wait()
            self.take(await self.subscription.recv())

    async def some_at_a_time(self) -> None:
        """`recv_batch()`, no more than 100, with a time limit."""
        while True:
            await self.gate.wait()
            try:
                batch = await self.subscription.recv_batch(100, timeout=0.5)
            except TimeoutError:
                continue
            for item in batch:
                self.take(item)

    async def raw(self) -> None:
        """`messages()`, which are decoded here."""
        source: Any = self.subscription.messages()
        async for message in source:
            if isinstance(message, Gap):
                self.ledger.gap(message)
                continue
            try:
                trade = message.decode()
            except DecodeError:
                self.ledger.undecodable += 1
            else:
                self.take((message.channel, trade) if self._grouped else trade)
            if not self.gate.is_set():
                await self.gate.wait()

    async def listen(self) -> None:
        """A callback. What cannot be decoded is told to the event loop's exception handler."""

        def heard(item: Any) -> None:
            self.take(item)
            if self.nap:
                seconds, self.nap = self.nap, 0.0
                time.sleep(seconds)

        await self.subscription.listen(heard).wait()


WAYS: dict[str, Callable[[Reading], Awaitable[None]]] = {
    "iterate": Reading.iterate,
    "batches": Reading.batches,
    "one_by_one": Reading.one_by_one,
    "some_at_a_time": Reading.some_at_a_time,
    "raw": Reading.raw,
    "listen": Reading.listen,
}
