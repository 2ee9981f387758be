"""`python -m benchmarks`: what a message costs each client, in CPU time, side by side in the same run.

100-channel combined-stream traffic of about 170 bytes a message, flat out over loopback from another process. The
figure is the client's CPU time (user and system) from the message that starts the flood to the last one in its place,
divided by the messages; the median of the runs. Compare the ratios: the nanoseconds are this machine's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import BY_NAME, ROOT, Figure, contest
from benchmarks.report import terminal, write_json, write_readme

# (who, how many times as many messages a CPU second, as whom)
BARS = (("jetsocket", 40.0, "websockets-orjson"), ("jetsocket-pure", 1.0, "websockets-json"))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=3_000_000, help="a run; slow clients get a tenth (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="of each client, interleaved (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=sorted(BY_NAME), metavar="NAME", help=", ".join(BY_NAME))
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed; runs what that takes")
    options = parser.parse_args(arguments)
    if options.messages < 1000 or options.runs < 1:
        parser.error("--messages must be at least 1000 and --runs at least 1")
    return options


def missed(figures: Sequence[Figure]) -> int:
    """Print how each bar was met; how many were not."""
    cpu = {figure.name: figure.cpu_ns for figure in figures}
    count = 0
    for name, bar, other in BARS:
        reached = cpu[other] / cpu[name]
        count += reached < bar
        verdict = "met" if reached >= bar else "MISSED"
        print(f"{name}: {reached:.1f} times the messages of {other} a CPU second, at least {bar:g} wanted: {verdict}")
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    names = list(options.only or BY_NAME)
    if options.check and not options.only:
        names = [name for bar in BARS for name in (bar[0], bar[2])]
    figures = contest(names, options.messages, options.runs)
    print(terminal(figures))
    if options.json:
        write_json(options.json, figures, options.runs)
    if options.readme:
        write_readme(ROOT / "README.md", figures)
    return 1 if options.check and missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
