"""A copy of the project with its modules compiled for finding faults: sanitized, with coverage, or for fuzzing.

    python -m tools.variant sanitize FOLDER

`setup.py` says what the builds are (JETSOCKET_BUILD). The tree itself stays as it is. What was compiled is kept under
build/variants/ by what it was compiled from, so that the next copy takes a second.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COMPILED = PROJECT / "build" / "variants"
ROOM = Path("jetsocket", "hot")
COPIED = ("jetsocket", "tests", "tools", "benchmarks", "setup.py", "pyproject.toml", "README.md")
# Sets of compiled modules that are kept, of each build.
KEPT = 3
# What else the compiler's output depends on.
SHAPING = ("CC", "CFLAGS", "LDFLAGS", "JETSOCKET_SCALAR")


def variant(build: str, folder: Path) -> None:
    """Copy the project into `folder` (made new) with the modules compiled as `build`; to be run from there.

    Raises RuntimeError with the compiler's output where it cannot be built.
    """
    modules = compiled(build)
    if folder.exists():
        shutil.rmtree(folder)
    for name in COPIED:
        _copy(PROJECT / name, folder / name)
    for module in (modules / ROOM).glob("*" + sysconfig.get_config_var("EXT_SUFFIX")):
        shutil.copy2(module, folder / ROOM)
    if build == "coverage":
        # In them the Cython plugin of coverage.py finds which lines have code, and it looks beside the modules.
        for source in modules.glob(f"build/temp.*/{ROOM.as_posix()}/*_c.c"):
            shutil.copy2(source, folder / ROOM)


def compiled(build: str) -> Path:
    """The project's package and setup.py, compiled in place as `build`, with the generated C and the objects.

    Raises RuntimeError with the compiler's output where it cannot be built.
    """
    COMPILED.mkdir(parents=True, exist_ok=True)
    with (COMPILED / f"{build}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = COMPILED / f"{build}-{fingerprint()}"
        if not folder.exists():
            _compile(build, folder)
            copies = sorted(COMPILED.glob(f"{build}-*"), key=lambda copy: copy.stat().st_mtime, reverse=True)
            for old in copies[KEPT:]:
                shutil.rmtree(old)
        os.utime(folder)
    return folder


def fingerprint() -> str:
    """Names what the modules are compiled from, and for which Python."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.platform}".encode())
    digest.update(repr([os.environ.get(name) for name in SHAPING]).encode())
    sources = [path for path in sorted((PROJECT / ROOM).iterdir()) if path.suffix in (".pyx", ".pxd", ".h")]
    for file in [PROJECT / "setup.py", *sources]:
        content = file.read_bytes()
        digest.update(f"\0{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _compile(build: str, folder: Path) -> None:
    # Under its own name from the start: objects and what gcov writes know their folder.
    for name in ("jetsocket", "setup.py", "pyproject.toml", "README.md"):
        _copy(PROJECT / name, folder / name)
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=folder,
        env=os.environ | {"JETSOCKET_BUILD": build, "JETSOCKET_EXTENSIONS": "require"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(folder)
        raise RuntimeError(f"the build {build!r} failed with {done.returncode}:\n{done.stdout}")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    else:
        shutil.copy2(source, target)


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m tools.variant strict|sanitize|fuzz|fuzz_sanitize|coverage FOLDER")
    try:
        variant(sys.argv[1], Path(sys.argv[2]))
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
