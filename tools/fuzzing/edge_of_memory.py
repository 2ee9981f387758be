"""Bytes objects that end where the readable memory ends: whoever reads one byte beyond them is killed.

They are built by hand, as a 64-bit CPython with its lock has them, and lack the usual zero behind the last byte.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys

# Objects at odd addresses are no fault of what reads them, but UndefinedBehaviorSanitizer reports it.
AVAILABLE = (
    sys.platform.startswith("linux") and bytes.__basicsize__ == 33 and "libasan" not in os.environ.get("LD_PRELOAD", "")
)
"""Whether this Python and this system are ones that it is done for."""
READABLE = 4 * mmap.PAGESIZE
_HEADER = bytes.__basicsize__ - 1
MOST = READABLE - _HEADER
"""The longest bytes object that there is room for."""


class Edge:
    """A few pages of memory before one that cannot be read."""

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, READABLE + mmap.PAGESIZE)
        self._guard = ctypes.addressof(ctypes.c_char.from_buffer(self._pages)) + READABLE
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(self._guard), ctypes.c_size_t(mmap.PAGESIZE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")

    def placed(self, data: bytes) -> bytes:
        """A copy of `data`, at most MOST bytes, at the edge: one at a time, and gone with this object."""
        if len(data) > MOST:
            raise ValueError(f"{len(data)} bytes are more than {MOST}")
        size = _HEADER + len(data)
        address = self._guard - size
        ctypes.memmove(address, ctypes.string_at(id(data), _HEADER) + data, size)
        # References enough that it is never freed.
        ctypes.c_ssize_t.from_address(address).value = 1 << 20
        placed = ctypes.cast(address, ctypes.py_object).value
        assert isinstance(placed, bytes)
        return placed
