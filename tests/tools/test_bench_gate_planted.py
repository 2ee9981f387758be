"""The gate sees slowdowns that are planted in a copy of the project, by the instructions of its own benchmarks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.variant import variant

from .gating import line
from .planting import planted, python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed"),
]

# One that each bug slows down, and one that neither touches.
COUNTED = """
[instructions]
cases = ["test_overflow[compiled]", "test_route_one_read[compiled-100-channels]", "test_apply_mask[compiled]"]
"""


def gate(tree: Path, area: Path, *arguments: str) -> tuple[int, str]:
    """Count what the modules in `tree` do; the exit code, and what was printed."""
    bounds = area / "bounds.toml"
    bounds.write_text(COUNTED, encoding="utf-8")
    command = ("-m", "tools.bench_gate", "--count", "--all", "--bounds", bounds, *arguments)
    done = python(*command, cwd=tree, JETSOCKET_EXTENSIONS="require")
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def area(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a baseline: what the project does as it is."""
    area = tmp_path_factory.mktemp("gate")
    variant("release", area / "sound")
    status, printed = gate(area / "sound", area, "--update")
    assert status == 0, printed
    # Another copy of the same does the same: it is not the folder that makes the difference.
    shutil.copytree(area / "sound", area / "again")
    status, printed = gate(area / "again", area)
    assert status == 0, printed
    return area


def test_a_copy_too_many_is_seen(area: Path) -> None:
    tree = planted(
        area / "copying",
        "jetsocket/hot/ring.h",
        "memcpy(payload + tag_size, span->data, span->length)",
        "memcpy(payload + tag_size, memcpy(malloc(length + 1), span->data, span->length), span->length)",
        only="ring_c,router_c",
        build="release",
    )
    status, printed = gate(tree, area)
    assert status == 1, printed
    assert line(printed, "test_overflow[compiled]").endswith("SLOWER")
    assert line(printed, "test_route_one_read[compiled-100-channels]").endswith("SLOWER")
    assert line(printed, "test_apply_mask[compiled]").endswith("ok")


def test_a_lookup_that_became_linear_is_seen(area: Path) -> None:
    """Every name is looked for, and put, from the table's first slot on."""
    tree = planted(
        area / "linear",
        "jetsocket/hot/router_table.h",
        "size_t at = (size_t)sought->hash & router->mask;",
        "size_t at = 0;",
        only="router_c",
        build="release",
    )
    status, printed = gate(tree, area)
    assert status == 1, printed
    assert line(printed, "test_route_one_read[compiled-100-channels]").endswith("SLOWER")
    assert line(printed, "test_overflow[compiled]").endswith("ok")
    assert line(printed, "test_apply_mask[compiled]").endswith("ok")
