"""The traffic of the trials: trades of a combined stream on as many channels as asked for, few busy and many quiet."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import accumulate
from typing import Any

END = "end"
BLOCK = 100_000
# The channels of ticks, and the digits of a tick's time.
TICKING = 100
STAMP = 20
_SENT = b'"sent":"'


def frame(payload: bytes) -> bytes:
    """An unmasked text frame (RFC 6455 section 5.2), as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def names(count: int) -> list[str]:
    """The names of `count` channels, all of one length."""
    return [f"sym{number:05d}usdt@trade" for number in range(count)]


def request(channel: str) -> dict[str, Any]:
    """What a client sends to subscribe."""
    return {"method": "SUBSCRIBE", "params": [channel], "id": 1}


def trade(channel: str, number: int, price: float) -> bytes:
    symbol = channel.partition("@")[0].upper()
    return (
        b'{"stream":"%s","data":{"e":"trade","E":%d,"s":"%s","t":%d,"p":"%.8f","q":"0.00120000","T":%d,"m":true,"M":true}}'
        % (
            channel.encode(),
            1_712_345_678_000 + number,
            symbol.encode(),
            3_000_000_000 + number,
            price,
            1_712_345_677_999,
        )
    )


@lru_cache(maxsize=2)
def trades(channels: int, count: int = BLOCK) -> tuple[bytes, list[int]]:
    """`count` trades as one run of frames, and the offset at which each frame ends.

    The channel of rank r has a share of 1/r. Ranks are dealt out at random: channels that were subscribed to one after
    another are no neighbours in the traffic.
    """
    source = random.Random(channels)
    ranked = names(channels)
    source.shuffle(ranked)
    shares = list(accumulate(1 / rank for rank in range(1, channels + 1)))
    chosen = source.choices(ranked, cum_weights=shares, k=count)
    frames = [frame(trade(channel, number, 100 * source.random())) for number, channel in enumerate(chosen)]
    return b"".join(frames), list(accumulate(map(len, frames)))


def one_each(channels: int) -> bytes:
    """One trade on every channel, as a run of frames."""
    return b"".join(frame(trade(channel, number, 1.0)) for number, channel in enumerate(names(channels)))


def tick(channel: str, number: int) -> tuple[bytes, bytes]:
    """What stands before and behind the time in a tick's frame: `STAMP` digits of CLOCK_MONOTONIC, nanoseconds."""
    whole = frame(trade(channel, number, 1.0)[:-2] + b"," + _SENT + b"0" * STAMP + b'"}}')
    return whole[: -STAMP - 3], whole[-3:]


def sent_at(payload: bytes) -> int:
    """The time in a tick."""
    start = payload.rindex(_SENT) + len(_SENT)
    return int(payload[start : start + STAMP])
