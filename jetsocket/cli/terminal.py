"""What is written where: data on stdout, the rest on stderr, and nothing that steers a terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from typing import BinaryIO, NoReturn

from rich.console import Console

from .interrupt import blocking

# Whole escape sequences go (ECMA-48: CSI, then OSC and the other strings, then the two-character ones), and what is
# left of the control characters, C1 included. A tab harms nobody.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_LINE_ENDS = re.compile(r"[\r\n]+")


def printable(text: str) -> str:
    """`text` on one line, without escape sequences and control characters."""
    return _ESCAPES.sub("", _LINE_ENDS.sub(" ", text))


def tell(text: str) -> None:
    """One line on stderr, for the user."""
    print(printable(text), file=sys.stderr, flush=True)


class PipedConsole(Console):
    """Plain lines on stdout, in colour on a terminal."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        """Rich would end the process as failed."""
        raise BrokenPipeError


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def set_up_logging(verbosity: int, *, quiet: bool = False) -> None:
    """The library's log goes to stderr: warnings (not when `quiet`), with 1 what happens, with 2 everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("jetsocket")
    logger.handlers = [handler]
    if not verbosity:
        # What it warns of is raised as well, and so is told anyway.
        logging.getLogger("jetsocket.connection").setLevel(logging.ERROR)
    logger.setLevel((logging.CRITICAL if quiet else logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])


class Lines:
    """Lines on stdout, written together once a turn of the event loop.

    `closed` is set when nothing more can be written: nobody reads any more, or (`error` tells) the disk is full.
    """

    def __init__(self, stream: BinaryIO | None = None, *, terminal: bool | None = None) -> None:
        self._stream = sys.stdout.buffer if stream is None else stream
        self._terminal = sys.stdout.isatty() if terminal is None else terminal
        self._lines: list[bytes] = []
        self.closed = asyncio.Event()
        self.error: OSError | None = None

    def add(self, line: bytes) -> None:
        """One line, without its end. On a terminal it is made printable, in a pipe it stays as it is."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(printable(line.decode(errors="replace")).encode() if self._terminal else line)

    def flush(self) -> None:
        """Writes what there is. Blocks while the reader is slow, which in turn slows the server down."""
        lines, self._lines = self._lines, []
        if not lines or self.closed.is_set():
            return
        lines.append(b"")
        try:
            with blocking():
                self._stream.write(b"\n".join(lines))
                self._stream.flush()
        except BrokenPipeError:
            self.closed.set()
        except OSError as error:
            self.error = error
            self.closed.set()
        except KeyboardInterrupt:
            # The reader is there but does not read: nothing must wait for it again.
            self.closed.set()
            leave_closed_stdout()
            raise


def leave_closed_stdout() -> None:
    """Lets the interpreter end quietly after the reader of stdout has gone: it flushes stdout once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
