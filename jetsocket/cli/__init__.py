"""The `jetsocket` command: demo, listen, doctor, info, replay."""

from __future__ import annotations

import os
import sys

_NEEDED = ("click", "rich")


def main() -> int:
    """The entry point; returns the exit code."""
    try:
        _open_missing()
        from .command import run  # noqa: PLC0415 - only here can it be told what is missing

        return run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        print("jetsocket: the command line is not installed: pip install 'jetsocket[cli]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _open_missing() -> None:
    """Opens /dev/null as the standard streams that this process was started without, as by `>&-` in a shell.

    Else Python has None in their place, and a socket may get their number: event loops do not survive that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            # For the processes that are started from here, too. The lowest number that is free is this one.
            os.set_inheritable(null, True)
            setattr(sys, name, os.fdopen(null, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
