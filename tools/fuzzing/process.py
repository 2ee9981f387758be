"""A fuzzing process: how it is built, started, watched and ended."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ..variant import PROJECT

WORK = Path("build", "fuzz")
SOURCE = Path(__file__).with_name("edges.c")
# A line of libFuzzer's about its progress.
PROGRESS = re.compile(r"#(\d+)\t.*?cov: (\d+).*? corp: (\d+)/")
# Seconds between the lines that are shown of those.
PAUSE = 15.0
FIRST_PAUSE = 2.0
FAILURES = ("crash-", "timeout-", "oom-", "leak-")
# What libFuzzer, AddressSanitizer or Python says first of a failure.
FAILED = re.compile(r" === Uncaught |.*\bERROR: |.*: runtime error: ")
SHOWN_LINES = 40


class FuzzerError(Exception):
    """The fuzzer itself did not work."""


def edges_library() -> Path:
    """edges.c, compiled. Raises FuzzerError with the compiler's output."""
    folder = PROJECT / WORK
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"edges-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}.so"
    if not library.exists():
        made = library.with_suffix(f".{os.getpid()}")
        command = [*compiler(), "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", str(SOURCE), "-o", str(made)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise FuzzerError(f"{shlex.join(command)} failed with {done.returncode}:\n{done.stdout}")
        made.replace(library)
    return library


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def sanitizers() -> dict[str, str]:
    """The environment in which modules with AddressSanitizer can be loaded. Raises FuzzerError."""
    done = subprocess.run([*compiler(), "-print-file-name=libasan.so"], stdout=subprocess.PIPE, text=True, check=False)
    library = Path(done.stdout.strip())
    if not library.is_absolute():
        raise FuzzerError(f"{compiler()[0]} has no libasan.so: AddressSanitizer's runtime, which comes with gcc")
    return {
        "LD_PRELOAD": str(library.resolve()),
        # Python's own leaks are none of ours; and only with malloc() is an overrun of a Python object seen.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:quarantine_size_mb=64",
        "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
        "PYTHONMALLOC": "malloc",
    }


def child(module: str, instrument: Sequence[str], program: str | None) -> list[str]:
    """The command that runs a fuzzer in a tree that is compiled for it; libFuzzer's arguments follow.

    `program` is what libFuzzer is to call itself. With None no fuzzing, and files follow.
    """
    command = [sys.executable, "-m", "tools.fuzzing.child", "--edges", str(edges_library()), "--target", module]
    for name in instrument:
        command += ["--instrument", name]
    return command if program is None else [*command, "--fuzz", program]


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """For one run at a time. Raises FuzzerError where another works in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FuzzerError(f"another run works in {folder}") from None
        yield


@dataclass
class Run:
    """One run of libFuzzer in `folder`, which holds its corpus, its log and what it finds."""

    folder: Path
    executions: int = 0
    covered: int = 0
    kept: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    status: int = 0
    interrupted: bool = False
    told: list[str] = field(default_factory=list)
    failing: bool = False

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    @property
    def findings(self) -> list[Path]:
        return sorted(path for path in (self.folder / "found").iterdir() if path.name.startswith(FAILURES))

    def prepare(self) -> None:
        """Empty folders."""
        for name in ("corpus", "found"):
            if (self.folder / name).exists():
                shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir(parents=True)

    def run(self, command: Sequence[str], tree: Path, environment: dict[str, str]) -> None:
        """Run until it ends; Ctrl-C ends it early. Shows its progress, and all else that it says."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.monotonic()
        # In a session of its own: a Ctrl-C at the terminal is for us, who pass it on.
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            if self.interrupted:
                process.kill()
            self.interrupted = True
            process.send_signal(signal.SIGINT)

        before_us = signal.signal(signal.SIGINT, stop)
        try:
            self._watch(process, started)
        finally:
            signal.signal(signal.SIGINT, before_us)
            if process.poll() is None:
                process.kill()
            self.status = process.wait()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.seconds = time.monotonic() - started
            self.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _watch(self, process: subprocess.Popen[str], started: float) -> None:
        due = started + FIRST_PAUSE
        assert process.stdout is not None
        with process.stdout, (self.folder / "log").open("w", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                now = time.monotonic()
                if self._note(line) and now >= due:
                    due = now + PAUSE
                    print(f"{now - started:8.0f} s  {self.progress(now - started)}", flush=True)

    def _note(self, line: str) -> bool:
        """Whether it was about progress."""
        if found := PROGRESS.match(line):
            self.executions, self.covered, self.kept = map(int, found.groups())
            return True
        if line.startswith("stat::number_of_executed_units:"):
            self.executions = int(line.split()[1])
        if not self.failing and FAILED.match(line):
            self.failing = True
            self.told.clear()
        # Of a failure the first lines, else the last.
        if not self.failing or len(self.told) < SHOWN_LINES:
            self.told = [*self.told[1 - SHOWN_LINES :], line.rstrip("\n")]
        return False

    def progress(self, seconds: float) -> str:
        rate = self.executions / seconds if seconds else 0.0
        return f"{self.executions:,} executions ({rate:,.0f}/s), {self.covered:,} blocks covered, {self.kept:,} inputs"
