from __future__ import annotations

import json

import jetsocket
from jetsocket.hot import simd_level

from .conftest import run


def test_what_runs_is_told() -> None:
    done = run("info")
    assert (done.code, done.err) == (0, "")
    told = dict(line.split("  ", 1) for line in done.out.splitlines())
    facts = {name: value.strip() for name, value in told.items()}
    assert facts["jetsocket"] == jetsocket.__version__
    assert facts["hot path"] == ("compiled" if jetsocket.COMPILED else "pure Python")
    assert facts["SIMD"] == simd_level()
    assert {"event loop", "JSON decoder", "Python", "platform"} <= facts.keys()


def test_the_pure_twin_says_so() -> None:
    facts = json.loads(run("info", "--jsonl", JETSOCKET_EXTENSIONS="off").out)
    assert facts["hot path"] == "pure Python"
    assert facts["why pure"] == "JETSOCKET_EXTENSIONS=off"
