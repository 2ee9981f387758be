"""Runs the contenders against one another: interleaved, each a process of its own, all fed by the same sender."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.meter import QUEUE_SIZE
from benchmarks.traffic import CHANNELS, block, kept

ROOT = Path(__file__).parents[1]
TIME_LIMIT = 600.0


@dataclass(frozen=True)
class Contender:
    """`slow` ones get a tenth of the messages: the figure is per message, and the wait is long enough.

    `keeps`: how many messages it must hold at the end. "queues" is what bounded queues hold, "all" is every message.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    slow: bool = False
    keeps: str = "queues"
    environment: dict[str, str] = field(default_factory=dict)

    def messages(self, asked: int) -> int:
        return max(asked // 10, 1000) if self.slow else asked


def peer(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.peers.{module}", "{uri}", *arguments)


COMPILED = {"JETSOCKET_EXTENSIONS": "require"}
PURE = {"JETSOCKET_EXTENSIONS": "off"}
FLOOR = "floor"
CONTENDERS = (
    Contender(FLOOR, "C, receives and splits frames only", ("{floor}", "{uri}", str(len(CHANNELS))), keeps="all"),
    Contender("jetsocket", "JetSocket, kept in queues", peer("jetsocket_client", "kept"), environment=COMPILED),
    Contender(
        "jetsocket-batches",
        "JetSocket, delivered in batches",
        peer("jetsocket_client", "batches"),
        keeps="all",
        environment=COMPILED,
    ),
    Contender(
        "jetsocket-iterated",
        "JetSocket, delivered by `async for`",
        peer("jetsocket_client", "iterated"),
        keeps="all",
        environment=COMPILED,
    ),
    Contender(
        "jetsocket-dicts",
        "JetSocket, delivered as dicts",
        peer("jetsocket_client", "dicts"),
        keeps="all",
        environment=COMPILED,
    ),
    Contender("picows", "picows listener + `bytes.find` + deques", peer("picows_client")),
    Contender(
        "jetsocket-pure",
        "JetSocket in pure Python, kept in queues",
        peer("jetsocket_client", "kept"),
        slow=True,
        environment=PURE,
    ),
    Contender("picows-websockets", "picows.websockets + orjson + deques", peer("picows_websockets_client"), slow=True),
    Contender("aiohttp", "aiohttp + orjson + deques", peer("aiohttp_client"), slow=True),
    Contender("websockets-orjson", "websockets + orjson + deques", peer("websockets_client", "orjson"), slow=True),
    Contender("websockets-json", "websockets + json + deques", peer("websockets_client", "json"), slow=True),
)
BY_NAME = {contender.name: contender for contender in CONTENDERS}


@dataclass(frozen=True)
class Figure:
    """Medians over the runs, in nanoseconds a message."""

    name: str
    title: str
    messages: int
    cpu_ns: float
    wall_ns: float
    cpu_ns_runs: tuple[float, ...]


class ContestError(Exception):
    """A contender failed, or did not do the work that its figure is for."""


class Course:
    """The sender, running, and what its traffic must leave in the queues."""

    def __init__(self, sender: subprocess.Popen[str], floor: Path | None) -> None:
        assert sender.stdout is not None
        self._sender = sender
        self._floor = floor
        self._port = int(sender.stdout.readline())
        _, _, self._chosen = block()

    def run(self, contender: Contender, asked: int) -> tuple[float, float]:
        """One run; CPU and wall nanoseconds a message. Raises ContestError."""
        messages = contender.messages(asked)
        assert self._sender.stdin is not None
        self._sender.stdin.write("next\n")
        self._sender.stdin.flush()
        facts = {"uri": f"ws://127.0.0.1:{self._port}/{messages}", "floor": str(self._floor)}
        done = subprocess.run(
            [argument.format(**facts) for argument in contender.arguments],
            cwd=ROOT,
            env=os.environ | contender.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIME_LIMIT,
        )
        if done.returncode:
            raise ContestError(f"{contender.name} failed with {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        wanted = kept(self._chosen, messages, 0 if contender.keeps == "all" else QUEUE_SIZE)
        if report["held"] != wanted:
            raise ContestError(f"{contender.name} holds {report['held']} messages at the end instead of {wanted}")
        return report["cpu_ns"] / messages, report["wall_ns"] / messages


def compile_floor(directory: Path) -> Path | None:
    """The C program, compiled; None where there is no C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    program = directory / "floor"
    subprocess.run([compiler, "-O2", "-o", program, ROOT / "benchmarks" / "peers" / "floor.c"], check=True)
    return program


@contextmanager
def course() -> Iterator[Course]:
    """A running sender, and the floor compiled."""
    with TemporaryDirectory() as directory:
        sender = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sender"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with sender:
            try:
                yield Course(sender, compile_floor(Path(directory)))
            finally:
                sender.kill()


def contest(names: Iterable[str], messages: int, runs: int) -> list[Figure]:
    """`runs` rounds, in each of which every contender runs once."""
    contenders = [BY_NAME[name] for name in names]
    samples: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in contenders}
    with course() as track:
        if track._floor is None:
            contenders = [contender for contender in contenders if contender.name != FLOOR]
        for turn in range(runs):
            for contender in contenders:
                samples[contender.name].append(track.run(contender, messages))
                cpu, wall = samples[contender.name][-1]
                progress = f"run {turn + 1} of {runs}: {contender.name}: {cpu:.1f} ns CPU, {wall:.1f} ns wall a message"
                print(progress, file=sys.stderr)
    return [
        Figure(
            contender.name,
            contender.title,
            contender.messages(messages),
            statistics.median(cpu for cpu, _ in samples[contender.name]),
            statistics.median(wall for _, wall in samples[contender.name]),
            tuple(cpu for cpu, _ in samples[contender.name]),
        )
        for contender in contenders
    ]
