"""What a user of the soak wants: a subscription that is asked for again when it ends, and read to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jetsocket.errors import JetSocketError, SubscriptionError, TimeoutError
from jetsocket.subscription import SubscriptionGroup

from .ledger import Ledger
from .reading import Reading, Trade

if TYPE_CHECKING:
    from jetsocket.multiplex import Multiplex
    from jetsocket.subscription import Subscription

# Seconds that a subscription may take to come about; more is a failure.
PATIENCE = 60.0


class Wish:
    """One channel, or several in a group (`together`), read in the `way` of `WAYS`, on `terms` as for `subscribe()`.

    `wanted`: set as long as the user wants it. What the server refuses, or takes back, is not wanted any more, until
    somebody says so. `past`: the sums of the subscriptions that have ended; each has a ledger of its own, so that two
    are never taken for one.
    """

    def __init__(self, channels: list[str], way: str, *, together: bool, **terms: Any) -> None:
        self.channels = channels
        self.way = way
        self.together = together
        self.terms = terms
        self.wanted = asyncio.Event()
        self.wanted.set()
        self.reading: Reading | None = None
        self.refused: dict[str, JetSocketError] = {}
        self.past = Ledger(str(self), ())
        self.problems: list[str] = []

    def __str__(self) -> str:
        policy = self.terms.get("overflow", "drop_oldest")
        what = f"group of {len(self.channels)}" if self.together else self.channels[0]
        return f"{what} ({policy}, {self.way})"

    @property
    def ledgers(self) -> list[Ledger]:
        """Those of the past, in sum, and the present one."""
        return [self.past] if self.reading is None else [self.past, self.reading.ledger]

    def gone(self) -> set[str]:
        """Channels that the server has refused to the present subscription."""
        reading = self.reading
        if reading is not None and isinstance(reading.subscription, SubscriptionGroup):
            return set(reading.subscription.refused)
        return set()

    async def live(self, multiplex: Multiplex[Any]) -> None:
        """Subscribe, read, and again, until this is cancelled."""
        while True:
            await self.wanted.wait()
            try:
                subscription = await self._subscribe(multiplex)
            except (SubscriptionError, TimeoutError) as error:
                self._refused(error)
                continue
            self.reading = Reading(
                subscription, self.way, Ledger(str(self), self.channels), heals="recover" in self.terms
            )
            error_of_end = await self.reading.run()
            self._close()
            if error_of_end is not None:
                self._refused(error_of_end)

    def _refused(self, error: JetSocketError) -> None:
        self.wanted.clear()
        if isinstance(error, SubscriptionError):
            self.refused[error.channel or self.channels[0]] = error
        else:
            self.problems.append(f"{self}: {type(error).__name__}: {error}")

    async def _subscribe(self, multiplex: Multiplex[Any]) -> Subscription[Any]:
        made: Subscription[Any]
        if self.together:
            made = await multiplex.subscribe_group(self.channels, timeout=PATIENCE, message_type=Trade, **self.terms)
            return made
        shared = self.terms.get("shared", True)
        terms = {name: value for name, value in self.terms.items() if name != "shared"}
        made = await multiplex.subscribe(self.channels[0], timeout=PATIENCE, shared=shared, message_type=Trade, **terms)
        return made

    def _close(self) -> None:
        assert self.reading is not None
        self.past.absorb(self.reading.ledger)
        self.problems += self.unbalanced()
        self.reading = None

    def unbalanced(self) -> list[str]:
        """What the present subscription's counters say that does not agree, now that nothing is on its way."""
        if self.reading is None:
            return []
        stats, ledger = self.reading.subscription.stats(), self.reading.ledger
        kept = stats.messages_delivered + stats.queue_size + stats.messages_dropped
        found = []
        if stats.messages_received != kept:
            found.append(f"{self}: received {stats.messages_received}, delivered, queued or dropped {kept}")
        if stats.messages_delivered != ledger.taken:
            found.append(f"{self}: delivered {stats.messages_delivered}, its consumer took {ledger.taken}")
        if self.terms.get("overflow") != "error" and ledger.overflowed != stats.messages_dropped:
            found.append(f"{self}: dropped {stats.messages_dropped}, told in gaps {ledger.overflowed}")
        return found

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Its consumer takes nothing meanwhile."""
        assert self.reading is not None
        gate = self.reading.gate
        gate.clear()
        try:
            yield
        finally:
            gate.set()

    async def drop(self) -> None:
        """The user does not want it any more."""
        self.wanted.clear()
        if self.reading is not None:
            self.reading.gate.set()
            await self.reading.subscription.close()

    async def want_again(self) -> None:
        """The user wants all of it, though some was refused: a group is made anew."""
        if self.reading is not None and self.gone():
            await self.reading.subscription.close()
        self.refused.clear()
        self.wanted.set()

    def missing(self, numbers: dict[str, int]) -> list[str]:
        """The channels of which nothing newer than these numbers came."""
        return self.channels if self.reading is None else self.reading.ledger.behind(numbers)

    def unfinished(self, numbers: dict[str, int]) -> list[str]:
        """The channels of which these newest numbers are neither there nor told to be missing."""
        return [] if self.reading is None else self.reading.ledger.unfinished(numbers, self.gone())
