"""What is asked of the contest's figures, as data: ratios of CPU time in the same run, which no machine's speed moves.

`python -m benchmarks` holds every bar against the medians of a long run. `--check` runs a few of them, quickly, against
`tolerant` bounds: they are for a busy machine, and for noticing that something was lost, not for praise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.contest import Figure
from benchmarks.findings import Finding


@dataclass(frozen=True)
class Bar:
    """`client` against the sum of `others`: at most `most` times their CPU time, or at least `least` times as fast."""

    subject: str
    client: str
    others: tuple[str, ...]
    beside: str
    most: float | None = None
    least: float | None = None
    tolerant: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.client, *self.others)

    def finding(self, cpu_ns: dict[str, float], tolerant: bool = False) -> Finding:
        """What those CPU times a message come to."""
        times = cpu_ns[self.client] / sum(cpu_ns[other] for other in self.others)
        bound = self.most if self.least is None else self.least
        if tolerant:
            bound = self.tolerant
        if self.least is None:
            return Finding(self.subject, times, f"× the CPU time of {self.beside}", bound)
        return Finding(self.subject, 1 / times, f"× as fast as {self.beside}", bound, at_most=False)


BARS = (
    Bar("kept in queues", "jetsocket", ("floor",), "the floor", most=3.5, tolerant=9),
    Bar("kept in queues", "jetsocket", ("picows",), "picows with deques", least=8, tolerant=4),
    Bar("delivered by async for", "jetsocket-iterated", ("floor",), "the floor", most=7.5, tolerant=15),
    Bar("delivered in batches", "jetsocket-batches", ("floor",), "the floor", most=4.5, tolerant=15),
    Bar(
        "delivered as Structs",
        "jetsocket-typed",
        ("jetsocket-iterated", "msgspec"),
        "async for and msgspec alone, together",
        most=1.3,
        tolerant=1.8,
    ),
    Bar("delivered as dicts", "jetsocket-dicts", ("websockets-orjson",), "websockets + orjson", least=8, tolerant=4),
    Bar("delivered as dicts", "jetsocket-dicts", ("picows-websockets",), "picows.websockets + orjson", least=4),
    Bar(
        "pure Python, kept in queues",
        "jetsocket-pure",
        ("websockets-json",),
        "websockets + json",
        least=2,
        tolerant=1.4,
    ),
    Bar("ticks of 30 bytes, kept", "tiny-jetsocket", ("tiny-floor",), "the floor there", most=5, tolerant=30),
    Bar("books of 64 KiB, kept", "large64k-jetsocket", ("large64k-floor",), "the floor there", least=0.6),
    Bar("books of 1 MiB, kept", "large1m-jetsocket", ("large1m-floor",), "the floor there", least=0.6),
    Bar("over wss://, kept", "tls-jetsocket", ("tls-picows",), "picows with deques there", least=1),
    Bar("permessage-deflate, kept", "deflate-jetsocket", ("deflate-websockets",), "websockets there", least=1.5),
)


def checked() -> list[str]:
    """The contenders that `--check` needs, each once."""
    return list(dict.fromkeys(name for bar in BARS if bar.tolerant is not None for name in bar.names))


def judge(figures: Iterable[Figure], tolerant: bool = False) -> list[Finding]:
    """What can be said of the bars whose contenders all ran."""
    cpu_ns = {figure.name: figure.cpu_ns for figure in figures}
    asked = [bar for bar in BARS if not tolerant or bar.tolerant is not None]
    return [bar.finding(cpu_ns, tolerant) for bar in asked if all(name in cpu_ns for name in bar.names)]


def unjudged(figures: Sequence[Figure], names: Sequence[str], tolerant: bool = False) -> list[str]:
    """A line for each bar that was to be judged by these contenders, of which one was left out."""
    ran = {figure.name for figure in figures}
    lines = []
    for bar in BARS:
        missing = [name for name in bar.names if name not in ran]
        if missing and all(name in names for name in bar.names) and not (tolerant and bar.tolerant is None):
            lines.append(f"{bar.subject} beside {bar.beside}: not judged, without {', '.join(missing)}")
    return lines
