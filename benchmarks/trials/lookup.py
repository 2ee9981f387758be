"""What finding a message's channel costs where it stands far behind, and where two paths name it.

A key that stands last is found by skipping all that comes before it. The figure is the text skipped in a second of CPU
time, net of everything else: the same messages with the key first take the same decoding, the same check of UTF-8 and
the same table, and the difference is the skipping. The text is nested JSON as exchanges send it: levels of a book,
trades, account records; numbers as strings, now and then an escape. No two messages of a run are alike.

A template of two paths is held against a path alone, on messages as OKX sends them. The lookup in both cases is what a
decoder that feeds a router takes beyond one that feeds a full queue which drops what is new: that looks for nothing and
copies nothing. The channels have no queues in the router, so that nothing is copied there either.

Where it counts, in a decoder that feeds a router, nothing is made of the key but a hash (this is what the bounds are
for). `ChannelKey.find()` makes a text of it, and costs a call: its figures are net of that, by a call with an
empty message, but the text is in them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from benchmarks.findings import Finding
from benchmarks.trials.feed import frame
from benchmarks.trials.rounds import cpu_medians

ROUNDS = 61
# Bytes of text before the key, and how many messages of it: together no more than the second-level cache holds.
SIZES = {"1 KB": (1_000, 400), "100 KB": (100_000, 4)}
LEAST_GB = 2.0
MOST_OF_ONE_PATH = 1.5
INSTRUMENTS = [f"{coin}-{quote}" for coin in ("BTC", "ETH", "SOL", "XRP", "DOGE") for quote in ("USDT", "USD", "EUR")]
TICKER = ["last", "lastSz", "askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"]
TEMPLATE, PATH = "{arg.channel}:{arg.instId}", "arg.instId"


def price(source: random.Random) -> str:
    return f"{source.uniform(1, 70_000):.8f}"


def book(source: random.Random) -> dict[str, Any]:
    sides = {side: [[price(source), price(source)] for _ in range(source.randint(1, 20))] for side in ("bids", "asks")}
    return {"instId": source.choice(INSTRUMENTS), **sides, "checksum": -source.getrandbits(31), "action": "snapshot"}


def record(source: random.Random) -> dict[str, Any]:
    return {
        "order": {
            "id": str(source.getrandbits(60)),
            "px": price(source),
            "fills": [{"sz": price(source), "fee": None}],
        },
        "note": source.choice(['a "limit" order', "C:\\orders\\new", "Zürich", "as agreed", "line\nbreak"]),
        "post": source.random() < 0.5,
        "time": 1_712_345_678_000 + source.getrandbits(20),
    }


def nested(size: int, source: random.Random) -> bytes:
    """An array of at least `size` bytes, and not many more."""
    parts: list[str] = []
    length = 0
    while length < size:
        # One part in eight is a record, with its text and escapes; all others are of a book.
        made = record(source) if source.random() < 0.125 else book(source)
        parts.append(json.dumps(made, separators=(",", ":")))
        length += len(parts[-1]) + 1
    return f"[{','.join(parts)}]".encode()


def decoding(messages: Sequence[bytes], spec: str, twin: str) -> Callable[[], object]:
    """Decode and look up all of `messages`, as from reads of a socket. Nothing is queued: no channel has a ring."""
    frames, keys, router = (import_module(f"jetsocket.hot.{room}_{twin}") for room in ("frames", "keys", "router"))
    return feeding(frames.FrameDecoder(router.Router(keys.ChannelKey(spec))), messages)


def dropping(messages: Sequence[bytes], twin: str) -> Callable[[], object]:
    """Decode all of `messages`, and nothing else."""
    frames, ring = (import_module(f"jetsocket.hot.{room}_{twin}") for room in ("frames", "ring"))
    full = ring.MessageRing(1, overflow="drop_newest")
    full.accept(b"", False, 0)
    return feeding(frames.FrameDecoder(full), messages)


def feeding(decoder: Any, messages: Sequence[bytes]) -> Callable[[], object]:
    data = b"".join(map(frame, messages))
    return lambda: decoder.feed(data, 0)


def finding(messages: Sequence[bytes], spec: str, twin: str) -> Callable[[], object]:
    """Call `find()` for each of `messages`."""
    find = import_module(f"jetsocket.hot.keys_{twin}").ChannelKey(spec).find

    def work() -> None:
        for message in messages:
            find(message)

    return work


def skipped(name: str, size: int, count: int, rounds: int, twin: str) -> list[Finding]:
    """GB of text a second that lookup skips, in a decoder and by `find()`."""
    source = random.Random(size)
    texts = [nested(size, source) for _ in range(count)]
    keys = [b'"topic":"%s@depth"' % source.choice(INSTRUMENTS).encode() for _ in range(count)]
    last = [b'{"data":%s,%s}' % pair for pair in zip(texts, keys, strict=True)]
    first = [b'{%s,"data":%s}' % pair for pair in zip(keys, texts, strict=True)]
    again = max(1, 1_000_000 // (size * count))
    cpu = cpu_medians(
        rounds,
        {
            "last": decoding(last * again, "topic", twin),
            "first": decoding(first * again, "topic", twin),
            "find last": finding(last * again, "topic", twin),
            "find first": finding(first * again, "topic", twin),
        },
    )
    total = sum(map(len, texts)) * again
    return [
        Finding(
            f"lookup, key after {name} of nested data, in a decoder",
            total / max(cpu["last"] - cpu["first"], 1),
            "GB/s",
            LEAST_GB,
            at_most=False,
        ),
        Finding(
            f"lookup, key after {name} of nested data, find()",
            total / max(cpu["find last"] - cpu["find first"], 1),
            "GB/s",
            LEAST_GB,
            at_most=False,
        ),
    ]


def okx(source: random.Random) -> bytes:
    """A trade, a best bid and offer, or a ticker: 200 to 430 bytes."""
    instrument = source.choice(INSTRUMENTS)
    time = str(1_712_345_678_000 + source.getrandbits(20))
    channel = source.choice(["trades", "bbo-tbt", "tickers"])
    data: dict[str, Any]
    if channel == "trades":
        number, amount = str(source.getrandbits(30)), price(source)
        data = {"instId": instrument, "tradeId": number, "px": price(source), "sz": amount, "side": "buy", "ts": time}
    elif channel == "bbo-tbt":
        asks, bids = ([[price(source), price(source), "0", "12"]] for _ in range(2))
        data = {"asks": asks, "bids": bids, "ts": time, "seqId": source.getrandbits(31)}
    else:
        data = {"instType": "SPOT", "instId": instrument, **{name: price(source) for name in TICKER}, "ts": time}
    return json.dumps(
        {"arg": {"channel": channel, "instId": instrument}, "data": [data]}, separators=(",", ":")
    ).encode()


def templates(rounds: int, twin: str, template: str = TEMPLATE) -> list[Finding]:
    """What a template of two paths costs, in lookups of one path."""
    source = random.Random(3)
    messages = [okx(source) for _ in range(4000)]
    works = {"none": dropping(messages, twin), "find none": finding([b""] * len(messages), PATH, twin)}
    for name, spec in {"one": PATH, "two": template}.items():
        works[name] = decoding(messages, spec, twin)
        works[f"find {name}"] = finding(messages, spec, twin)
    cpu = cpu_medians(rounds, works)
    of = f"lookup, {TEMPLATE}, of {PATH} alone"
    found = []
    for way, manner in (("", "in a decoder"), ("find ", "find() and its text")):
        one, two = (cpu[f"{way}{name}"] - cpu[f"{way}none"] for name in ("one", "two"))
        bound = None if way else MOST_OF_ONE_PATH
        found.append(Finding(f"{of}, {manner}", two / max(one, 1), "times", bound))
        found.append(Finding(f"lookup, {PATH}, {manner}", one / len(messages), "ns"))
    return found


def measure(rounds: int = ROUNDS, twin: str = "c") -> list[Finding]:
    """Lookup far behind, and of two paths; `twin` is c or py."""
    found: list[Finding] = []
    for name, (size, count) in SIZES.items():
        found += skipped(name, size, count, rounds, twin)
    return found + templates(rounds, twin)
