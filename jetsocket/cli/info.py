"""`jetsocket info`: what runs here."""

from __future__ import annotations

import json
import os
import platform
import sys
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

import jetsocket
from jetsocket.hot import simd_level
from jetsocket.protocol.deflate import for_large_messages
from jetsocket.running import event_loop_name

from .connecting import option

_FOLDER = Path(jetsocket.__file__).resolve().parent


def _installed(package: str) -> str:
    """Its name and version, where it is installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"none (no {package})"


def _why_pure() -> str:
    """What `JETSOCKET_EXTENSIONS` says, or what the build has left behind: pip hides what it printed."""
    if os.environ.get("JETSOCKET_EXTENSIONS") == "off":
        return "JETSOCKET_EXTENSIONS=off"
    note = _FOLDER / "hot" / "why_pure.txt"
    if note.is_file():
        return "they could not be compiled: " + " ".join(note.read_text(encoding="utf-8").split())
    checkout = _FOLDER.parent
    # An installed package has no sources. Python that is started in a checkout imports it, whatever is installed.
    if (checkout / "setup.py").is_file() and any((_FOLDER / "hot").glob("*_c.pyx")):
        return f"a source checkout that is not built: python -m pip install --editable {checkout}"
    return "installed without the compiled modules"


def _inflate() -> str:
    """What inflates compressed messages."""
    small = f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    return f"{small} (no isal)" if for_large_messages() is zlib else f"{small}, {_installed('isal')} for large messages"


def facts() -> dict[str, str]:
    """One line each: the name and what there is."""
    json_decoder = _installed("msgspec")
    event_loop = event_loop_name()
    return {
        "jetsocket": jetsocket.__version__,
        "package": str(_FOLDER),
        "hot path": "compiled" if jetsocket.COMPILED else "pure Python",
        **({} if jetsocket.COMPILED else {"why pure": _why_pure()}),
        "SIMD": simd_level(),
        "event loop": _installed("uvloop") if event_loop == "uvloop" else event_loop,
        "JSON decoder": json_decoder if json_decoder.startswith("msgspec") else "json (standard library)",
        "inflate": _inflate(),
        "embedded exchange": _installed("picows"),
        "proxy support": _installed("python-socks"),
        "Python": f"{platform.python_version()} {platform.python_implementation()}, {sys.executable}",
        "platform": platform.platform(),
    }


@click.command(short_help="Tell what runs here.")
@option("--jsonl", is_flag=True, help="As one JSON object on one line.")
def info(jsonl: bool) -> int:
    """Tell what runs here: version, folder, compiled or pure, SIMD level, event loop, JSON decoder, inflate library."""
    found = facts()
    if jsonl:
        print(json.dumps(found))
    else:
        width = max(map(len, found))
        for name, value in found.items():
            print(f"{name:{width}}  {value}")
    return 0
