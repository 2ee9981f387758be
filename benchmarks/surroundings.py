"""What the figures depend on beside the code: the machine, and the versions of what ran."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

COMPARED = ("aiohttp", "aiofastnet", "Cython", "msgspec", "orjson", "picows", "uvloop", "websocket-rs", "websockets")


def processor() -> str:
    """The model's name, as the kernel has it."""
    try:
        found = re.search(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return " ".join((found[1] if found else platform.processor() or platform.machine()).split())


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def surroundings() -> dict[str, Any]:
    """For the JSON."""
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in COMPARED if (found := installed(name)) is not None},
    }


def sentence() -> str:
    """For README."""
    here = surroundings()
    packages = ", ".join(f"{name} {version}" for name, version in here["packages"].items())
    return f"{here['processor']} ({here['processors']} processors), {here['kernel']}, {here['python']}; {packages}."
