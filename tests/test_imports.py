"""Which module may import which, and what `import jetsocket` costs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jetsocket"

# errors <- hot <- protocol <- link <- websocket <- multiplex; the rest where its own imports put it.
LAYERS = {
    "version": 0,
    "errors": 0,
    "hot": 1,
    "stats": 2,
    "protocol": 2,
    "occurrences": 2,
    "decoding": 3,
    "events": 3,
    "extraction": 3,
    "options": 3,
    "reporting": 3,
    "running": 3,
    # Whether data come, and whether the loop runs: for `watching`.
    "blocker": 3,
    "liveness": 3,
    # `link` is eight modules: getting through a proxy, to one address of several, whom to trust, getting connected and
    # upgraded, being connected, when to read, whether the server lives. And two that it asks: how fast may be sent,
    # where to connect to.
    "proxying": 4,
    "racing": 4,
    "trust": 4,
    "upgrading": 4,
    "dial": 4,
    "reading": 4,
    "heartbeat": 4,
    "link": 4,
    "outgoing": 4,
    "target": 4,
    # What a subscription is kept on, and how an exchange talks.
    "terms": 4,
    "venue": 4,
    "wishes": 5,
    "meter": 5,
    "connectivity": 5,
    "attempts": 5,
    "session": 5,
    "subscription": 5,
    "gaps": 5,
    "early": 6,
    "asking": 6,
    "unrouted": 6,
    "first_data": 6,
    "greeting": 5,
    "requests": 5,
    "pausing": 5,
    "routes": 5,
    "watching": 5,
    "arguments": 6,
    "batches": 6,
    "channel": 6,
    "client": 6,
    "replies": 6,
    "standing": 6,
    "reconciler": 6,
    "interruptions": 6,
    "registry": 6,
    "websocket": 6,
    # The parts of `multiplex`.
    "conversation": 7,
    "subscribing": 7,
    "strays": 7,
    "wiring": 7,
    "offers": 8,
    "multiplex": 9,
    "__init__": 10,
    "exchanges": 11,
    "testing": 12,
    "cli": 13,
}
WAITING = {"asyncio", "logging", "select", "selectors", "socket", "ssl", "threading", "time"}
MODULES = sorted(PACKAGE.rglob("*.py"))
# Delivery to tasks: the one place of the hot rooms that knows asyncio.
DELIVERY = {PACKAGE / "hot" / f"{name}_py.py" for name in ("stream", "taking", "waiting")}


def layer_name(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path: Path) -> list[str]:
    """The absolute dotted names that a module imports, in functions and under TYPE_CHECKING too."""
    package = ["jetsocket", *path.relative_to(PACKAGE).parts[:-1]]
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + ([node.module] if node.module else [])
            # `from package import name` may name a module or a thing in it: only the package level counts here.
            names += [".".join([*base, alias.name]) for alias in node.names]
    return names


def layers_imported(path: Path) -> set[str]:
    """The layers of our own that a module imports; "__init__" where it uses the public names."""
    found = set()
    for name in imported_names(path):
        first, _, rest = name.partition(".")
        if first == "jetsocket":
            layer = rest.split(".")[0]
            found.add(layer if layer in LAYERS else "__init__")
    return found - {layer_name(path)}


def test_every_module_has_its_layer() -> None:
    unknown = {layer_name(path) for path in MODULES} - set(LAYERS)
    assert not unknown, "say in LAYERS where these stand"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = layer_name(path)
    upward = {layer for layer in layers_imported(path) if LAYERS[layer] > LAYERS.get(own, 0)}
    assert not upward, f"{own} must not import {upward}"


SANS_IO = [path for path in MODULES if layer_name(path) in {"errors", "hot", "protocol"} and path not in DELIVERY]


@pytest.mark.parametrize("path", SANS_IO, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_below_the_link_nothing_waits_or_reads_a_clock_or_logs(path: Path) -> None:
    used = {name.split(".")[0] for name in imported_names(path)} & WAITING
    assert not used, f"{path.name} imports {used}"


def in_fresh_python(code: str) -> str:
    # With compiled bytecode, as after an installation, also where the surroundings forbid to write it.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_import_brings_in_no_extra_and_nothing_heavy() -> None:
    extras = {"click", "picows", "pydantic", "python_socks", "rich", "uvloop"}
    heavy = {"cryptography", "importlib.metadata", "isal", "multiprocessing", "numpy", "setuptools", "unittest"}
    loaded = set(json.loads(in_fresh_python("import json, sys, jetsocket; print(json.dumps(list(sys.modules)))")))
    assert not loaded & (extras | heavy)


def test_import_takes_under_50_ms_beyond_asyncio() -> None:
    code = """
import asyncio, ssl, time
start = time.process_time()
import jetsocket
print(time.process_time() - start)
"""
    # CPU time, and once is enough: other processes' work and a cold disk are not the package's.
    taken = []
    while len(taken) < 30 and not (taken and min(taken) < 0.050):
        taken.append(float(in_fresh_python(code)))
    assert min(taken) < 0.050, sorted(taken)
