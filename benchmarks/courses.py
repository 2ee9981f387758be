"""The courses: which traffic the sender sends, and over what. Its name is in the path that a client asks for.

`ws://127.0.0.1:PORT/tiny/1000` asks for 1,000 messages of the course "tiny"; without a name it is "trades".
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from urllib.parse import urlsplit

from benchmarks.traffic import BLOCK, CHANNELS, END, TICKERS, books, frame, ticks, trades

Messages = tuple[list[bytes], list[int]]
_PATH = re.compile(r"/(?:([a-z0-9]+)/)?([0-9]+)")


@dataclass(frozen=True)
class Course:
    """`make(count)` makes the messages of a block, which is repeated, and the index of each one's channel.

    `share`: one message here for so many that were asked for; `queue_size`: of a channel whose messages nobody reads,
    small where the messages are large.
    """

    name: str
    title: str
    make: Callable[[int], Messages]
    block: int = BLOCK
    channels: tuple[str, ...] = CHANNELS
    queue_size: int = 1000
    share: int = 1
    tls: bool = False
    deflate: bool = False

    def messages(self, asked: int) -> int:
        return max(asked // self.share, 50)

    def uri(self, port: int, messages: int) -> str:
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{port}/{self.name}/{messages}"

    @property
    def end(self) -> bytes:
        """The message that ends the flood."""
        return b'{"stream":"%s","data":{}}' % END.encode()


TRADES = Course("trades", "trades of 170 bytes", trades)
TINY = Course("tiny", "ticks of 30 bytes", ticks, channels=TICKERS)
LARGE_64K = Course("large64k", "books of 64 KiB", partial(books, size=2**16), block=200, queue_size=4, share=100)
LARGE_1M = Course("large1m", "books of 1 MiB", partial(books, size=2**20), block=40, queue_size=2, share=1600)
TLS = Course("tls", "trades over wss://", trades, share=4, tls=True)
DEFLATE = Course("deflate", "trades, permessage-deflate", trades, share=4, deflate=True)
COURSES = {course.name: course for course in (TRADES, TINY, LARGE_64K, LARGE_1M, TLS, DEFLATE)}


def asked_for(uri: str) -> tuple[Course, int]:
    """The course and the number of messages that an address, or its path, names; ValueError for any other."""
    path = _PATH.fullmatch(urlsplit(uri).path)
    course = COURSES.get(path[1] or TRADES.name) if path else None
    if path is None or course is None:
        raise ValueError(f"not an address of the sender: {uri!r}; known courses: {', '.join(COURSES)}")
    return course, int(path[2])


@dataclass(frozen=True)
class Flood:
    """A block as one run of frames, the offset at which each frame ends, and each one's channel index."""

    data: bytes
    ends: list[int]
    chosen: list[int]
    payload_bytes: float  # of a message, on average and before compression


def compress(messages: list[bytes]) -> list[bytes]:
    """Payloads of one permessage-deflate stream with context takeover (RFC 7692 section 7.2.1), zlib's own settings.

    The first refers to nothing before it, so that the whole may follow itself again and again in one connection.
    """
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return [(deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4] for message in messages]


@lru_cache
def flood(name: str) -> Flood:
    """What the sender repeats for the course of that name."""
    course = COURSES[name]
    messages, chosen = course.make(course.block)
    payloads = compress(messages) if course.deflate else messages
    frames = [frame(payload, course.deflate) for payload in payloads]
    mean = sum(map(len, messages)) / len(messages)
    return Flood(b"".join(frames), list(accumulate(map(len, frames))), chosen, mean)
