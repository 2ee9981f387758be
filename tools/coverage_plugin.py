"""A pytest plugin for runs that measure coverage: notes which test file runs which line, and leaves out what such a run
is no place for. `tools/coverage_report.py` loads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
# What a child process takes as the context of all that it runs; `coverage_runs.py` names it in its settings.
CONTEXT = "COVERAGE_TEST_FILE"
# Examples that a property is tried with: a traced line costs many times its own time.
EXAMPLES = 25

_BUILDS = "it builds the package, or runs other programs over its sources"
_CLOCK = "it compares with a clock, and a traced run is many times slower"
_COUNT = "it is about a count of messages that takes minutes where each line is traced"

# Tests that begin so are left out, and why. None of them is needed for its lines.
LEFT_OUT = {
    "tests/benchmarks/": "benchmarks are no part of the package",
    "tests/tools/": "the tools are no part of the package",
    "tests/hostile/test_open_pings.py::test_a_flood_takes_no_memory[asyncio-pings over tls": _CLOCK,
    "tests/hostile/test_open_pings.py::test_a_flood_takes_no_memory[uvloop-pings over tls": _CLOCK,
    "tests/test_build.py": _BUILDS,
    "tests/test_typing.py": _BUILDS,
    "tests/test_endurance.py": _COUNT,
    "tests/test_memory_flat.py": _COUNT,
    "tests/test_imports.py::test_import_takes_under_50_ms_beyond_asyncio": _CLOCK,
    "tests/test_imports.py::test_import_brings_in_no_extra_and_nothing_heavy": "coverage itself is loaded there",
    "tests/cli/test_demo.py::test_ctrl_c_ends_it_within_a_second_without_a_traceback": _CLOCK,
    "tests/cli/test_listen.py::test_ctrl_c_ends_it": _CLOCK,
    "tests/conformance/test_memory.py": _COUNT,
    "tests/conformance/test_ring.py::test_a_million_messages_go_round": _COUNT,
    "tests/conformance/test_ring.py::test_a_hundred_thousand_messages": _COUNT,
    "tests/conformance/test_keys_twins.py::test_every_short": _COUNT,
    "tests/conformance/test_stream_waiting.py::test_a_long_queue_lets_others_run[uvloop": _COUNT,
    "tests/conformance/test_stream_waiting.py::test_a_long_queue_lets_others_run[asyncio-compiled-str": _COUNT,
    "tests/conformance/test_stream_waiting.py::test_a_long_queue_lets_others_run[asyncio-compiled-int": _COUNT,
    "tests/conformance/test_scarcity.py": "memory would fail what measures, too",
    "tests/conformance/test_reference_counts": "what measures holds references of its own",
}


def pytest_configure() -> None:
    """Fewer examples, the same ones each time: a line must not be covered by luck."""
    hypothesis.settings.register_profile("coverage", max_examples=EXAMPLES, derandomize=True, database=None)
    hypothesis.settings.load_profile("coverage")
    given = hypothesis.settings.__init__

    # Tests state their own number, and a profile cannot bound that.
    def bounded(self: hypothesis.settings, *args: Any, **options: Any) -> None:
        if isinstance(options.get("max_examples"), int):
            options["max_examples"] = min(options["max_examples"], EXAMPLES)
        given(self, *args, **options)

    hypothesis.settings.__init__ = bounded  # type: ignore[method-assign]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.nodeid.startswith(tuple(LEFT_OUT))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.nodeid.startswith(tuple(LEFT_OUT))]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The file is the context, for this process and for those that it starts."""
    file = item.path.relative_to(ROOT).as_posix()
    measuring = coverage.Coverage.current()
    if os.environ.get(CONTEXT) != file and measuring is not None:
        os.environ[CONTEXT] = file
        measuring.switch_context(file)
    return (yield)
