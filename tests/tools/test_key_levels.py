"""tools/key_levels.py: the compiled keys for fewer vector instructions, held to the same inputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_corpus_passes_at_every_level() -> None:
    """In a process of its own: this one may have made its keys already."""
    built = subprocess.run(
        [sys.executable, "-m", "tools.fuzzing.key_levels"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert "scalar (scalar)" in built.stdout
    code = (
        "from tools import fuzz_keys; from tools.fuzzing import key_levels\n"
        "from tools.fuzzing.corpus import committed\n"
        "assert set(key_levels.built()) == {'baseline', 'scalar'}\n"
        "inputs = [*fuzz_keys.seeds(), *(file.read_bytes() for file in committed('keys'))]\n"
        "for data in inputs: fuzz_keys.one_input(data)\n"
        "print(len(inputs))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "JETSOCKET_KEY_LEVELS"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300
