"""What blocks an event loop, by name: a thread looks what the loop's own is doing when that is overdue."""

from __future__ import annotations

import sys
import threading
import time
from os.path import basename, dirname
from types import FrameType

# The functions of asyncio that run callbacks.
_LOOP_RUNS = frozenset({"_run", "_run_once", "run_forever", "run_until_complete", "run"})


class BlockerNamer:
    """A thread that looks what the event loop's is doing when its timer is overdue by `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self.due = 0.0
        """When the timer is to be called; set by the loop's thread."""
        self._limit = limit
        self._libraries = _libraries()
        self._seen: tuple[float, str | None] = (0.0, None)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self, watched: int) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(watched, self._stopping), name="jetsocket-loop-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def named(self, due: float) -> str | None:
        """What was seen while the timer of `due` was overdue."""
        seen_due, place = self._seen
        return place if seen_due == due else None

    def _run(self, watched: int, stopping: threading.Event) -> None:
        pause = self._limit
        while not stopping.wait(pause):
            due = self.due
            pause = due + self._limit - time.monotonic()
            if pause <= 0:
                # Once for each time that it is overdue: what runs when the limit is passed.
                if self._seen[0] != due:
                    self._seen = (due, _place_of(sys._current_frames().get(watched), self._libraries))
                pause = self._limit


def _place_of(frame: FrameType | None, libraries: tuple[str, ...]) -> str | None:
    """The innermost function of `frame`'s stack that is in no library, else the innermost: "price (feed.py:12)"."""
    if frame is None:
        return None
    found: FrameType | None = frame
    while found is not None and found.f_code.co_filename.startswith(libraries):
        # Outward of what the loop calls there is but who started it.
        found = None if found.f_code.co_name in _LOOP_RUNS and _of_asyncio(found) else found.f_back
    chosen = found or frame
    code = chosen.f_code
    return f"{code.co_name} ({basename(code.co_filename)}:{chosen.f_lineno})"


def _of_asyncio(frame: FrameType) -> bool:
    return basename(dirname(frame.f_code.co_filename)) == "asyncio"


def _libraries() -> tuple[str, ...]:
    """How the file names of libraries' code begin."""
    import sysconfig  # noqa: PLC0415  # slow to import, and seldom needed

    return ("<frozen ", *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
