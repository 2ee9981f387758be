"""What the installed `jetsocket` command runs.

It lies beside the package, not in it: whatever goes wrong while that is imported is told here in one line, as all that
goes wrong later is, and Ctrl-C means the same from the beginning on.
"""

from __future__ import annotations

import sys


def main() -> int:
    """The entry point; returns the exit code."""
    try:
        try:
            import jetsocket.cli  # noqa: PLC0415
        except ImportError as error:
            # Without a stream to print to, Python would take stdout.
            if sys.stderr is not None:
                print("jetsocket:", " ".join(str(error).split()), file=sys.stderr)
            return 1
        return jetsocket.cli.main()
    except KeyboardInterrupt:
        return 130
