"""Recorded runs: one frame a line, `<receive time, ns> <"<" in | ">" out> <text>`, plain or gzipped."""

from __future__ import annotations

import gzip
import re
from os import PathLike, fspath
from typing import NamedTuple

from .wire import OP_TEXT, server_frame

_LINE = re.compile(r"([0-9]+) ([<>]) (.*)", re.DOTALL)


class Recorded(NamedTuple):
    """`due`: seconds after the first message of the run. `frame`: the bytes to send."""

    due: float
    frame: bytes


def read_recording(path: str | PathLike[str]) -> list[Recorded]:
    """The incoming messages of a recorded run.

    `OSError` if it cannot be read, `ValueError` with the file and the line if it is no recording. Times that run
    backwards are played without a pause.
    """
    name = fspath(path)
    messages: list[Recorded] = []
    start: int | None = None
    due = 0.0
    with gzip.open(name, "rb") if name.endswith(".gz") else open(name, "rb") as file:
        try:
            for number, raw in enumerate(file, 1):
                line = _parse(raw, f"{name}:{number}")
                if line is None:
                    continue
                received_ns, text = line
                start = received_ns if start is None else start
                due = max(due, (received_ns - start) / 1e9)
                messages.append(Recorded(due, server_frame(OP_TEXT, text)))
        except (gzip.BadGzipFile, EOFError) as error:
            raise ValueError(f"{name}: not a complete gzip file: {error}") from error
    if not messages:
        raise ValueError(f"{name}: no incoming message in it (no line with '<')")
    return messages


def _parse(raw: bytes, place: str) -> tuple[int, bytes] | None:
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: not UTF-8: {error}") from error
    if not text:
        return None
    parts = _LINE.fullmatch(text)
    if parts is None:
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise ValueError(f"{place}: expected '<time in ns> < text' or '<time in ns> > text', got {shown!r}")
    received_ns, direction, payload = parts.groups()
    return (int(received_ns), payload.encode()) if direction == "<" else None
