"""`python -m benchmarks.trials [NAME ...]`: runs trials, all or those named, and prints what each found."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.trials import TRIALS


def main(arguments: Sequence[str] | None = None) -> int:
    by_name = {trial.name: trial for trial in TRIALS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trials", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(by_name)}; all of them by default")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bound is missed")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in by_name]
    if unknown:
        parser.error(f"no trial {', '.join(map(repr, unknown))}; there are {', '.join(by_name)}")
    missed = 0
    for name in options.names or by_name:
        start = time.monotonic()
        findings = by_name[name].measure()
        print(f"{name} ({time.monotonic() - start:.0f} s)")
        for finding in findings:
            missed += not finding.met
            print(f"  {finding}", flush=True)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
