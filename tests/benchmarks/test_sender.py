"""benchmarks/sender.py: what it does with a client that is not as it should be."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.contest import ROOT

UPGRADE = b"GET %s HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n"


class Sender:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.requests, self.complaints = process.stdin, process.stderr
        self.port = int(process.stdout.readline())

    def answer(self, request: bytes) -> bytes:
        """The first line of the answer; then the connection ends."""
        self.requests.write(b"next\n")
        self.requests.flush()
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                return answer.readline().rstrip()


@pytest.fixture
def sender() -> Iterator[Sender]:
    command = [sys.executable, "-m", "benchmarks.sender"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        yield Sender(process)
        process.kill()


def test_compressed_course_is_refused_to_who_does_not_negotiate(sender: Sender) -> None:
    assert sender.answer(UPGRADE % (b"/deflate/10", b"")) == b"HTTP/1.1 400 permessage-deflate needed"
    assert sender.complaints.readline() == b"sender: the client offers no permessage-deflate\n"
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    assert sender.answer(UPGRADE % (b"/deflate/10", offer)) == b"HTTP/1.1 101 Switching Protocols"


def test_one_bad_client_does_not_end_it(sender: Sender) -> None:
    assert sender.answer(UPGRADE % (b"/nowhere", b"")) == b""
    assert b"not an address of the sender" in sender.complaints.readline()
    assert sender.answer(UPGRADE % (b"/10", b"")) == b"HTTP/1.1 101 Switching Protocols"
