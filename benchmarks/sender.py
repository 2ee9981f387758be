"""The sending side, a process of its own: everything is encoded before the clock starts, and goes out flat out.

Speaks as much WebSocket as it takes. A client asks for `/COUNT`, sends one text message for each channel that it
subscribes to, and last one that holds `"end"`: that starts the flood of COUNT messages, then one message of the channel
"end" and a normal close.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import sys

from benchmarks.traffic import END, block, frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 300.0


class Client:
    """One accepted connection, read through a buffer."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unread = b""

    def more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError("the client left")
        self.unread += data

    def upgrade(self) -> int:
        """Answer the upgrade request; returns the number of messages that its path asks for."""
        while b"\r\n\r\n" not in self.unread:
            self.more()
        request, _, self.unread = self.unread.partition(b"\r\n\r\n")
        key = re.search(rb"(?im)^sec-websocket-key:\s*(\S+)", request)
        path = re.match(rb"GET /(\d+) ", request)
        if key is None or path is None:
            raise ValueError(f"not an upgrade request for /COUNT: {request!r}")
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        return int(path[1])

    def message(self) -> bytes:
        """The payload of the next frame, unmasked."""
        while True:
            head = self.unread[:4]
            if len(head) >= 2:
                size, start = head[1] & 0x7F, 2
                if size == 126:
                    size, start = int.from_bytes(head[2:4], "big"), 4
                stop = start + 4 + size
                if len(head) >= start and len(self.unread) >= stop:
                    mask, payload = self.unread[start : start + 4], self.unread[start + 4 : stop]
                    self.unread = self.unread[stop:]
                    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            self.more()

    def wait_for_start(self) -> None:
        while END.encode() not in self.message():
            pass


def wait_for_end(connection: socket.socket) -> None:
    """Until the client ends it too; with a reset, where it left our close frame unread."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return


def serve() -> None:
    """Serve one client after another until standard input ends. Prints the port on the first line."""
    flood, ends, _ = block()
    view = memoryview(flood)
    end = frame(b'{"stream":"%s","data":{}}' % END.encode()) + b"\x88\x02\x03\xe8"
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while sys.stdin.readline():
            server.settimeout(PATIENCE)
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client = Client(connection)
                rounds, rest = divmod(client.upgrade(), len(ends))
                client.wait_for_start()
                for _ in range(rounds):
                    connection.sendall(view)
                connection.sendall(view[: ends[rest - 1] if rest else 0])
                connection.sendall(end)
                # It is the server that ends the TCP connection (RFC 6455 section 7.1.1).
                connection.shutdown(socket.SHUT_WR)
                wait_for_end(connection)


if __name__ == "__main__":
    serve()
