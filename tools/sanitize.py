"""Runs tests with the compiled modules under AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer.

    python -m tools.sanitize                  the conformance suite, the protocol's tests, and the fuzzers' corpora
    python -m tools.sanitize ARGUMENT...      pytest with these arguments instead

The tests run in a copy of the project whose modules are compiled with the sanitizers of gcc. Python's own objects come
from malloc there, so that what is read past their end is seen too. It fails when a test fails, or when there is any
report: the sanitizers write theirs to files of their own, which no test can capture or swallow.

A leak is reported when it was allocated by our modules, or when it is one of so many that one of them must have lost
the references; the interpreter loses a few blocks itself. Where LeakSanitizer does not work (it needs ptrace), that is
said, and the rest is done.

JETSOCKET_SCALAR=1 does all this with the scalar code paths. What the tests below leave out, and why, is EXCLUDED. The
exit code is 77, with the reason, where the compiler has no sanitizers.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.recordings import RECORDINGS

from .variant import PROJECT, variant

SKIPPED = 77
EXCLUDED = {
    "pure": "nothing of it is compiled",
    "test_out_of_memory_raises": "limits the address space, of which the sanitizers reserve terabytes",
    "test_every_allocation": "replaces malloc, as AddressSanitizer does",
    "resident": "freed memory is kept for a while, so that its use is noticed",
    "test_nothing_is_read_beyond_the_message": "makes objects at odd addresses by hand, which is undefined indeed",
    "test_every_short_text": "takes half a minute, most of it in the pure twin; the corpora hold such texts",
    "test_every_short_ending": "as above",
    "test_valid_json": "as above, and test_any_bytes goes through the like",
    "test_what_stands_behind": "as above",
    "long_queue": "measures how long a turn of the event loop takes",
}
# Blocks from one place that nobody refers to. Those that the interpreter loses are ten or so; a test that repeats an
# operation to see what it keeps repeats it a thousand times.
MANY = 500
ADDRESS = {
    "halt_on_error": "1",
    "exitcode": "86",
    "detect_stack_use_after_return": "1",
    "strict_string_checks": "1",
    # As without sanitizers: MemoryError.
    "allocator_may_return_null": "1",
    # pytest would put its own handler in the place of this one.
    "handle_segv": "2",
    "handle_sigbus": "2",
    "handle_sigfpe": "2",
    "malloc_context_size": "12",
}
PROBE = """
import ctypes
from jetsocket.hot import frames_c, frames_out_c, group_c, group_stream_c, keys_c, latest_c, receiving_c, ring_c
from jetsocket.hot import router_c, sieve_c, stream_c, taking_c, waiting_c, watch_c
import tools.leaks

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.__asan_address_is_poisoned.argtypes = [ctypes.c_void_p]
assert libc.__asan_address_is_poisoned(libc.malloc(8) + 8), "AddressSanitizer does not watch malloc"
ctypes.CDLL(ring_c.__file__).__asan_init
"""


class Unavailable(Exception):
    """There are no sanitizers here; says why."""


def runtime() -> Path:
    """The library of AddressSanitizer that belongs to the compiler. Raises Unavailable."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "")
    if not sys.platform.startswith("linux") or not compiler or "clang" in compiler[0]:
        raise Unavailable("it takes gcc, on Linux")
    try:
        said = subprocess.run([*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"the compiler does not run: {error}") from error
    library = Path(said.stdout.strip())
    # A name without a folder means that there is none.
    if not library.is_absolute():
        raise Unavailable(f"{compiler[0]} has no libasan.so")
    return library


def environment(reports: Path, *, leaks: bool) -> dict[str, str]:
    """What a Python under the sanitizers is started with; `reports` is the folder for what they find."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JETSOCKET_")}
    options = ADDRESS | {"detect_leaks": str(int(leaks)), "log_path": str(reports / "address")}
    return kept | {
        "LD_PRELOAD": str(runtime()),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": ":".join(f"{name}={value}" for name, value in options.items()),
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:log_path={reports / 'undefined'}",
        # See tools/leaks.py.
        "LSAN_OPTIONS": "leak_check_at_exit=0:max_leaks=0",
        "JETSOCKET_EXTENSIONS": "require",
        # The folder of a copy has none beside it.
        "JETSOCKET_RECORDINGS": str(RECORDINGS),
    }


def finds_leaks(folder: Path) -> bool:
    """Whether LeakSanitizer works here. Raises RuntimeError where the others do not watch the modules in `folder`."""
    for leaks, script in ((False, PROBE), (True, PROBE + "tools.leaks.look()\n")):
        with tempfile.TemporaryDirectory() as reports:
            tried = subprocess.run(
                [sys.executable, "-c", script],
                cwd=folder,
                env=environment(Path(reports), leaks=leaks),
                capture_output=True,
                text=True,
                check=False,
            )
        if tried.returncode and not leaks:
            raise RuntimeError(f"the sanitizers do not run:\n{tried.stdout}{tried.stderr}")
    return not tried.returncode


def run(folder: Path, arguments: Sequence[str], *, leaks: bool) -> list[str]:
    """Run pytest in `folder`, a copy of the project that is compiled so; what was found, nothing where all is well."""
    with tempfile.TemporaryDirectory() as reports:
        command = [sys.executable, "-m", "pytest", "--override-ini=timeout=300", "-p", "no:cacheprovider"]
        # Without deadlines, and with the same examples every time.
        command.append("--hypothesis-profile=ci")
        if leaks:
            command += ["-p", "tools.leaks"]
        done = subprocess.run(
            [*command, *arguments], cwd=folder, env=environment(Path(reports), leaks=leaks), check=False
        )
        found = [judged(path.read_text(errors="replace")) for path in sorted(Path(reports).iterdir())]
    problems = [problem for problem in found if problem]
    if done.returncode:
        problems.append(f"pytest ended with {done.returncode}: {shlex.join(arguments)}\n")
    return problems


def judged(report: str) -> str:
    """What counts of a report: all of it, but of leaks only those that are ours."""
    if "LeakSanitizer: detected memory leaks" not in report:
        return report
    leaks = re.split(r"\n(?=(?:Direct|Indirect) leak of \d+ byte)", report)[1:]
    ours = [leak for leak in leaks if "jetsocket/hot/" in leak or int(leak.split(" in ")[1].split()[0]) >= MANY]
    return "\n".join(ours)


def plan() -> list[list[str]]:
    """The arguments of the runs that are made when none are given."""
    corpora = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "tests" / "tools").glob("test_fuzz_*.py"))
    runs = [["--quiet", "tests/conformance", "tests/protocol", "-k", f"not ({' or '.join(EXCLUDED)})"]]
    if corpora:
        runs.append(["--quiet", *corpora, "-k", "corpus"])
    return runs


def main(arguments: Sequence[str]) -> int:
    """See above; returns the exit code."""
    try:
        runtime()
    except Unavailable as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    problems = []
    with tempfile.TemporaryDirectory() as area:
        folder = Path(area) / "project"
        variant("sanitize", folder)
        leaks = finds_leaks(folder)
        if not leaks:
            print("LeakSanitizer does not run here: leaks are not looked for", flush=True)
        for chosen in [list(arguments)] if arguments else plan():
            problems += run(folder, chosen, leaks=leaks)
    print("".join(f"\n{problem}" for problem in problems) or "\nno report of any sanitizer")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
