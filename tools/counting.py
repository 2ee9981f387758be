"""A pytest plugin that counts instructions in place of time: `benchmark(function)` under valgrind's callgrind.

Loaded by `instructions.py` in place of pytest-benchmark's plugin. Each case runs a few times to warm up, then several
times between two requests to callgrind, which writes what was executed in between.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from tools.bench_bounds import matcher

WARM_UP = 3
# A function is run so often that the requests themselves are lost in it, and what takes turns in it is averaged.
ENOUGH = 1_000_000
FEWEST, MOST = 5, 1000

COUNTS = pytest.StashKey["Callgrind"]()

sources: defaultdict[str, random.Random] = defaultdict(lambda: random.Random(0))


def urandom(size: int, /) -> bytes:
    """The same bytes in each run. Each module has its own, anew for each case, whatever else asks and runs."""
    return sources[sys._getframe(1).f_globals.get("__name__", "")].randbytes(size)


# Hash tables that are seeded from here have the same collisions each time.
os.urandom = urandom


class Callgrind:
    """Speaks to callgrind; `counts` are the instructions of each case, by its name."""

    def __init__(self, library: str, output: str) -> None:
        self.counts: dict[str, int] = {}
        self._requests = ctypes.CDLL(library)
        self._output = output
        self._dumps = 0

    def measure(self, function: Callable[[], Any], times: int) -> int:
        """Instructions of so many runs.

        What they return is dropped at once: then each gets the memory of the one before, not some from elsewhere.
        """
        begin, end = self._requests.begin, self._requests.end
        gc.disable()
        try:
            begin()
            for _ in repeat(None, times):
                function()
            end()
        finally:
            gc.enable()
        self._dumps += 1
        dump = Path(f"{self._output}.{self._dumps}").read_text(encoding="utf-8", errors="replace")
        total = re.search(r"^(?:totals|summary): (\d+)$", dump, re.MULTILINE)
        if total is None:
            raise RuntimeError(f"callgrind's output has no total:\n{dump[:2000]}")
        return int(total[1])


class Counted:
    """Stands in for pytest-benchmark's fixture; takes what benchmarks commonly use of it."""

    def __init__(self, name: str, callgrind: Callgrind) -> None:
        self.name = name
        self.group: str | None = None
        self.extra_info: dict[str, Any] = {}
        self._callgrind = callgrind

    def __call__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Count runs of `function(*arguments)`; what one more returns."""

        def call() -> Any:
            return function(*arguments, **named)

        gc.collect()
        for _ in range(WARM_UP):
            call()
        times = max(FEWEST, min(MOST, ENOUGH // max(self._callgrind.measure(call, 1), 1)))
        self._keep(self._callgrind.measure(call, times) / times)
        return call()

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        **_rounds: Any,
    ) -> Any:
        """As above; `setup` runs before each run, uncounted, and may return the arguments."""
        given = tuple(args), kwargs or {}
        if setup is None:
            return self(target, *given[0], **given[1])
        gc.collect()
        totals = []
        for _ in range(WARM_UP + FEWEST):
            arguments, named = setup() or given
            totals.append(self._callgrind.measure(lambda: target(*arguments, **named), 1))  # noqa: B023
        self._keep(sum(totals[WARM_UP:]) / FEWEST)
        arguments, named = setup() or given
        return target(*arguments, **named)

    def _keep(self, count: float) -> None:
        if self.name in self._callgrind.counts:
            raise ValueError(f"two cases are called {self.name!r}: names must be unique")
        self._callgrind.counts[self.name] = round(count)


def pytest_addoption(parser: pytest.Parser) -> None:
    """For `instructions.py`."""
    group = parser.getgroup("counting instructions")
    group.addoption("--count-requests", metavar="LIBRARY", help="callgrind_requests.c, compiled")
    group.addoption("--count-output", metavar="FILE", help="what callgrind was told as --callgrind-out-file")
    group.addoption("--count-case", action="append", default=[], metavar="PATTERN", help="count such cases alone")
    group.addoption("--count-not", action="append", default=[], metavar="PATTERN", help="but not such")
    group.addoption("--count-fact", action="append", default=[], metavar="MODULE:FUNCTION", help="ask it, and tell")
    group.addoption("--count-into", metavar="FILE", help="where to write the counts, and what was told")


def pytest_configure(config: pytest.Config) -> None:
    """pytest-benchmark is not there to announce its mark."""
    config.addinivalue_line("markers", "benchmark: options of pytest-benchmark, of no account here")
    config.stash[COUNTS] = Callgrind(config.getoption("--count-requests"), config.getoption("--count-output"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only the cases that are asked for, and of these only benchmarks."""
    wanted, unwanted = matcher(config.getoption("--count-case")), matcher(config.getoption("--count-not"))
    benchmarks = [item for item in items if "benchmark" in getattr(item, "fixturenames", ())]
    chosen = [item for item in benchmarks if wanted(item.name) and not unwanted(item.name)]
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen
    # What is there by now stays to the end: the collector need not go through it again.
    gc.freeze()


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> Counted:
    """Counts instructions."""
    sources.clear()
    return Counted(request.node.name, request.config.stash[COUNTS])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Here the modules that are asked are loaded, as the cases loaded them."""
    if exitstatus:
        return
    told = []
    for fact in session.config.getoption("--count-fact"):
        module, _, function = fact.partition(":")
        told.append(str(getattr(import_module(module), function)()))
    result = {"facts": told, "cases": session.config.stash[COUNTS].counts}
    Path(session.config.getoption("--count-into")).write_text(json.dumps(result), encoding="utf-8")
