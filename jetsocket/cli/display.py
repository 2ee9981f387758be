"""What the demo shows while it runs: a live table on a terminal, a line a second in a pipe."""

from __future__ import annotations

import asyncio
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .balance import latency_text

if TYPE_CHECKING:
    from jetsocket import Multiplex, MultiplexStats, Subscription

    from .meter import Meter

_BUSIEST = 12
_FAULTS_SHOWN = 4


class Display(ABC):
    """Shows `meter` and the statistics of `mux` every `interval` seconds."""

    interval = 1.0

    def __init__(self, meter: Meter, mux: Multiplex[bytes], subscriptions: Sequence[Subscription[bytes]]) -> None:
        self.faults = 0
        self._meter = meter
        self._mux = mux
        self._subscriptions = subscriptions
        self._began = time.monotonic()
        self._last = (self._began, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027  # what draws nothing has nothing to clean up
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""

    async def run(self) -> None:
        """Until it is cancelled."""
        self._began = time.monotonic()
        self._last = (self._began, 0)
        while True:
            await asyncio.sleep(self.interval)
            self.show()

    def fault(self, text: str) -> None:
        """The exchange does this to its clients now."""
        self.faults += 1
        self._tell(f"fault {self.faults}: {text}")

    @abstractmethod
    def _tell(self, text: str) -> None:
        """A line of the exchange's."""

    @abstractmethod
    def show(self) -> None:
        """The state of things, now."""

    def _headline(self, stats: MultiplexStats) -> str:
        now = time.monotonic()
        since, before = self._last
        self._last = now, stats.total_messages_routed
        rate = (stats.total_messages_routed - before) / (now - since)
        connection = stats.connection_stats
        return (
            f"{now - self._began:5.1f} s  {connection.state.value}  {rate:,.0f} messages/s"
            f"  {stats.total_messages_routed:,} routed  {stats.total_messages_queued:,} queued"
            f"  {stats.total_messages_dropped:,} dropped  {connection.reconnect_count} reconnects"
        )


class LinesDisplay(Display):
    """A line a second."""

    def show(self) -> None:
        latencies = latency_text(self._meter.latencies.turn())
        print(f"{self._headline(self._mux.stats())}  {latencies}", flush=True)

    def _tell(self, text: str) -> None:
        print(text, flush=True)


class LiveDisplay(Display):
    """A table that is drawn again and again."""

    interval = 0.2

    def __init__(self, meter: Meter, mux: Multiplex[bytes], subscriptions: Sequence[Subscription[bytes]]) -> None:
        super().__init__(meter, mux, subscriptions)
        self._live = Live(console=Console(), auto_refresh=False, transient=True)
        self._told: list[str] = []

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _tell(self, text: str) -> None:
        self._told.append(text)

    def show(self) -> None:
        table = Table(box=None, pad_edge=False)
        table.add_column("busiest channels")
        for title in ("price", "messages", "queued", "dropped"):
            table.add_column(title, justify="right")
        busiest = sorted((one.stats() for one in self._subscriptions), key=lambda stats: -stats.messages_received)
        for stats in busiest[:_BUSIEST]:
            table.add_row(
                stats.channel,
                self._meter.price(stats.channel),
                f"{stats.messages_received:,}",
                f"{stats.queue_size:,}",
                f"{stats.messages_dropped:,}",
            )
        headline = self._headline(self._mux.stats())
        latencies = latency_text(self._meter.latencies.turn())
        faults = [Text(text, style="yellow") for text in self._told[-_FAULTS_SHOWN:]]
        shown = Group(Text(headline, style="bold"), Text(f"        latency {latencies}"), Text(), table, *faults)
        self._live.update(shown, refresh=True)


def choose_display(meter: Meter, mux: Multiplex[bytes], subscriptions: Sequence[Subscription[bytes]]) -> Display:
    """A live table where stdout is a terminal that can draw one."""
    if sys.stdout.isatty() and not Console().is_dumb_terminal:
        return LiveDisplay(meter, mux, subscriptions)
    return LinesDisplay(meter, mux, subscriptions)
