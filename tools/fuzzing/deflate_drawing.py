"""Messages and their compressed forms drawn from a fuzzer's bytes, compressed in the ways that servers do it."""

from __future__ import annotations

import zlib
from typing import Any

from .drawing import Draw

TAIL = b"\x00\x00\xff\xff"
MOST_MESSAGES = 12
# No more payloads are drawn when so many bytes were.
ENOUGH = 1 << 17
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FILTERED)


def given_messages(draw: Draw) -> list[bytes]:
    """As they stand there, each behind its size; a size of 255 is all that is left."""
    messages: list[bytes] = []
    while not draw.empty and len(messages) < MOST_MESSAGES:
        size = draw.byte()
        messages.append(draw.rest() if size == 255 else draw.taken(size))
    return messages


def drawn_payloads(draw: Draw) -> list[bytes]:
    payloads: list[bytes] = []
    while not draw.empty and len(payloads) < MOST_MESSAGES and sum(map(len, payloads)) < ENOUGH:
        payloads.append(_payload(draw, payloads))
    return payloads


def _payload(draw: Draw, before: list[bytes]) -> bytes:
    kind, size = divmod(draw.byte(), 32)
    if kind == 0:
        return draw.taken(size)
    if kind == 1:
        return bytes((draw.byte(),)) * (1 << size // 2)
    if kind == 2:
        return draw.taken(draw.below(8)) * (size * size)
    if kind == 3:
        # Nothing in it repeats soon.
        state, noise = draw.byte() + 1, bytearray()
        for _ in range(size * 10):
            state = state * 75 % 65537
            noise.append(state & 0xFF)
        return bytes(noise)
    if kind < 6 and before:
        earlier = before[size % len(before)]
        return earlier if kind == 4 else earlier[len(earlier) // 2 :] + draw.taken(size // 8)
    if kind == 6:
        return ("é€😀"[: size % 4] * (size // 4)).encode()
    return b'{"stream":"btcusdt@trade","data":{"p":"%d","q":[%d]}}' % (size, draw.byte())


def drawn_messages(draw: Draw, *, takeover: bool) -> list[bytes]:
    """Compressed messages; not all of them are valid."""
    level, strategy = draw.below(10), STRATEGIES[draw.below(len(STRATEGIES))]
    compress = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    messages: list[bytes] = []
    payloads: list[bytes] = []
    said = b""
    while not draw.empty and len(messages) < MOST_MESSAGES and sum(map(len, payloads)) < ENOUGH:
        way = draw.byte()
        if not takeover:
            compress, said = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy), b""
        message = b""
        for _ in range(1 + (way >> 4)):
            payloads.append(_payload(draw, payloads))
            said = (said + payloads[-1])[-32768:]
            piece, ended = _compressed(compress, payloads[-1], way & 7)
            if ended:
                compress = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy, zdict=said)
            message += piece
        message = message if way & 7 == 6 else message.removesuffix(TAIL)
        messages.append(_damaged(draw, message) if way & 8 else message)
    return messages


def _compressed(compress: Any, payload: bytes, way: int) -> tuple[bytes, bool]:
    """Compressed, and whether the context ends with it."""
    data: bytes = compress.compress(payload)
    if way == 3:
        return data + compress.flush(zlib.Z_FULL_FLUSH), False
    if way in (4, 5):
        # A final block; behind it should stand a zero, which begins another.
        return data + compress.flush(zlib.Z_FINISH) + b"\x00" * (5 - way), True
    if way == 7:
        # Empty blocks, as many as one likes.
        return data + compress.flush(zlib.Z_SYNC_FLUSH) + (b"\x00" + TAIL) * (len(payload) % 9), False
    return data + compress.flush(zlib.Z_SYNC_FLUSH), False


def _damaged(draw: Draw, message: bytes) -> bytes:
    damaged = bytearray(message)
    at = draw.number() % (len(damaged) + 1)
    damaged[at : at + draw.below(3)] = draw.taken(draw.below(3))
    return bytes(damaged)
