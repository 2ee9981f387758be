"""A server's answers to an upgrade, drawn from a fuzzer's bytes: sound ones, and ones with something wrong in them."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from .drawing import Draw

KEY = b"sixteen bytes it"
ACCEPT = b64encode(sha1(b64encode(KEY) + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode("ascii")

INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
    b"HTTP/1.0 199\r\n\r\n",
]
STATUS = [
    *(b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 101 ", b"HTTP/1.1 101", b"HTTP/1.9 101 So be it"),
    *(b"HTTP/1.0 101 Switching Protocols", b"HTTP/2.0 101 Switching Protocols", b"http/1.1 101 X", b"HTTP/1.1 1O1 X"),
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 401 Unauthorized", b"HTTP/1.1 429 Too Many Requests"),
    *(b"HTTP/1.1 503 Service Unavailable", b"HTTP/1.0 500 \xe9\x07", b"HTTP/1.1 999 X", b"HTTP/1.1 099 X"),
    *(b"HTTP/1.1 301 Moved", b"HTTP/1.1 302 Found", b"HTTP/1.1 307 X", b"HTTP/1.1 308 X", b"HTTP/1.1 304 Not Modified"),
]
# The first of each is what it should be.
UPGRADES = ["websocket", "WebSocket", "h2c, websocket", "websocket,", "websockets", "web socket", "", "\twebsocket\t"]
CONNECTIONS = ["Upgrade", "keep-alive, Upgrade", "upgrade\t,x", "close", "Upgraded", "", "keep-alive,,UPGRADE"]
ACCEPTS = [ACCEPT, f"{ACCEPT} ", ACCEPT.lower(), ACCEPT[:-1], f"{ACCEPT},{ACCEPT}", f'"{ACCEPT}"', ""]
EXTENSIONS = [
    *("permessage-deflate", "permessage-deflate; server_no_context_takeover", "Permessage-Deflate", "x-other; a=b"),
    *(
        "permessage-deflate;server_max_window_bits=10;client_max_window_bits=9",
        "permessage-deflate, permessage-deflate",
    ),
    *('permessage-deflate; client_max_window_bits="15"', 'permessage-deflate; client_max_window_bits="1\\5"', ", ,"),
    *(
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_no_context_takeover; x",
        "a;;b",
        "=",
        "",
    ),
    *("permessage-deflate; server_max_window_bits=08", "permessage-deflate; server_max_window_bits=16; a", "é", '"a'),
    "permessage-deflate ; server_no_context_takeover ; server_max_window_bits = 9 ; client_no_context_takeover , ",
]
OTHERS = {
    "Sec-WebSocket-Extensions": EXTENSIONS,
    "Sec-WebSocket-Protocol": ["a", "chat", "b", "A", "a, chat", "", "a\t"],
    "Sec-WebSocket-Accept": ACCEPTS,
    "Upgrade": UPGRADES,
    "Connection": CONNECTIONS,
    "Content-Length": ["0", "5", "99999", "-1", "5, 5", "5, 6", "1" * 21, "x", ""],
    "Transfer-Encoding": ["chunked", "CHUNKED", "gzip", "chunked, chunked", ""],
    "Location": ["/x", "wss://h/y", "ws://h:99999/", "//other", "http://[::1", "\x85", ""],
    "Retry-After": ["7", "Fri, 31 Dec 1999 23:59:59 GMT", "Wed, 01 Jan 2098 00:00:00 GMT", "-1", "9" * 40, "soon"],
    "Date": ["Tue, 14 Nov 2023 22:13:20 GMT", "yesterday", "31 Dec 9999 23:59:59 -2359", ""],
    "Content-Type": ["text/html", "application/json; x", "\x1b[2J"],
    "X": ["y", "\x01", "\0", "\r", "a\r\n b", "a\r\n\t", "x" * 300, "é"],
    "Bad Name": ["y"],
    "": ["y", ""],
}


def drawn_answer(draw: Draw) -> bytes:
    """Nothing but zeros is a sound one."""
    answer = b"".join(INTERIM[draw.below(len(INTERIM))] for _ in range(max(0, draw.below(8) - 5)))
    status = draw.chosen(STATUS)
    fields = [
        ("Upgrade", _value(draw, UPGRADES)),
        ("Connection", _value(draw, CONNECTIONS)),
        ("Sec-WebSocket-Accept", _value(draw, ACCEPTS)),
    ]
    if left_out := draw.below(8):
        fields = [field for place, field in enumerate(fields) if not left_out >> place & 1]
    names = list(OTHERS)
    for _ in range(draw.below(8)):
        way, which = divmod(draw.byte(), 16)
        name = names[which % len(names)]
        value = draw.taken(draw.below(32)).decode("latin-1") if way == 15 else _value(draw, OTHERS[name])
        fields.insert(draw.below(len(fields) + 1), (name.lower() if way & 1 else name, value))
    repeated = draw.byte()
    if repeated > 251:
        fields *= 4 ** (repeated - 251)
    ending = draw.below(16)
    end = b"\n" if ending == 15 else b"\r\n"
    colon = [b": ", b":", b":\t ", b" :"][draw.below(8) % 4 if ending > 7 else 0]
    lines = [name.encode("latin-1") + colon + value.encode("latin-1") for name, value in fields]
    answer += end.join([status, *lines, b"", b""])
    if ending == 14:
        answer = answer[:-1]
    return answer + _body(draw)


def _value(draw: Draw, choices: list[str]) -> str:
    """One of these, now and then with any byte behind or before it."""
    way, which = divmod(draw.byte(), 32)
    value = choices[which % len(choices)]
    return value + chr(draw.byte()) if way == 7 else chr(draw.byte()) + value if way == 6 else value


def _body(draw: Draw) -> bytes:
    kind = draw.below(4)
    if kind == 3:
        return draw.below(8) * 700 * b"b" + draw.rest()
    if kind == 2:
        chunks = [draw.taken(draw.below(16)) for _ in range(draw.below(5))]
        return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + draw.rest()
    return draw.rest()
