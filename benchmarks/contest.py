"""Runs the contenders against one another: interleaved, each a process of its own, all fed by the same sender."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import Contender, compiler
from benchmarks.courses import flood
from benchmarks.traffic import kept

ROOT = Path(__file__).parents[1]
FLOOR = "floor"
TIME_LIMIT = 600.0


@dataclass(frozen=True)
class Figure:
    """Medians over the runs, in nanoseconds a message of the course. `payload_bytes` is the mean size of those."""

    name: str
    title: str
    messages: int
    cpu_ns: float
    wall_ns: float
    cpu_ns_runs: tuple[float, ...]
    wall_ns_runs: tuple[float, ...] = ()
    course: str = "trades"
    payload_bytes: float = 0.0


class ContestError(Exception):
    """A contender failed, or did not do the work that its figure is for."""


class Track:
    """The sender, running, and the files that contenders need."""

    def __init__(self, sender: subprocess.Popen[str], directory: Path) -> None:
        assert sender.stdout is not None
        self._sender = sender
        self._files = {"floor": str(directory / "floor"), "authority": str(directory / "authority.pem")}
        self._port = int(sender.stdout.readline())

    def run(self, contender: Contender, asked: int) -> tuple[float, float]:
        """One run; CPU and wall nanoseconds a message. Raises ContestError."""
        messages = contender.messages(asked)
        if contender.connects:
            assert self._sender.stdin is not None
            self._sender.stdin.write("next\n")
            self._sender.stdin.flush()
        facts = self._files | {"uri": contender.course.uri(self._port, messages)}
        done = subprocess.run(
            [argument.format(**facts) for argument in contender.arguments],
            cwd=ROOT,
            env=os.environ | {name: value.format(**facts) for name, value in contender.environment.items()},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIME_LIMIT,
        )
        if done.returncode:
            raise ContestError(f"{contender.name} failed with {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        capacity = 0 if contender.keeps == "all" else contender.course.queue_size
        wanted = kept(flood(contender.course.name).chosen, messages, capacity)
        if report["held"] != wanted:
            raise ContestError(f"{contender.name} holds {report['held']} messages at the end instead of {wanted}")
        return report["cpu_ns"] / messages, report["wall_ns"] / messages


def compile_floor(directory: Path) -> None:
    """The C program, where there is a C compiler."""
    program = compiler()
    if program is not None:
        source = ROOT / "benchmarks" / "peers" / "floor.c"
        subprocess.run([program, "-O2", "-o", directory / "floor", source], check=True)


def make_certificate(directory: Path) -> list[str]:
    """A certificate for 127.0.0.1, by an authority of its own; the sender's arguments to use it."""
    if find_spec("trustme") is None:
        return []
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    certificate = directory / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return ["--certificate", str(certificate)]


@contextmanager
def track() -> Iterator[Track]:
    """A running sender, the floor compiled, a certificate made."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        compile_floor(directory)
        command = [sys.executable, "-m", "benchmarks.sender", *make_certificate(directory)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as sender:
            try:
                yield Track(sender, directory)
            finally:
                sender.kill()


def left_out(contenders: Iterable[Contender]) -> dict[str, str]:
    """The names of those that cannot take part here, with the reason."""
    reasons = {contender.name: contender.absence() for contender in contenders}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def contest(
    contenders: Iterable[Contender], messages: int, runs: int, progress: Callable[[str], None] = tell
) -> list[Figure]:
    """`runs` rounds, in each of which every contender that can take part here runs once. Raises ContestError."""
    contenders = [contender for contender in contenders if contender.absence() is None]
    samples: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in contenders}
    with track() as running:
        for turn in range(runs):
            for contender in contenders:
                cpu, wall = running.run(contender, messages)
                samples[contender.name].append((cpu, wall))
                progress(
                    f"run {turn + 1} of {runs}: {contender.name}: {cpu:,.1f} ns CPU, {wall:,.1f} ns wall a message"
                )
    return [figure_of(contender, messages, samples[contender.name]) for contender in contenders]


def figure_of(contender: Contender, asked: int, samples: list[tuple[float, float]]) -> Figure:
    cpu, wall = tuple(cpu for cpu, _ in samples), tuple(wall for _, wall in samples)
    return Figure(
        contender.name,
        contender.title,
        contender.messages(asked),
        statistics.median(cpu),
        statistics.median(wall),
        cpu,
        wall,
        contender.course.name,
        flood(contender.course.name).payload_bytes,
    )
