"""Whether the memory of this process is flat."""

from __future__ import annotations

import gc
import os
import statistics
from pathlib import Path

# Bytes by which the memory of the last quarter may be more than that of the first.
MOST_GROWTH = 16 * 2**20
_STATM = Path("/proc/self/statm")
# Fewer samples than this in a quarter say nothing.
_FEWEST = 2


class Memory:
    """Samples of the resident memory; none where the system does not tell it in /proc."""

    def __init__(self) -> None:
        self.samples: list[int] = []

    def sample(self) -> int | None:
        """What it is now, without what is garbage."""
        if not _STATM.exists():
            return None
        gc.collect()
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        self.samples.append(pages * os.sysconf("SC_PAGE_SIZE"))
        return self.samples[-1]

    @property
    def growth(self) -> int | None:
        """Bytes between the medians of the first and of the last quarter; None where there are too few samples."""
        quarter = len(self.samples) // 4
        if quarter < _FEWEST:
            return None
        first, last = self.samples[:quarter], self.samples[-quarter:]
        return int(statistics.median(last) - statistics.median(first))

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown by more than `MOST_GROWTH`."""
        return self.growth is None or self.growth <= MOST_GROWTH
