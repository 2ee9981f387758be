"""`python -m benchmarks.trials.venue`: the sending side of the trials, a process of its own. Prints its port.

It ends when its standard input does. A client subscribes, last to "end", and then gets what its path asks for:

- `/flood/CHANNELS/COUNT`: COUNT trades, encoded before, flat out;
- `/ticks/COUNT/RATE`: COUNT trades on 100 channels, RATE a second, each with the time at which it is sent;
- `/each/CHANNELS`: one trade on every channel;
- `/none`: nothing;

then one message of the channel "end"; the connection stays open until the client closes it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable

from benchmarks.trials.feed import END, STAMP, TICKING, frame, names, one_each, tick, trades

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 120.0
CLOSE = 0x8

Send = Callable[[socket.socket], None]


def flood(channels: int, count: int) -> Send:
    data, ends = trades(channels)
    rounds, rest = divmod(count, len(ends))

    def send(connection: socket.socket) -> None:
        view = memoryview(data)
        for _ in range(rounds):
            connection.sendall(view)
        connection.sendall(view[: ends[rest - 1] if rest else 0])

    return send


def ticks(count: int, rate: int) -> Send:
    around = [tick(channel, number) for number, channel in enumerate(names(TICKING))]

    def send(connection: socket.socket) -> None:
        start = time.monotonic_ns()
        for number in range(count):
            # Each channel's turn comes, but not in the order in which they were subscribed to.
            before, behind = around[number * 37 % TICKING]
            due = start + number * 1_000_000_000 // rate
            while (left := due - time.monotonic_ns()) > 0:
                time.sleep(left / 1e9)
            connection.send(b"%s%0*d%s" % (before, STAMP, time.monotonic_ns(), behind))

    return send


def each(channels: int) -> Send:
    data = one_each(channels)
    return lambda connection: connection.sendall(data)


def none() -> Send:
    return lambda _: None


ASKED: dict[str, Callable[..., Send]] = {"flood": flood, "ticks": ticks, "each": each, "none": none}


class Client:
    """One accepted connection, read through a buffer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = bytearray()

    def _more(self) -> None:
        data = self._connection.recv(262144)
        if not data:
            raise ConnectionError("the client left")
        self._unread += data

    def upgrade(self) -> Send:
        """Read the upgrade request, prepare what its path asks for, and answer."""
        while b"\r\n\r\n" not in self._unread:
            self._more()
        request, _, self._unread = self._unread.partition(b"\r\n\r\n")
        key = re.search(rb"(?im)^sec-websocket-key:\s*(\S+)", request)
        path = re.match(rb"GET /(\w+)([/\d]*) ", request)
        if key is None or path is None:
            raise ValueError(f"not an upgrade request of a trial's: {bytes(request)!r}")
        send = ASKED[path[1].decode()](*(int(number) for number in path[2].split(b"/")[1:]))
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        self._connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        return send

    def wait_for(self, wanted: Callable[[int, bytes], bool]) -> None:
        """Read masked frames of up to 64 KiB - 1 until one is wanted: its opcode and its payload say."""
        while True:
            at = 0
            while (size := self._frame(at)) is not None:
                start = at + (6 if self._unread[at + 1] & 0x7F < 126 else 8)
                mask, payload = self._unread[start - 4 : start], self._unread[start : at + size]
                if wanted(self._unread[at] & 0x0F, unmasked(payload, mask)):
                    del self._unread[: at + size]
                    return
                at += size
            del self._unread[:at]
            self._more()

    def _frame(self, at: int) -> int | None:
        """The size of the frame at `at`; None if it is not all there."""
        left = len(self._unread) - at
        if left < 4:
            return None
        size = self._unread[at + 1] & 0x7F
        size = size + 6 if size < 126 else int.from_bytes(self._unread[at + 2 : at + 4], "big") + 8
        return size if size <= left else None


def unmasked(payload: bytearray, mask: bytearray) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def serve_one(connection: socket.socket) -> None:
    connection.settimeout(PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = Client(connection)
    send = client.upgrade()
    wanted = f'"{END}"'.encode()
    client.wait_for(lambda _, payload: wanted in payload)
    send(connection)
    connection.sendall(frame(b'{"stream":"%s","data":{}}' % END.encode()))
    client.wait_for(lambda opcode, _: opcode == CLOSE)
    connection.sendall(b"\x88\x02\x03\xe8")


def end_with_standard_input() -> None:
    sys.stdin.read()
    os._exit(0)


def serve() -> None:
    """Serve one client after another."""
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    serve_one(connection)
                except ConnectionError as error:
                    # It ended without a close frame: that is its own affair.
                    print(f"venue: {error}", file=sys.stderr)


if __name__ == "__main__":
    serve()
