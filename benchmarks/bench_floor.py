"""The floors: the least that the work of the other cases could cost, in C, in the same run. They have no twins.

`bounds.toml` says which case is held to which floor, and at how many times its cost.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.bench_keys import COUNT, SHAPES
from benchmarks.traffic import block, trades

SOURCE = Path(__file__).with_name("floor_split.c")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes, int], int]:
    """floor_split.c, compiled. A compiler that is missing is an error here, as it is for the compiled twin."""
    library = tmp_path_factory.mktemp("floor") / "floor_split.so"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    command = [*compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    function = ctypes.CDLL(str(library)).floor_split
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    function.restype = ctypes.c_size_t
    return function


@pytest.mark.parametrize("count", [1000, 1400])
def test_floor_split(benchmark: BenchmarkFixture, split: Callable[[bytes, int], int], count: int) -> None:
    """One read split into frames, each payload copied once."""
    data = block(count)[0]
    benchmark.group = f"floor: {count} messages split and copied, in C"
    assert benchmark(split, data, len(data)) == count


def test_floor_copy(benchmark: BenchmarkFixture) -> None:
    data = bytes(1024 * 1024)
    target = bytearray(data)
    view = memoryview(target)
    benchmark.group = "floor: 1 MiB copied"

    def copy() -> None:
        view[:] = data

    benchmark(copy)
    assert target == data


@pytest.mark.parametrize("shape", SHAPES)
def test_floor_find(benchmark: BenchmarkFixture, shape: str) -> None:
    """The texts in which the keys are looked for, searched for a byte that is not there."""
    wrap = SHAPES[shape][1]
    payloads = [wrap(payload) for payload in trades(COUNT)[0]]
    benchmark.group = f"floor: {COUNT} messages searched for a byte, {shape}"

    def find_all() -> list[int]:
        return [payload.find(b"\0") for payload in payloads]

    assert set(benchmark(find_all)) == {-1}
