from __future__ import annotations

import asyncio
import io
import os

import pytest

from jetsocket.cli.terminal import Lines, printable


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
