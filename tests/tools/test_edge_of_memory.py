"""tools/edge_of_memory.py: nothing can be read behind what is placed there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.fuzzing.edge_of_memory import AVAILABLE, MOST, Edge

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not AVAILABLE, reason="bytes objects are built by hand for CPython on Linux only")


def test_what_is_placed_is_what_was_given() -> None:
    edge = Edge()
    for data in (b"", b"a", b"hello" * 20, bytes(MOST)):
        placed = edge.placed(data)
        # Comparing them would read the zero that is not there.
        assert list(placed) == list(data)
        assert placed is not data
        del placed
    with pytest.raises(ValueError, match="are more than"):
        edge.placed(bytes(MOST + 1))


def test_who_reads_beyond_it_is_killed() -> None:
    code = (
        "import ctypes; from tools.fuzzing.edge_of_memory import *\n"
        "edge = Edge(); placed = edge.placed(b'hello'); start = id(placed) + bytes.__basicsize__ - 1\n"
        "print(ctypes.string_at(start, 5), flush=True)\n"
        "ctypes.string_at(start, 6)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "b'hello'\n"
    assert done.returncode < 0
