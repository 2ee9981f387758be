"""Prints the shell commands that README.md shows between `<!-- NAME -->` and `<!-- /NAME -->`.

What a reader is told to type is what CI runs: the two cannot drift apart.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def command(name: str, text: str) -> str:
    """The contents of the one fenced block between the markers. Raises ValueError when there is none."""
    fenced = rf"<!-- {re.escape(name)} -->\s*```\w*\n(.*?)```\s*<!-- /{re.escape(name)} -->"
    blocks = re.findall(fenced, text, re.DOTALL)
    if len(blocks) != 1:
        raise ValueError(f"README.md must hold one fenced block between <!-- {name} --> markers, found {len(blocks)}")
    return str(blocks[0])


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1], README.read_text(encoding="utf-8")))
