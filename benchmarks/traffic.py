"""The traffic that every benchmark uses: trades of Binance's combined stream, the same in each run.

About 170 bytes a message, 100 channels, of which few are busy and many are quiet, as on a real market.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Final

CHANNELS: Final = tuple(f"sym{number:02d}usdt@trade" for number in range(100))
TICKERS: Final = tuple(f"t{number:02d}" for number in range(len(CHANNELS)))
BLOCK: Final = 20_000
END: Final = "end"


def frame(payload: bytes, compressed: bool = False) -> bytes:
    """An unmasked text frame (RFC 6455 section 5.2), as a server sends it."""
    first = b"\xc1" if compressed else b"\x81"
    size = len(payload)
    if size < 126:
        return first + bytes((size,)) + payload
    if size < 2**16:
        return first + b"\x7e" + size.to_bytes(2, "big") + payload
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


def choices(source: random.Random, count: int) -> list[int]:
    """Indices of channels, Zipf-like."""
    weights = list(accumulate(1 / rank for rank in range(1, len(CHANNELS) + 1)))
    return source.choices(range(len(CHANNELS)), cum_weights=weights, k=count)


def trades(count: int, seed: int = 1) -> tuple[list[bytes], list[int]]:
    """`count` messages, and for each the index of its channel."""
    source = random.Random(seed)
    chosen = choices(source, count)
    messages = []
    for number, index in enumerate(chosen):
        channel = CHANNELS[index]
        messages.append(
            b'{"stream":"%s","data":{"e":"trade","E":%d,"s":"%s","t":%d,"p":"%.8f","q":"%.8f","T":%d,"m":%s,"M":true}}'
            % (
                channel.encode(),
                1_712_345_678_000 + number // 50,
                channel.partition("@")[0].upper().encode(),
                3_000_000_000 + number,
                10 * (index + 1) * source.uniform(0.99, 1.01),
                source.expovariate(20),
                1_712_345_677_999 + number // 50,
                b"true" if source.random() < 0.5 else b"false",
            )
        )
    return messages, chosen


def ticks(count: int, seed: int = 1) -> tuple[list[bytes], list[int]]:
    """`count` messages of 30 bytes, as short as a price with its channel can be; see `trades`."""
    source = random.Random(seed)
    chosen = choices(source, count)
    return [
        b'{"stream":"%s","data":%d}' % (TICKERS[i].encode(), source.randrange(10**5, 10**6)) for i in chosen
    ], chosen


def books(count: int, size: int, seed: int = 1) -> tuple[list[bytes], list[int]]:
    """`count` depth snapshots of `size` bytes; see `trades`."""
    source = random.Random(seed)
    levels = [b'["%.8f","%.8f"]' % (source.uniform(90, 110), source.expovariate(20)) for _ in range(size // 24 + 1)]
    text = b",".join(levels)
    chosen = choices(source, count)
    messages = []
    for number, index in enumerate(chosen):
        head = b'{"stream":"%s","data":{"e":"depth","u":%d,"bids":[' % (
            CHANNELS[index].encode(),
            3_000_000_000 + number,
        )
        room = size - len(head) - len(b"]}}")
        whole = text[: text.rindex(b"]", 0, room) + 1]
        messages.append(head + whole + b" " * (room - len(whole)) + b"]}}")
    return messages, chosen


def block(count: int = BLOCK) -> tuple[bytes, list[int], list[int]]:
    """`count` trades as one run of frames, the offset at which each frame ends, and each one's channel index."""
    messages, chosen = trades(count)
    frames = [frame(message) for message in messages]
    return b"".join(frames), list(accumulate(map(len, frames))), chosen


def kept(chosen: list[int], messages: int, capacity: int) -> int:
    """How many messages queues of `capacity` hold after `messages` of a repeated block; the end message counts too."""
    rounds, rest = divmod(messages, len(chosen))
    counts = [0] * len(CHANNELS)
    for index in chosen:
        counts[index] += rounds
    for index in chosen[:rest]:
        counts[index] += 1
    return sum(min(capacity, count) if capacity else count for count in counts) + 1
