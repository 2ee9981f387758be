"""Builds the compiled rooms, jetsocket/hot/*_c.pyx; everything else about the package is in pyproject.toml.

The environment variable JETSOCKET_EXTENSIONS decides, as it does at import:

- ``auto`` (default): compile; where that fails, install the pure-Python package and say so. It is all or nothing: one
  failed module and none is installed. A build in place by hand (``setup.py build_ext --inplace``) is asked for the
  compiled modules and nothing else, so there a failure is an error.
- ``require``: a failure ends the build.
- ``off``: nothing is compiled, and the wheel fits every platform.

For development: JETSOCKET_ONLY=keys_c,ring_c compiles those modules alone (in place only: an installed package has all
or none), JETSOCKET_SCALAR=1 compiles without vector instructions, to test the scalar paths. JETSOCKET_BUILD=NAME, with
gcc or clang and in place only, is one of BUILDS below: for finding faults, not for use.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOM = Path("jetsocket", "hot")
DIRECTIVES = {"language_level": 3, "freethreading_compatible": True}

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
# Extensions are compiled as Python itself was, with -fwrapv or what implies it: no signed overflow would be reported.
SANITIZE += ["-fstrict-overflow", "-fno-wrapv"]

# Each module with a copy of UndefinedBehaviorSanitizer to itself: gcc's shared one mistakes functions of
# AddressSanitizer for its own, and does not write its reports where `log_path` says. In clang both are one library.
COMPILER = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
OWN_UBSAN = [] if "clang" in COMPILER else ["-static-libubsan", "-Wl,--exclude-libs,libubsan.a"]

GUIDED = ["-fsanitize-coverage=trace-pc,trace-cmp"]

STRICT = ["-O2", "-Wall", "-Wextra", "-Wconversion", "-Wsign-compare", "-Wpointer-arith", "-Wvla", "-Werror"]

# What a compiler and a linker of the GNU kind are told, and Cython's directives beside the usual ones.
# `tools/variant.py` makes each of them.
BUILDS: dict[str, tuple[list[str], list[str], dict[str, bool]]] = {
    "release": (
        ["-O3", "-g0", "-Wall", "-Wextra"],
        ["-Wl,--strip-all"] if sys.platform.startswith("linux") else [],
        {},
    ),
    # Every warning is an error, Cython's too; Python's own headers are taken as the system's, which may warn.
    "strict": (
        [*STRICT, "-isystem", sysconfig.get_path("include")],
        [],
        {"warn.maybe_uninitialized": True, "warn.multiple_declarators": True},
    ),
    # AddressSanitizer and UndefinedBehaviorSanitizer.
    "sanitize": (["-O1", "-g", *SANITIZE], [*SANITIZE, *OWN_UBSAN], {}),
    # Calls out in every basic block and at every comparison, for a fuzzer that is guided by coverage.
    "fuzz": (["-O2", "-g", *GUIDED], [], {}),
    "fuzz_sanitize": (["-O1", "-g", *SANITIZE, *GUIDED], [*SANITIZE, *OWN_UBSAN], {}),
    # Line coverage: of the .pyx files by Cython's line tracing, of the headers by gcov.
    "coverage": (
        ["-O0", "-g", "--coverage", "-DCYTHON_TRACE=1", "-DCYTHON_TRACE_NOGIL=1"],
        ["--coverage"],
        {"linetrace": True},
    ),
    # Of the headers alone, as a machine without AVX2 runs them, and as one without vector instructions does.
    "gcov_baseline": (["-O0", "-g", "--coverage", "-DJETSOCKET_BASELINE"], ["--coverage"], {}),
    "gcov_scalar": (["-O0", "-g", "--coverage", "-DJETSOCKET_SCALAR"], ["--coverage"], {}),
}

# Where a fallback leaves its reason, for `jetsocket info`: pip hides the output of a build that succeeded.
NOTE = "why_pure.txt"


def extensions_mode() -> str:
    mode = os.environ.get("JETSOCKET_EXTENSIONS", "auto")
    if mode not in ("auto", "require", "off"):
        raise SystemExit(f"JETSOCKET_EXTENSIONS must be auto, require or off, got {mode!r}")
    return mode


def build_name() -> str:
    name = os.environ.get("JETSOCKET_BUILD", "release")
    if name not in BUILDS:
        raise SystemExit(f"JETSOCKET_BUILD must be one of {', '.join(BUILDS)}, got {name!r}")
    return name


def extensions() -> list[Extension]:
    """One extension a .pyx file, rebuilt whenever any header or declaration file changes."""
    shared = sorted(str(path) for pattern in ("*.h", "*.pxd") for path in ROOM.glob(pattern))
    return [
        Extension(f"jetsocket.hot.{path.stem}", [str(path)], depends=shared, include_dirs=[str(ROOM)])
        for path in sorted(ROOM.glob("*_c.pyx"))
    ]


class BuildExtensions(build_ext):
    """Translates and compiles all extensions, or none."""

    by_hand = False

    def initialize_options(self) -> None:
        super().initialize_options()
        # For Cython, whose command lies under setuptools' own. C files go beside the objects: a build leaves no
        # generated file in the source tree, and builds for several Pythons cannot mix theirs up.
        self.cython_directives = DIRECTIVES | BUILDS[BUILD][2]
        self.cython_c_in_temp = True
        # Warnings and sanitizers then name the line that we wrote.
        self.cython_line_directives = BUILD in ("strict", "sanitize", "fuzz_sanitize")

    def run(self) -> None:
        # What an earlier build in this tree has left there is not true of this one.
        Path(self.build_lib, ROOM, NOTE).unlink(missing_ok=True)
        # An editable install builds in place too, but may fall back.
        self.by_hand = bool(self.inplace) and not self.editable_mode
        if only := [name for name in os.environ.get("JETSOCKET_ONLY", "").split(",") if name]:
            if not self.by_hand:
                raise SystemExit("JETSOCKET_ONLY is for building in place: a package has all modules or none")
            self.extensions = [extension for extension in self.extensions if extension.name.split(".")[-1] in only]
        if BUILD != "release" and not self.by_hand:
            raise SystemExit(f"JETSOCKET_BUILD={BUILD} is for building in place: it is not for use")
        try:
            super().run()
        except Exception as error:
            # Whatever went wrong (no compiler, no headers, no Cython, a compiler's own bug) has the same remedy.
            if MODE == "require" or self.by_hand:
                raise
            self.fall_back(error)

    def build_extensions(self) -> None:
        import_module("Cython.Build")  # setuptools does without it, and fails later over a C file that is not there
        if BUILD == "strict":
            import_module("Cython.Compiler.Options").warning_errors = True
        msvc = self.compiler.compiler_type == "msvc"
        macros = [("JETSOCKET_SCALAR", "1")] if os.environ.get("JETSOCKET_SCALAR", "0") == "1" else []
        for extension in self.extensions:
            extension.define_macros = macros
            extension.extra_compile_args = ["/O2", "/std:c11"] if msvc else list(BUILDS[BUILD][0])
            extension.extra_link_args = [] if msvc else list(BUILDS[BUILD][1])
        super().build_extensions()

    def fall_back(self, error: Exception) -> None:
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            inplace, regular = self._get_inplace_equivalent(self.get_finalized_command("build_py"), extension)
            Path(regular).unlink(missing_ok=True)
            if self.editable_mode:
                Path(inplace).unlink(missing_ok=True)
        self.extensions.clear()
        self.distribution.ext_modules = []
        reason = f"{type(error).__name__}: {error}".strip()
        if not self.editable_mode:
            note = Path(self.build_lib, ROOM, NOTE)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(reason + "\n", encoding="utf-8")
        stars = "*" * 100
        sys.stderr.write(
            f"\n{stars}\n"
            "JetSocket's compiled modules could not be built; installing the pure-Python package instead.\n"
            f"It behaves the same and is many times slower. The reason:\n  {reason}\n"
            "A C compiler and Python's headers are needed. JETSOCKET_EXTENSIONS=require makes this an error,\n"
            f"JETSOCKET_EXTENSIONS=off leaves the attempt out.\n{stars}\n\n"
        )


class BuildWheel(bdist_wheel):
    """Compiles first, so that a build that fell back is packed and tagged as what it is: pure Python."""

    def run(self) -> None:
        if self.distribution.has_ext_modules():
            self.run_command("build_ext")
            self.root_is_pure = not self.distribution.has_ext_modules()
        super().run()


MODE = extensions_mode()
BUILD = build_name()
setup(
    ext_modules=[] if MODE == "off" else extensions(),
    cmdclass={"build_ext": BuildExtensions, "bdist_wheel": BuildWheel},
)
