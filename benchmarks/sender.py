"""The sending side, a process of its own: everything is encoded before the clock starts, and goes out flat out.

Speaks as much WebSocket as it takes. A client asks for `/COURSE/COUNT`, or `/COUNT` of the trades, sends one text
message for each channel that it subscribes to, and last one that holds `"end"`: that starts the flood of COUNT
messages, then one message of the channel "end" and a normal close. With `--certificate` it takes TLS connections too,
on the same port. A compressed course is for clients that negotiate permessage-deflate, and refused to all others.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import socket
import ssl
import sys
import zlib

from benchmarks.courses import Course, asked_for, flood
from benchmarks.traffic import END, frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 300.0
TLS_HANDSHAKE = b"\x16"  # the first byte of a connection that begins with one
CLOSE = b"\x88\x02\x03\xe8"
COMPRESSED = 0x40  # the bit of a frame's first byte (RFC 7692 section 6)


class Client:
    """One accepted connection, read through a buffer."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unread = b""
        self.inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)

    def more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError("the client left")
        self.unread += data

    def upgrade(self) -> tuple[Course, int]:
        """Answer the upgrade request; returns what its path asks for."""
        while b"\r\n\r\n" not in self.unread:
            self.more()
        request, _, self.unread = self.unread.partition(b"\r\n\r\n")
        key = re.search(rb"(?im)^sec-websocket-key:\s*(\S+)", request)
        path = re.match(rb"GET (\S+) ", request)
        if key is None or path is None:
            raise ValueError(f"not an upgrade request: {request!r}")
        course, messages = asked_for(path[1].decode())
        extension = b""
        if course.deflate:
            if not re.search(rb"(?im)^sec-websocket-extensions:.*permessage-deflate", request):
                self.connection.sendall(b"HTTP/1.1 400 permessage-deflate needed\r\nContent-Length: 0\r\n\r\n")
                raise ValueError("the client offers no permessage-deflate")
            extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
        flood(course.name)  # made now, or a client would wait for it with its clock running
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extension + b"\r\n"
        )
        return course, messages

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
                    plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
                    return self.inflater.decompress(plain + b"\0\0\xff\xff") if head[0] & COMPRESSED else plain
            self.more()

    def wait_for_start(self) -> None:
        while END.encode() not in self.message():
            pass


def wait_for_end(connection: socket.socket) -> None:
    """Until the client ends it too; with a reset, where it left our close frame unread."""
    try:
        while connection.recv(65536):
            pass
    except (ConnectionResetError, ssl.SSLError):
        return


def send_flood(connection: socket.socket, course: Course, messages: int) -> None:
    traffic = flood(course.name)
    view = memoryview(traffic.data)
    rounds, rest = divmod(messages, len(traffic.ends))
    for _ in range(rounds):
        connection.sendall(view)
    connection.sendall(view[: traffic.ends[rest - 1] if rest else 0])
    connection.sendall(frame(course.end) + CLOSE)


def serve_one(connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    """One client, from its upgrade request to the end. Takes the connection over, and closes it."""
    connection.settimeout(PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None and connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
        connection = tls.wrap_socket(connection, server_side=True)
    with connection:
        client = Client(connection)
        course, messages = client.upgrade()
        client.wait_for_start()
        send_flood(connection, course, messages)
        # It is the server that ends the TCP connection (RFC 6455 section 7.1.1).
        connection.shutdown(socket.SHUT_WR)
        wait_for_end(connection)


def serve(certificate: str | None) -> None:
    """Serve one client after another, one for each line on standard input. Prints the port on the first line."""
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        flood(asked_for("/0")[0].name)
        print(server.getsockname()[1], flush=True)
        while sys.stdin.readline():
            server.settimeout(PATIENCE)
            connection, _ = server.accept()
            try:
                with connection:
                    serve_one(connection, tls)
            except (OSError, ValueError) as error:
                # One client's failure is told by its own report; the next is served.
                print(f"sender: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sender")
    parser.add_argument("--certificate", help="a certificate with its key, PEM")
    serve(parser.parse_args().certificate)
