"""jetsocket.hot.keys_c as other machines have it: compiled for fewer vector instructions than this one knows.

    python -m tools.fuzzing.key_levels

builds them, under build/key_levels/; `built()` has those that are there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from ..variant import PROJECT

FOLDER = PROJECT / "build" / "key_levels"
VARIABLE = "JETSOCKET_KEY_LEVELS"
"""Names the folder to take them from, where it is another one: for processes that run in a copy of the project."""
# Sets of these that are kept.
KEPT = 3
NAME = "jetsocket.hot.keys_c"
FILE = Path(*NAME.split(".")).with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))

LEVELS = {
    "baseline": {"CFLAGS": "-DJETSOCKET_BASELINE"},
    "scalar": {"JETSOCKET_SCALAR": "1"},
}
"""What the compilation is told: no more than every machine of this kind has; no vector instructions at all."""


@cache
def built() -> dict[str, ModuleType]:
    """The modules that were built from the sources as they are, by level."""
    folder = Path(os.environ.get(VARIABLE) or _folder())
    return {level: _loaded(file) for level in LEVELS if (file := folder / level / FILE.name).exists()}


def build() -> Path:
    """Build what is missing; the folder. RuntimeError with the compiler's output where that fails."""
    folder = _folder()
    for level, environment in LEVELS.items():
        if not (folder / level / FILE.name).exists():
            _build(folder / level, environment)
    for old in sorted(FOLDER.iterdir(), key=lambda other: other.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)
    built.cache_clear()
    return folder


def _folder() -> Path:
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.platform}".encode())
    room = PROJECT / FILE.parent
    sources = sorted(file for file in room.iterdir() if file.suffix in (".pyx", ".pxd", ".h"))
    for file in [PROJECT / "setup.py", *sources]:
        digest.update(file.read_bytes())
    return FOLDER / digest.hexdigest()[:12]


def _build(folder: Path, environment: dict[str, str]) -> None:
    copy = folder.with_name(f"{folder.name}.{os.getpid()}")
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(PROJECT / "jetsocket", copy / "jetsocket", ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy2(PROJECT / name, copy)
    ours = {"JETSOCKET_EXTENSIONS": "require", "JETSOCKET_ONLY": "keys_c", "JETSOCKET_BUILD": "release"}
    try:
        done = subprocess.run(
            [sys.executable, "setup.py", "build_ext", "--inplace"],
            cwd=copy,
            env=os.environ | ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the level {folder.name} was not built:\n{done.stdout}")
        folder.mkdir(parents=True, exist_ok=True)
        (copy / FILE).replace(folder / FILE.name)
    finally:
        shutil.rmtree(copy)


def _loaded(file: Path) -> ModuleType:
    """The module of this file, beside the one that is imported by this name."""
    imported = import_module(NAME)
    spec = spec_from_loader(NAME, ExtensionFileLoader(NAME, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # Cython enters every module that it loads.
    sys.modules[NAME] = imported
    return module


if __name__ == "__main__":
    try:
        build()
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
    print("built:", ", ".join(f"{level} ({module.simd_level()})" for level, module in built().items()))
