"""The demo's account: every message that the exchange sent, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from jetsocket.stats import MultiplexStats

from .terminal import PipedConsole

if TYPE_CHECKING:
    from jetsocket.testing import Account


@dataclass(frozen=True, slots=True)
class Balance:
    """Both sides' counts. `received`: messages of each channel. `complete`: the last message came, and all were taken.

    `faults`: how many there were, None where none were asked for. `elapsed` and `cpu` (this process') in seconds,
    `latencies` the percentiles in milliseconds.
    """

    account: Account
    stats: MultiplexStats
    received: dict[str, int]
    complete: bool
    faults: int | None
    elapsed: float
    cpu: float
    latencies: list[float | None]

    @property
    def lost(self) -> int:
        """Sent, and not received: in flight when a connection broke."""
        return self.account.total - self.stats.total_messages_routed - self.stats.unroutable_messages

    def differences(self) -> list[str]:
        """What does not balance; nothing, if all is well."""
        stats = self.stats
        found = []
        if not self.complete:
            found.append("the last message did not come, or was not taken, in time")
        if self.lost < 0 or (self.lost and self.faults is None):
            found.append(f"sent {self.account.total:,}, received {self.account.total - self.lost:,}: {-self.lost:+,}")
        kept = stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
        if kept != stats.total_messages_routed:
            found.append(
                f"routed {stats.total_messages_routed:,}, delivered, queued or dropped {kept:,}:"
                f" {kept - stats.total_messages_routed:+,}"
            )
        for channel, received in self.received.items():
            difference = received - self.account.channels.get(channel, 0)
            # Garbage may name a channel, and is routed there then.
            if difference > self.account.injected or (difference and self.faults is None):
                found.append(f"{channel}: {difference:+,}")
        return found

    @property
    def is_balanced(self) -> bool:
        return not self.differences()

    def lines(self) -> list[tuple[str, str, str]]:
        """Name, number, and what it is made of."""
        account, stats = self.account, self.stats
        received = account.total - self.lost
        made_of = f"{account.messages:,} data + {account.answers:,} answers"
        if account.injected:
            made_of += f" + {account.injected:,} garbage"
        routed_to = (
            f"{stats.total_messages_delivered:,} delivered + {stats.total_messages_queued:,} queued"
            f" + {stats.total_messages_dropped:,} dropped"
        )
        lines = [
            ("sent", f"{account.total:,}", f"{made_of}, by the exchange"),
            (
                "received",
                f"{received:,}",
                f"{stats.total_messages_routed:,} routed + {stats.unroutable_messages:,} unroutable",
            ),
            ("routed", f"{stats.total_messages_routed:,}", routed_to),
        ]
        if self.faults is not None:
            again = account.subscribes - len(self.received) - 1
            survived = f"{stats.connection_stats.reconnect_count:,} reconnects, {again:,} resubscriptions"
            lines += [
                ("lost in flight", f"{self.lost:,}", "sent on connections that broke before it arrived"),
                ("faults", f"{self.faults:,}", survived),
            ]
        delivered = max(stats.total_messages_delivered, 1)
        lines += [
            ("latency", "", f"{latency_text(self.latencies)}, from the exchange's sending to the consumer"),
            (
                "CPU",
                f"{self.cpu:.1f} s",
                f"{100 * self.cpu / self.elapsed:.0f} % of a core, {1e6 * self.cpu / delivered:.2f} µs a message",
            ),
        ]
        return lines

    def print(self) -> None:
        """On stdout."""
        console = PipedConsole()
        rate = self.account.messages / self.elapsed
        console.print(
            Text(
                f"{self.account.messages:,} messages of {len(self.received)} channels in {self.elapsed:.1f} s:"
                f" {rate:,.0f} a second",
                style="bold",
            )
        )
        for name, number, made_of in self.lines():
            console.print(
                Text.assemble(f"{name:15}{number:>13}  ", (f"{'= ' if '+' in made_of else ''}{made_of}", "dim"))
            )
        differences = self.differences()
        if differences:
            console.print(
                Text.assemble(f"{'account':15}{'':15}", ("does not balance: " + "; ".join(differences), "bold red"))
            )
        else:
            console.print(Text.assemble(f"{'account':15}{'':15}", ("balanced", "bold green")))


def latency_text(latencies: list[float | None]) -> str:
    """The percentiles, as text."""
    shown = ["-" if value is None else f"{value:.2f} ms" for value in latencies]
    return "  ".join(f"{name} {value}" for name, value in zip(("p50", "p99", "p99.9"), shown, strict=True))
