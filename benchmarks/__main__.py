"""`python -m benchmarks`: what a message costs each client, in CPU time, side by side in the same run.

100-channel combined-stream traffic of about 170 bytes a message, flat out over loopback from another process; and other
courses: tiny and large messages, TLS, permessage-deflate. The figure is the client's CPU time (user and system) from
the message that starts the flood to the last one in its place, divided by the messages; the median of the runs. Compare
the ratios: the nanoseconds are this machine's. Then the trials, which are no contest on one feed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.bars import checked, judge, unjudged
from benchmarks.contenders import BY_NAME, Contender
from benchmarks.contest import ROOT, contest, left_out
from benchmarks.picture import drawn, write_picture
from benchmarks.report import Outcome, left_out_lines, terminal, write_json, write_readme
from benchmarks.trials import TRIALS, Trial

TRIALS_BY_NAME = {trial.name: trial for trial in TRIALS}
FULL = (4_000_000, 5)
CHECK = (300_000, 3)


def parser() -> argparse.ArgumentParser:
    known = [*BY_NAME, *TRIALS_BY_NAME]
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument(
        "--messages",
        type=int,
        help=f"of the main course in a run ({FULL[0]:,}; with --check {CHECK[0]:,}); slow clients get a tenth, courses"
        " of larger messages fewer",
    )
    options.add_argument("--runs", type=int, help=f"of each client, interleaved ({FULL[1]}; with --check {CHECK[1]})")
    options.add_argument("--only", nargs="+", choices=known, metavar="NAME", help=", ".join(known))
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures and findings to this file too")
    options.add_argument("--picture", type=Path, metavar="FILE", help="draw the main course, in SVG")
    options.add_argument(
        "--readme",
        type=Path,
        nargs="?",
        const=ROOT / "README.md",
        metavar="FILE",
        help="put the tables between the markers of README.md, and draw benchmarks/results.svg",
    )
    options.add_argument(
        "--check",
        action="store_true",
        help="a short run of what tells most, against tolerant bounds; exit with 1 when one is missed",
    )
    return options


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    given = parser()
    options = given.parse_args(arguments)
    options.command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    messages, runs = CHECK if options.check else FULL
    options.messages = messages if options.messages is None else options.messages
    options.runs = runs if options.runs is None else options.runs
    if options.messages < 1000 or options.runs < 1:
        given.error("--messages must be at least 1000 and --runs at least 1")
    if options.readme and options.picture is None:
        options.picture = options.readme.parent / "benchmarks" / "results.svg"
    if not options.only:
        options.only = checked() if options.check else [*BY_NAME, *TRIALS_BY_NAME]
    if options.picture and not any(name in BY_NAME and drawn(BY_NAME[name]) for name in options.only):
        given.error("--picture and --readme need a client of the main course")
    return options


def run_contest(options: argparse.Namespace, contenders: Sequence[Contender]) -> Outcome:
    """The contest, told on the terminal."""
    absent = left_out(contenders)
    for line in left_out_lines(absent):
        print(line, file=sys.stderr)
    figures = contest(contenders, options.messages, options.runs)
    outcome = Outcome(options.runs, figures, absent, judge(figures, options.check), command=options.command)
    print(terminal(figures))
    for part in left_out_lines(absent):
        print(part)
    print()
    for finding in outcome.findings:
        print(finding)
    for line in unjudged(figures, [contender.name for contender in contenders], options.check):
        print(line)
    sys.stdout.flush()
    return outcome


def run_trials(outcome: Outcome, trials: Iterable[Trial]) -> None:
    for trial in trials:
        print(f"\n{trial.name}:", flush=True)
        outcome.trials[trial.name] = trial.measure()
        for finding in outcome.trials[trial.name]:
            print(f"  {finding}", flush=True)


def save(options: argparse.Namespace, outcome: Outcome) -> None:
    if options.json:
        write_json(options.json, outcome)
    if options.picture:
        write_picture(options.picture, outcome.figures)
    if options.readme:
        picture = Path(os.path.relpath(options.picture, options.readme.parent))
        write_readme(options.readme, outcome, picture.as_posix())


def verdict(outcome: Outcome, check: bool) -> int:
    """The exit code. What is missed is printed in any case, and a failure where a check was asked for."""
    if check and not (outcome.findings or outcome.trials):
        print("nothing could be judged")
        return 1
    return 1 if check and outcome.missed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    contenders = [BY_NAME[name] for name in options.only if name in BY_NAME]
    outcome = run_contest(options, contenders) if contenders else Outcome(options.runs)
    # What took so long is kept, whatever comes of a trial.
    save(options, outcome)
    run_trials(outcome, [TRIALS_BY_NAME[name] for name in options.only if name in TRIALS_BY_NAME])
    save(options, outcome)
    return verdict(outcome, options.check)


if __name__ == "__main__":
    sys.exit(main())
