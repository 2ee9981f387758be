from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jetsocket.cli.terminal import Lines, printable, set_up_logging, tell

from .conftest import environment


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain ✓ text\twith a tab", "plain ✓ text\twith a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hhome", "home"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\after", "after"),
        ("\x1bcreset", "reset"),
        ("\x1b(0charset", "charset"),
        ("a\x00\x07\x08b\x7fc\x9bd", "abcd"),
        ("two\r\nlines\n", "two lines "),
        ("cut off \x1b[", "cut off "),
        ("cut off \x1b", "cut off "),
    ],
)
def test_nothing_that_steers_a_terminal_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown


async def test_lines_are_written_together_once_a_turn() -> None:
    stream = io.BytesIO()
    lines = Lines(stream, terminal=False)
    lines.add(b"one")
    lines.add(b"\x1b[31mtwo")
    assert stream.getvalue() == b""
    await asyncio.sleep(0)
    assert stream.getvalue() == b"one\n\x1b[31mtwo\n"
    lines.flush()
    assert stream.getvalue() == b"one\n\x1b[31mtwo\n"


async def test_on_a_terminal_lines_are_made_printable() -> None:
    stream = io.BytesIO()
    lines = Lines(stream, terminal=True)
    lines.add(b"\x1b[31mred \xff")
    lines.flush()
    assert stream.getvalue() == "red \ufffd\n".encode()


async def test_a_reader_that_is_gone_is_noticed_once() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        lines = Lines(stream, terminal=False)
        lines.add(b"one")
        await asyncio.wait_for(lines.closed.wait(), 5)
        lines.add(b"two")
        lines.flush()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this platform has no disk that is always full")
async def test_a_full_disk_is_noticed_and_told() -> None:
    with os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb", buffering=0) as stream:
        lines = Lines(stream, terminal=False)
        lines.add(b"one")
        await asyncio.wait_for(lines.closed.wait(), 5)
        assert isinstance(lines.error, OSError)
        lines.add(b"two")
        await asyncio.sleep(0)


@pytest.fixture
def loggers() -> Iterator[None]:
    """Puts the library's log back as it was."""
    found = [logging.getLogger(name) for name in ("jetsocket", "jetsocket.connection")]
    before = [(logger, logger.level, logger.handlers) for logger in found]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize(
    "verbosity, quiet, told",
    [
        (0, True, []),
        (0, False, ["WARNING reconnect"]),
        (1, False, ["INFO connection", "WARNING connection", "WARNING reconnect"]),
        (2, False, ["DEBUG connection", "INFO connection", "WARNING connection", "WARNING reconnect"]),
        (9, False, ["DEBUG connection", "INFO connection", "WARNING connection", "WARNING reconnect"]),
    ],
)
def test_the_log_goes_to_stderr(
    verbosity: int, quiet: bool, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(verbosity, quiet=quiet)
    connection = logging.getLogger("jetsocket.connection")
    connection.setLevel(connection.level if verbosity == 0 else logging.NOTSET)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        connection.log(level, "connection\x1b[31m")
    logging.getLogger("jetsocket.reconnect").warning("reconnect")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.partition(" ")[2] for line in shown.err.splitlines()] == told


def test_what_is_told_is_one_printable_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    tell("one\ntwo\x1b[31m")
    assert capsys.readouterr() == ("", "one two\n")


PIPED = """
import sys
from jetsocket.cli.terminal import PipedConsole, leave_closed_stdout
try:
    PipedConsole().print("x" * 100)
except BrokenPipeError:
    leave_closed_stdout()
    sys.exit(7)
"""


def test_a_console_leaves_a_closed_pipe_to_its_user() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", PIPED]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment(), check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (7, b"")


STUCK = """
import asyncio, os, signal, sys, threading
from jetsocket.cli.terminal import Lines

async def main():
    lines = Lines(terminal=False)
    lines.add(b"x" * 10_000_000)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        lines.flush()
    except KeyboardInterrupt:
        sys.exit(7 if lines.closed.is_set() else 8)

# Not by asyncio.run(), which has a handler of its own for the signal.
asyncio.new_event_loop().run_until_complete(main())
"""


def test_ctrl_c_while_nobody_reads_leaves_the_rest_unwritten() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as child:
        assert child.wait(30) == 7
        assert child.stderr is not None
        assert child.stderr.read() == b""
