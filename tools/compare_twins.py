"""Reads a pytest-benchmark report and compares each compiled case with its pure twin.

Exits with 1 when a compiled case is slower than the pure one: then something is wrong with the build or the code,
however noisy the machine is. Cases are paired by their names, `...[compiled...]` and `...[pure...]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Some cases are one call into C in either twin.
TOLERANCE = 1.25


def pairs(report: Path) -> dict[str, dict[str, float]]:
    """Seconds a round (the fastest one) of each twin, by the name of the case."""
    found: dict[str, dict[str, float]] = {}
    for case in json.loads(report.read_text(encoding="utf-8"))["benchmarks"]:
        for twin in ("compiled", "pure"):
            if twin in case["name"]:
                found.setdefault(case["name"].replace(twin, "*"), {})[twin] = case["stats"]["min"]
    return {name: times for name, times in found.items() if len(times) == 2}


def main() -> int:
    slower = 0
    compared = pairs(Path(sys.argv[1]))
    for name, times in compared.items():
        ratio = times["pure"] / times["compiled"]
        slower += ratio < 1 / TOLERANCE
        print(f"{ratio:8.1f} x  {name}{'  SLOWER COMPILED' if ratio < 1 / TOLERANCE else ''}")
    if not compared:
        print("no case has both twins")
    return 1 if slower or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
