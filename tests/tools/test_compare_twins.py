"""tools/compare_twins.py: the gate on a benchmark report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def compare(directory: Path, **seconds: float) -> subprocess.CompletedProcess[str]:
    cases = [{"name": f"test_case[{twin}-100]", "stats": {"min": least}} for twin, least in seconds.items()]
    report = directory / "report.json"
    report.write_text(json.dumps({"benchmarks": cases}), encoding="utf-8")
    command = [sys.executable, "-m", "tools.compare_twins", str(report)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_faster_compiled_passes(tmp_path: Path) -> None:
    done = compare(tmp_path, compiled=0.001, pure=0.02)
    assert done.returncode == 0
    assert "20.0 x  test_case[*-100]" in done.stdout


def test_slower_compiled_fails(tmp_path: Path) -> None:
    done = compare(tmp_path, compiled=0.02, pure=0.001)
    assert done.returncode == 1
    assert "SLOWER COMPILED" in done.stdout


def test_nothing_to_compare_fails(tmp_path: Path) -> None:
    assert compare(tmp_path, compiled=0.02).returncode == 1
