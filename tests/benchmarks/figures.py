"""Figures that were never measured, for the tests of what is made of them."""

from __future__ import annotations

from benchmarks.contenders import BY_NAME
from benchmarks.contest import Figure

CPU_NS = {
    "floor": 20.0,
    "jetsocket": 60.0,
    "jetsocket-batches": 85.0,
    "jetsocket-iterated": 150.0,
    "jetsocket-typed": 500.0,
    "jetsocket-dicts": 900.0,
    "msgspec": 300.0,
    "picows": 600.0,
    "picows-websockets": 4000.0,
    "jetsocket-pure": 2000.0,
    "websockets-orjson": 8000.0,
    "websockets-json": 10000.0,
    "tiny-floor": 5.0,
    "tiny-jetsocket": 20.0,
    "large64k-floor": 8000.0,
    "large64k-jetsocket": 10000.0,
    "large1m-floor": 150000.0,
    "large1m-jetsocket": 200000.0,
    "tls-jetsocket": 250.0,
    "tls-picows": 1000.0,
    "deflate-jetsocket": 1000.0,
    "deflate-websockets": 8000.0,
}


def figure(name: str, cpu_ns: float | None = None) -> Figure:
    contender = BY_NAME[name]
    taken = CPU_NS[name] if cpu_ns is None else cpu_ns
    return Figure(name, contender.title, 1000, taken, 2 * taken, (taken,), (2 * taken,), contender.course.name, 170.0)


def figures(**changed: float) -> list[Figure]:
    """One of each name above; `changed`: nanoseconds, by a name with `_` for `-`."""
    other = {name.replace("_", "-"): cpu_ns for name, cpu_ns in changed.items()}
    return [figure(name, other.get(name)) for name in CPU_NS]
