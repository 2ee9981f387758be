from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from jetsocket.testing import read_recording
from jetsocket.testing.wire import OP_TEXT, server_frame

RUN = '1700000000000000000 > {"op":"subscribe"}\n1700000000500000000 < {"a":1}\n1700000002000000000 < plain text ✓\n'


def written(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_incoming_messages_with_their_times(tmp_path: Path, name: str) -> None:
    messages = read_recording(written(tmp_path / name, RUN))
    assert messages == [
        (0.0, server_frame(OP_TEXT, b'{"a":1}')),
        (1.5, server_frame(OP_TEXT, "plain text ✓".encode())),
    ]


def test_times_never_run_backwards(tmp_path: Path) -> None:
    path = written(tmp_path / "run.txt", "2000000000 < a\n1000000000 < b\n3000000000 < c\n")
    assert [message.due for message in read_recording(path)] == [0.0, 0.0, 1.0]


def test_blank_lines_and_carriage_returns_are_no_matter(tmp_path: Path) -> None:
    path = written(tmp_path / "run.txt", "1 < a\r\n\n2 < b\n")
    assert [message.frame[2:] for message in read_recording(path)] == [b"a", b"b"]


@pytest.mark.parametrize(
    "line, says",
    [
        ("nonsense", r"run.txt:2: expected '<time in ns> < text' or '<time in ns> > text', got 'nonsense'$"),
        ("12.5 < a", r"run.txt:2: expected .* got '12.5 < a'$"),
        ("12 = a", r"run.txt:2: expected .* got '12 = a'$"),
        ("x" * 1000, r"run.txt:2: expected .* got 'x{60}…'$"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_recording(written(tmp_path / "run.txt", f"1 < a\n{line}\n"))


def test_a_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes(b"1 < a\n2 < \xff\n")
    with pytest.raises(ValueError, match=r"run.txt:2: not UTF-8"):
        read_recording(path)


@pytest.mark.parametrize("data", [b"not gzip at all", gzip.compress(b"1 < a\n" * 1000)[:-20]], ids=["none", "cut"])
def test_a_broken_gzip_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.txt.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"run.txt.gz: not a complete gzip file"):
        read_recording(path)


@pytest.mark.parametrize("text", ["", "1 > only sent\n"])
def test_a_run_without_incoming_messages_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="no incoming message"):
        read_recording(written(tmp_path / "run.txt", text))


def test_a_missing_file_is_the_operating_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        read_recording(tmp_path / "none.txt")
