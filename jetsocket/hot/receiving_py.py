"""The memory that a transport reads into.

The Python twin of `receiving_c.pyx`, and its specification.
"""

from __future__ import annotations

from typing import Final

FIRST_BUFFER: Final = 64 * 1024
LARGEST_IDLE_BUFFER: Final = 256 * 1024
LEAST_READ: Final = 16 * 1024


class ReceiveBuffer:
    """Room to read into, behind what was read before and is not yet decoded. It is for one thread at a time.

    It grows for a large frame, and when reads fill it; what a large frame took is given back when no other one comes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(FIRST_BUFFER)
        self._view = memoryview(self._buffer)
        # What was read and not yet decoded lies between these.
        self._pos = 0
        self._end = 0
        self._idle_size = FIRST_BUFFER
        self._calm = 0

    def _space(self, *, at_rest: bool) -> memoryview:
        """Free space to read into. `at_rest`: it may be made smaller, as no message is being assembled."""
        if self._pos:
            left = self._end - self._pos
            self._view[:left] = self._view[self._pos : self._end]
            self._pos, self._end = 0, left
        size = len(self._buffer)
        if size - self._end < LEAST_READ or size < self._idle_size:
            self._replace(max(size * 2, self._idle_size))
        elif size > self._idle_size and at_rest:
            self._calm = self._calm + 1 if self._end < self._idle_size // 2 else 0
            if self._calm > 8:
                self._replace(self._idle_size)
        return self._view[self._end :]

    def _fill(self, nbytes: int) -> None:
        """So much was read into it, for which there is room."""
        if nbytes == len(self._buffer) - self._end and self._idle_size < LARGEST_IDLE_BUFFER:
            self._idle_size *= 2
        self._end += nbytes

    def _replace(self, size: int) -> None:
        buffer = bytearray(size)
        buffer[: self._end] = self._view[: self._end]
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._calm = 0
