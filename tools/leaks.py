"""A pytest plugin: at the end of a run, LeakSanitizer looks for memory that nothing refers to any more.

It looks while the interpreter still lives. What the interpreter keeps then is reachable from it and no leak, unlike at
the end of the process, when everything that it never frees would be one. Reports go where log_path says.
"""

from __future__ import annotations

import ctypes
import gc


def pytest_unconfigure() -> None:
    """After the last test and its fixtures."""
    look()


def look() -> None:
    """Collect what is in reference cycles, then look."""
    gc.collect()
    gc.collect()
    ctypes.CDLL(None).__lsan_do_recoverable_leak_check()
