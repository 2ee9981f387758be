"""Building and installing the package, compiled, pure and with something in the way; then what an import makes of it.

Each build starts from a copy, so nothing here touches the checkout. The one real compilation serves the whole run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = sorted(path.stem for path in (ROOT / "jetsocket" / "hot").glob("*_c.pyx"))
NOT_COPIED = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    ".benchmarks",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    "*.so",
    "*.pyd",
)
# A compiler that fails. Microsoft's is found by other means than CC.
FALSE = shutil.which("false") or "false"
by_cc = pytest.mark.skipif(sys.platform == "win32", reason="CC does not choose the compiler on Windows")
# A compilation may take a minute or two on a small machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def python(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with the given variables, and none of ours or of the compiler's from outside."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("JETSOCKET_", "PIP_"))}
    clean.pop("PYTHONPATH", None)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=clean | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def build_wheel(source: Path, into: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    options = ["-v", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", into]
    return python("-m", "pip", "wheel", *options, source, cwd=source, **environment)


def unpack(wheel: Path, into: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


def compiled_modules(tree: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in tree.rglob("*") if path.suffix in {".so", ".pyd"})


def what_runs(installed: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-c", "from jetsocket.hot import COMPILED; print(COMPILED)", cwd=installed, **environment)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path / "source", ignore=NOT_COPIED))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    area = tmp_path_factory.mktemp("sdist")
    source = shutil.copytree(ROOT, area / "source", ignore=NOT_COPIED)
    done = python("-c", "import setuptools.build_meta as b; b.build_sdist('..')", cwd=source)
    assert done.returncode == 0, done.stderr
    (archive,) = area.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(area / "unpacked", filter="data")
    (tree,) = (area / "unpacked").iterdir()
    return tree


@pytest.fixture(scope="session")
def compiled_wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel compiled from the source distribution: if that lacks a file, this fails."""
    wheels = tmp_path_factory.mktemp("wheels")
    source = shutil.copytree(sdist, tmp_path_factory.mktemp("build") / "source")
    done = build_wheel(source, wheels, JETSOCKET_EXTENSIONS="require")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = wheels.glob("*.whl")
    return wheel


@pytest.fixture
def compiled(compiled_wheel: Path, tmp_path: Path) -> Path:
    return unpack(compiled_wheel, tmp_path / "installed")


def test_sdist_holds_every_tracked_file(sdist: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of files to compare with")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    held = {str(path.relative_to(sdist).as_posix()) for path in sdist.rglob("*") if path.is_file()}
    assert not tracked - held, "MANIFEST.in leaves these out"
    built = {name for name in held if name.endswith((".so", ".pyd", ".pyc")) or name.startswith(("build/", "dist/"))}
    assert not built, "MANIFEST.in lets these in"


def test_compiled_wheel_holds_what_runs_and_no_sources(compiled: Path) -> None:
    assert compiled_modules(compiled) == ROOMS
    suffixes = {path.suffix for path in (compiled / "jetsocket").rglob("*") if path.is_file()}
    assert suffixes <= {".py", ".so", ".pyd", ".typed"}
    assert (compiled / "jetsocket" / "py.typed").is_file()
    assert not (compiled / "tests").exists()


def test_compiled_wheel_is_small(compiled_wheel: Path) -> None:
    assert compiled_wheel.stat().st_size < 1_500_000


def test_compiled_package_runs_compiled(compiled: Path) -> None:
    assert what_runs(compiled).stdout == "True\n"
    assert what_runs(compiled, JETSOCKET_EXTENSIONS="require").stdout == "True\n"


def test_import_with_off_runs_pure(compiled: Path) -> None:
    assert what_runs(compiled, JETSOCKET_EXTENSIONS="off").stdout == "False\n"


@by_cc
def test_broken_compiler_falls_back_and_says_so(source: Path, tmp_path: Path) -> None:
    done = build_wheel(source, tmp_path, CC=FALSE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installing the pure-Python package instead" in done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    installed = unpack(wheel, tmp_path / "installed")
    assert compiled_modules(installed) == []
    assert FALSE in (installed / "jetsocket" / "hot" / "why_pure.txt").read_text(encoding="utf-8")
    told = python("-m", "jetsocket.cli", "info", cwd=installed).stdout
    assert "why pure           they could not be compiled: CompileError: Command" in told
    assert what_runs(installed).stdout == "False\n"
    required = what_runs(installed, JETSOCKET_EXTENSIONS="require")
    assert required.returncode != 0
    assert "ImportError" in required.stderr
    assert "JETSOCKET_EXTENSIONS=require" in required.stderr


@by_cc
def test_the_reason_of_an_earlier_failure_is_not_packed(source: Path, tmp_path: Path) -> None:
    for room in ROOMS:
        (source / "jetsocket" / "hot" / f"{room}.pyx").write_text("answer = 42\n", encoding="utf-8")
        (source / "jetsocket" / "hot" / f"{room}.pxd").unlink(missing_ok=True)
    assert build_wheel(source, tmp_path / "without", CC=FALSE).returncode == 0
    assert build_wheel(source, tmp_path / "with").returncode == 0
    (wheel,) = (tmp_path / "with").glob("*.whl")
    installed = unpack(wheel, tmp_path / "installed")
    assert compiled_modules(installed) == ROOMS
    assert not list(installed.rglob("why_pure.txt"))


def test_one_failing_module_leaves_none_behind(source: Path, tmp_path: Path) -> None:
    for room in ROOMS:
        (source / "jetsocket" / "hot" / f"{room}.pyx").write_text("answer = 42\n", encoding="utf-8")
    (source / "jetsocket" / "hot" / "zzz_c.pyx").write_text(
        "cdef extern from 'no_such.h':\n    int x\n", encoding="utf-8"
    )
    done = build_wheel(source, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert compiled_modules(unpack(wheel, tmp_path / "installed")) == []


@by_cc
def test_require_with_a_broken_compiler_fails(source: Path, tmp_path: Path) -> None:
    done = build_wheel(source, tmp_path, CC=FALSE, JETSOCKET_EXTENSIONS="require")
    assert done.returncode != 0
    assert not list(tmp_path.glob("*.whl"))


def test_off_compiles_nothing_and_fits_every_platform(source: Path, tmp_path: Path) -> None:
    done = build_wheel(source, tmp_path, JETSOCKET_EXTENSIONS="off")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "pure-Python package instead" not in done.stdout + done.stderr


@by_cc
def test_build_in_place_by_hand_never_falls_back(source: Path) -> None:
    done = python("setup.py", "-q", "build_ext", "--inplace", cwd=source, CC=FALSE)
    assert done.returncode != 0
    assert compiled_modules(source) == []


@by_cc
def test_editable_install_falls_back_and_removes_what_was_built_before(source: Path, tmp_path: Path) -> None:
    stale = source / "jetsocket" / "hot" / f"keys_c{EXTENSION_SUFFIXES[0]}"
    stale.write_bytes(b"from another day")
    build = f"import setuptools.build_meta as b; b.build_editable({str(tmp_path)!r})"
    done = python("-c", build, cwd=source, CC=FALSE)
    assert done.returncode == 0, done.stderr
    assert "installing the pure-Python package instead" in done.stderr
    assert compiled_modules(source) == []


def test_a_package_is_never_built_of_some_modules(source: Path, tmp_path: Path) -> None:
    done = build_wheel(source, tmp_path, JETSOCKET_ONLY="keys_c")
    assert done.returncode != 0
    assert "a package has all modules or none" in done.stdout + done.stderr


def test_build_refuses_an_unknown_choice(source: Path) -> None:
    done = python("setup.py", "--version", cwd=source, JETSOCKET_EXTENSIONS="never")
    assert done.returncode != 0
    assert "JETSOCKET_EXTENSIONS must be auto, require or off, got 'never'" in done.stderr


@pytest.mark.parametrize("choice", ["", "Strict", "asan", "strict,sanitize"])
def test_build_refuses_an_unknown_build(source: Path, choice: str) -> None:
    done = python("setup.py", "--version", cwd=source, JETSOCKET_BUILD=choice)
    assert done.returncode != 0
    assert "JETSOCKET_BUILD must be one of release, strict, sanitize, " in done.stderr
    assert f"got {choice!r}" in done.stderr


def test_a_package_is_never_built_for_finding_faults(source: Path, tmp_path: Path) -> None:
    done = build_wheel(source, tmp_path, JETSOCKET_BUILD="sanitize")
    assert done.returncode != 0
    assert "JETSOCKET_BUILD=sanitize is for building in place: it is not for use" in done.stdout + done.stderr


C_CODE = """
cdef extern from *:
    '''
    static int f(int x, {kind} y) {{ return {answer}; }}
    '''
    int f(int x, {kind} y)
f(1, 2)
"""
WARNED = {
    "local variable 'y' referenced before": "cdef int f():\n    cdef int y\n    return y\nf()\n",
    "Non-trivial type declarators": "cdef int* p, q\n",
    "-Werror=conversion": C_CODE.format(kind="long", answer="y"),
    "-Werror=sign-compare": C_CODE.format(kind="unsigned", answer="x < y"),
    "-Werror=unused-parameter": C_CODE.format(kind="int", answer="x"),
}


@by_cc
@pytest.mark.parametrize("said", WARNED)
def test_in_the_strict_build_every_warning_is_an_error(source: Path, said: str) -> None:
    (source / "jetsocket" / "hot" / "zzz_c.pyx").write_text(f"# cython: language_level=3\n{WARNED[said]}")
    done = python("setup.py", "build_ext", "--inplace", cwd=source, JETSOCKET_BUILD="strict", JETSOCKET_ONLY="zzz_c")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_import_refuses_an_unknown_choice(compiled: Path) -> None:
    done = what_runs(compiled, JETSOCKET_EXTENSIONS="never")
    assert done.returncode != 0
    assert "JETSOCKET_EXTENSIONS must be auto, require or off, got 'never'" in done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_import_with_one_module_missing_takes_none_or_raises(compiled: Path, room: str) -> None:
    (module,) = (path for path in (compiled / "jetsocket" / "hot").glob(f"{room}.*") if path.suffix in {".so", ".pyd"})
    module.unlink()
    assert what_runs(compiled).stdout == "False\n"
    required = what_runs(compiled, JETSOCKET_EXTENSIONS="require")
    assert required.returncode != 0
    assert room in required.stderr


@pytest.mark.parametrize("choice", ["auto", "require"])
def test_import_of_a_broken_module_shows_its_error(compiled: Path, choice: str) -> None:
    (module,) = (path for path in (compiled / "jetsocket" / "hot").glob("keys_c.*") if path.suffix in {".so", ".pyd"})
    module.write_bytes(b"not a shared library")
    done = what_runs(compiled, JETSOCKET_EXTENSIONS=choice)
    assert done.returncode != 0
    assert module.name in done.stderr
    assert what_runs(compiled, JETSOCKET_EXTENSIONS="off").stdout == "False\n"
