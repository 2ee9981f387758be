"""Runs Autobahn|Testsuite, which has 517 cases of what a WebSocket client may meet, against `jetsocket.WebSocket`.

    python -m tools.autobahn                                    every case, about 15 minutes
    python -m tools.autobahn --quick                            385 cases with small payloads, one to two minutes
    python -m tools.autobahn --cases 6 12.1.1 '7.*.1'           some cases
    python -m tools.autobahn --twin both --loop both            each pair in turn

The suite needs Python 2.7; its environment is made at the first run, in the user's cache folder. Prints a table, and
every case that is not OK. A case that is NON-STRICT is repeated, to tell the suite's timing from our behaviour.

Exit status: 0 where every case was good; 1 where one FAILED, is UNIMPLEMENTED, has no verdict, was not finished in its
time or was closed badly (with --strict also where one was NON-STRICT in every run), or where the suite could not be
run; 2 for wrong arguments; 77 where there is no Python 2.7, with how to get it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from .autobahn_suite import FuzzingServer, PythonMissingError, Suite, SuiteError, environment, find_python
from .autobahn_verdicts import QUICK, NoSuchCaseError, Verdict, as_json, read_verdicts, remarks, select, table

ROOT = Path(__file__).parents[1]
SKIPPED = 77
LOOPS = ("asyncio", "uvloop")
TWINS = ("compiled", "pure")


class ClientError(Exception):
    """The client under test ended before its last case."""


class Run:
    """The wanted cases on one twin and one event loop."""

    def __init__(self, suite: Suite, twin: str, loop: str, limit: float) -> None:
        self.twin = twin
        self.loop = loop
        self.seconds = 0.0
        self.verdicts: list[Verdict] = []
        self._suite = suite
        self._limit = limit
        self._numbers = {case: number for number, case in enumerate(suite.cases, 1)}

    def run(self, wanted: Sequence[str], repeats: int) -> None:
        """Run the cases, and those that are NON-STRICT up to `repeats` times more, until they are OK."""
        started = time.monotonic()
        agent = f"jetsocket-{self.twin}-{self.loop}"
        self.verdicts = self._judge(agent, wanted)
        for again in range(1, repeats + 1):
            doubtful = [v.case for v in self.verdicts if v.behavior == "NON-STRICT" and not v.is_timing]
            if not doubtful:
                break
            behaviors = {v.case: v.behavior for v in self._judge(f"{agent}-{again}", doubtful)}
            self.verdicts = [
                replace(v, repeats=(*v.repeats, behaviors[v.case])) if v.case in behaviors else v for v in self.verdicts
            ]
        self.seconds = time.monotonic() - started

    def _judge(self, agent: str, cases: Sequence[str]) -> list[Verdict]:
        told = self._echo(agent, cases)
        return read_verdicts(self._suite.reports, agent, {case: self._suite.cases[case] for case in cases}, told)

    def _echo(self, agent: str, cases: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What the client says about each case. Raises ClientError."""
        names = {self._numbers[case]: case for case in cases}
        command = [sys.executable, "-m", "tools.autobahn_echo", self._suite.uri, agent]
        command += ["--loop", self.loop, "--limit", str(self._limit), "--cases", *map(str, names)]
        # `require` and `off` are this run's subject, whatever the environment says.
        environ = {**os.environ, "JETSOCKET_EXTENSIONS": "require" if self.twin == "compiled" else "off"}
        told: dict[str, Mapping[str, Any]] = {}
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            try:
                for line in client.stdout:
                    timing = json.loads(line)
                    told[names[timing["case"]]] = timing
                    self._show_progress(agent, names[timing["case"]], len(told), len(names))
            except BaseException:
                # Interrupted: the client would run on, and be waited for.
                client.kill()
                raise
        if client.returncode != 0:
            last = list(told)[-1] if told else "none"
            raise ClientError(f"{agent}: the client ended with {client.returncode}; the last case it finished: {last}")
        return told

    def _show_progress(self, agent: str, case: str, done: int, count: int) -> None:
        if sys.stderr.isatty():
            end = "\r" if done < count else "\033[K\r"
            print(f"{agent}: {done}/{count}  {case:<10}", end=end, file=sys.stderr, flush=True)

    def text(self) -> str:
        """The table, and what is to be said about cases."""
        head = f"{self.twin}, {self.loop}: {len(self.verdicts)} cases in {self.seconds:.0f} s"
        return "\n\n".join(filter(None, (head, table(self.verdicts, self._suite.sections), remarks(self.verdicts))))

    def as_json(self) -> dict[str, Any]:
        """For a machine."""
        return {"twin": self.twin, "loop": self.loop, "seconds": self.seconds, "cases": as_json(self.verdicts)}


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line's."""
    summary, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tools.autobahn", description=summary, epilog=epilog, formatter_class=argparse.RawTextHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="cases with small payloads")
    which.add_argument("--cases", nargs="+", default=(), metavar="CASE", help="1.2.3, 12.1, 12, '12.*.[1-6]'")
    fastest = "asyncio" if find_spec("uvloop") is None else "uvloop"
    parser.add_argument("--loop", choices=(*LOOPS, "both"), default=fastest, help=f"default: {fastest}")
    parser.add_argument("--twin", choices=(*TWINS, "both"), default="compiled", help="default: compiled")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that a case may take; default: 120")
    parser.add_argument("--repeats", type=int, default=5, help="of a case that is NON-STRICT; default: 5")
    parser.add_argument("--strict", action="store_true", help="NON-STRICT in every run is a failure too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts into a file")
    parser.add_argument("--keep-reports", type=Path, metavar="DIR", help="keep the suite's own reports and its log")
    return parser.parse_args(given)


def run_all(args: argparse.Namespace, reports: Path) -> list[Run]:
    """One run after the other. Raises PythonMissingError, SuiteError, ClientError and NoSuchCaseError."""
    interpreter = environment(find_python(os.environ), os.environ)
    twins = TWINS if args.twin == "both" else (args.twin,)
    loops = LOOPS if args.loop == "both" else (args.loop,)
    runs = []
    with FuzzingServer(interpreter, reports, os.environ) as suite:
        wanted = select(suite.cases, QUICK if args.quick else args.cases)
        for twin, loop in product(twins, loops):
            runs.append(run := Run(suite, twin, loop, args.limit))
            run.run(wanted, args.repeats)
            print(run.text(), end="\n\n", flush=True)
    return runs


def verdict(runs: Iterable[Run], *, strict: bool) -> int:
    """The exit status, and a line that says why."""
    bad = [f"{v.case} ({run.twin}, {run.loop})" for run in runs for v in run.verdicts if not v.is_good(strict=strict)]
    print(f"not good: {', '.join(bad)}" if bad else "every case was good")
    return 1 if bad else 0


def main(given: Sequence[str] | None = None) -> int:
    args = arguments(given)
    with tempfile.TemporaryDirectory(prefix="jetsocket-autobahn-") as temporary:
        reports = (args.keep_reports or Path(temporary)).resolve()
        reports.mkdir(parents=True, exist_ok=True)
        try:
            runs = run_all(args, reports)
        except PythonMissingError as error:
            print(error, file=sys.stderr)
            return SKIPPED
        except NoSuchCaseError as error:
            print(error, file=sys.stderr)
            return 2
        except (SuiteError, ClientError) as error:
            print(error, file=sys.stderr)
            return 1
        if args.json:
            args.json.write_text(json.dumps([run.as_json() for run in runs], indent=1), encoding="utf-8")
    return verdict(runs, strict=args.strict)


if __name__ == "__main__":
    sys.exit(main())
