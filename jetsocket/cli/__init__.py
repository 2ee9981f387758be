"""The `jetsocket` command: demo, listen, doctor, info, replay."""

from __future__ import annotations

import sys

_NEEDED = ("click", "rich")


def main() -> int:
    """The entry point; returns the exit code."""
    try:
        from .command import run  # noqa: PLC0415 - only here can it be told what is missing

        return run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        print("jetsocket: the command line is not installed: pip install 'jetsocket[cli]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
