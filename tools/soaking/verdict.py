"""What came of a soak: the account, and what does not hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .client import Client, Options
from .ledger import SUMS, Ledger
from .memory import MOST_GROWTH, Memory

# Channels that are named in a finding; of the rest, how many.
_MOST_NAMES = 5


@dataclass
class Outcome:
    """`problems`: what does not hold, in words; nothing else makes a soak fail."""

    options: Options
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    exchange: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"holds": not self.problems}

    def lines(self) -> list[str]:
        """For people."""
        sums, exchange = self.sums, self.exchange
        growth = self.memory.get("growth")
        sent = exchange.get("sent", 0)
        rate = sent / max(self.seconds, 1e-9)
        flat = "too few samples" if growth is None else f"{growth / 2**20:+.1f} MiB, first to last quarter"
        asked = f"{exchange.get('accepted', 0)} connections, {exchange.get('requests', 0):,} requests"
        lines = [
            f"{self.seconds:.0f} s     {sent:,} messages sent, {rate:,.0f} a second; {sums.get('messages', 0):,} taken",
            f"faults     {sum(self.faults.values())}: {_counted(self.faults)}",
            f"events     {_counted(self.events)}",
            f"gaps       {_counted(self.gaps)}",
            f"missing    {sums.get('within', 0):,} within gaps, {sums.get('outside', 0):,} outside of gaps",
            f"accepted   {asked}, {len(exchange.get('violations', ()))} limits broken",
            f"memory     {flat}",
        ]
        return lines + [f"does not hold: {problem}" for problem in self.problems]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


def some(channels: list[str]) -> str:
    """A few of them by name."""
    named = ", ".join(channels[:_MOST_NAMES])
    more = len(channels) - _MOST_NAMES
    return f"{named} and {more} more" if more > 0 else named


def of_ledgers(client: Client) -> list[str]:
    """Numbers that are missing where nobody told of it, and the like."""
    total = client.sum()
    words = [text for wish in client.wishes for ledger in wish.ledgers for text in ledger.words]
    wrong = {name: getattr(total, name) for name in ("outside", "repeated", "miscounted", "misrouted", "unhealed")}
    meaning = {
        "outside": "numbers are missing outside of gaps",
        "repeated": "numbers came twice, or out of order",
        "miscounted": "gaps tell of another number than is missing",
        "misrouted": "messages came to a consumer of another channel",
        "unhealed": "gaps came without what recover() had returned",
    }
    return [f"{count:,} {meaning[name]}" for name, count in wrong.items() if count] + words


def of_counters(client: Client) -> list[str]:
    """What `stats()` says that does not agree with itself, or with what consumers took. Nothing may be on its way."""
    found = [text for wish in client.wishes for text in (*wish.problems, *wish.unbalanced())]
    stats = client.multiplex.stats()
    kept = stats.total_messages_delivered + stats.total_messages_queued + stats.total_messages_dropped
    routed = stats.total_messages_routed + stats.total_messages_copied
    if routed != kept:
        found.append(f"Multiplex: routed or copied {routed:,}, delivered, queued or dropped {kept:,}")
    received = stats.total_messages_routed + stats.unroutable_messages
    if stats.connection_stats.messages_received != received:
        found.append(f"Multiplex: received {stats.connection_stats.messages_received:,}, routed or not {received:,}")
    total = client.sum()
    told = sum(total.gaps.values())
    if client.events["gap"] != told:
        found.append(f"{client.events['gap']:,} gap events, {told:,} gaps among the messages")
    reading = sum(wish.reading is not None for wish in client.wishes)
    if stats.active_subscriptions != reading:
        found.append(f"Multiplex: {stats.active_subscriptions} subscriptions are active, {reading} are read")
    taken = total.taken
    if stats.total_messages_delivered != taken:
        found.append(f"Multiplex: delivered {stats.total_messages_delivered:,}, consumers took {taken:,}")
    return found


def of_firsts(client: Client, firsts: dict[str, int]) -> list[str]:
    """Consumers whose first message was not the first that was sent to them. Nothing may have gone wrong yet."""
    late = [
        name
        for wish in client.wishes
        if wish.reading is not None and wish.terms.get("shared", True) and wish.terms.get("overflow") != "latest"
        for name, book in wish.reading.ledger.books.items()
        if book.first and book.first != firsts[name]
    ]
    return [f"the first messages did not come to {some(late)}"] if late else []


def of_memory(memory: Memory) -> list[str]:
    """Whether it is flat."""
    if memory.is_flat:
        return []
    return [f"memory has grown by {(memory.growth or 0) / 2**20:.1f} MiB, more than {MOST_GROWTH / 2**20:.0f}"]


def sums_of(ledger: Ledger) -> dict[str, int]:
    """What it counts."""
    return {name: getattr(ledger, name) for name in SUMS}
