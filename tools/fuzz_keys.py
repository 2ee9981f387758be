"""Fuzzes the channel key: where the channel stands in a message, found in its raw bytes.

The compiled ChannelKey, the pure one and the plain scanner that specifies both must agree on any bytes; on valid JSON
also with `json.loads` plus indexing. The same message is looked at as an object of its own, at the end of the readable
memory, and amid others in a decoder's buffer. Where they are built (`fuzzing/key_levels.py`), the compiled modules of
the other vector instructions are held to the same.

An input is, byte by byte:

    options     bits 0 and 1, the key:  0, 1: one of a list    2: drawn from bytes    3: any text
                bits 2 and 3, the message:  0: the bytes as they are    1: JSON drawn from them
                                            2: the same, cut short      3: the same, with a few bytes changed
                bit 4: a byte order mark before it    bits 5 to 7: how many bytes come before it in the buffer
    key         its number in the list, or the number of bytes that follow here and are the key's
    message     all that is left
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple
from zlib import crc32

from jetsocket.hot import keys_py
from jetsocket.hot.key_grammar import NOT_PARSED, KeyPlan, plan_of
from jetsocket.hot.keys_scan_py import scan
from tests.conformance.json_oracle import by_json

from .fuzzing import key_levels
from .fuzzing.drawing import Draw
from .fuzzing.edge_of_memory import AVAILABLE, MOST, Edge
from .fuzzing.json_drawing import SPECS, drawn_spec, drawn_text
from .fuzzing.runner import Target, main, twins

MAX_CHANGES = 4


class Keys(NamedTuple):
    """One channel key in all of its forms."""

    plan: KeyPlan
    pure: keys_py.ChannelKey | None
    compiled: keys_py.ChannelKey
    levels: tuple[tuple[str, keys_py.ChannelKey], ...]


@lru_cache(maxsize=1024)
def _keys(spec: str) -> Keys:
    # The pure one's expressions take milliseconds to compile, thousands of times what all the rest takes: of the keys
    # that are not of the list it is made for one in sixteen. The scanner, whose word is law, has them all.
    pure = keys_py.ChannelKey(spec) if spec in SPECS or crc32(spec.encode("utf-8", "surrogatepass")) % 16 == 0 else None
    compiled = twins("keys")[0].ChannelKey(spec)
    levels = tuple((level, module.ChannelKey(spec)) for level, module in key_levels.built().items())
    return Keys(plan_of(spec), pure, compiled, levels)


@cache
def _edge() -> Edge:
    return Edge()


def one_input(data: bytes) -> None:
    draw = Draw(data)
    options = draw.byte()
    spec = _spec(draw, options & 3)
    if spec is None:
        return
    payload = _message(draw, options >> 2 & 3)
    if options & 0x10:
        payload = b"\xef\xbb\xbf" + payload
    _check(spec, payload)
    _check_routed(spec, payload, (options >> 5) * 9)


def _spec(draw: Draw, way: int) -> str | None:
    """The channel key; None for a text that is none, of which both twins must say so."""
    if way < 2:
        return draw.chosen(SPECS)
    drawn = draw.taken(draw.byte())
    if way == 2:
        return drawn_spec(Draw(drawn))
    text = drawn.decode("utf-8", "surrogateescape")
    try:
        plan_of(text)
    except ValueError as error:
        said = str(error)
    else:
        return text
    try:
        made = twins("keys")[0].ChannelKey(text)
    except ValueError as error:
        told = str(error)
    else:
        told = repr(made)
    assert told == said, f"of the key {text!r}, pure says {said!r}, compiled {told!r}"
    return None


def _message(draw: Draw, way: int) -> bytes:
    if way == 0:
        return draw.rest()
    if way == 1:
        return drawn_text(draw)
    if way == 2:
        end = draw.number()
        text = drawn_text(draw)
        return text[: end % (len(text) + 1)]
    changes = [(draw.number(), draw.below(4), draw.taken(draw.below(4))) for _ in range(1 + draw.below(MAX_CHANGES))]
    changed = bytearray(drawn_text(draw))
    for at, removed, added in changes:
        at %= len(changed) + 1
        changed[at : at + removed] = added
    return bytes(changed)


def _check(spec: str, payload: bytes) -> None:
    keys = _keys(spec)
    expected = scan(keys.plan, payload)
    message = f"the key {spec!r} in {payload!r}: the scanner says {expected!r}"
    found = keys.compiled.find(payload)
    assert found == expected, f"{message}, compiled {found!r}"
    for level, key in keys.levels:
        found = key.find(payload)
        assert found == expected, f"{message}, {level} {found!r}"
    if AVAILABLE and len(payload) <= MOST:
        for key in (keys.compiled, *(key for _, key in keys.levels)):
            found = key.find(_edge().placed(payload))
            assert found == expected, f"{message}, compiled at the edge of memory {found!r}"
    if keys.pure is not None:
        found = keys.pure.find(payload)
        assert found == expected, f"{message}, pure {found!r}"
        found, parsed = keys.pure.find_parsed(payload)
        assert found == expected, f"{message}, pure's find_parsed {found!r}"
        if parsed is not NOT_PARSED:
            # By their texts: NaN is not equal to itself.
            assert repr(parsed) == repr(json.loads(payload)), f"{message}, and the message is parsed as {parsed!r}"
    try:
        told = by_json(spec, payload)
    except (ValueError, RecursionError):
        return
    assert told == expected, f"{message}, json.loads and indexing {told!r}"


def _check_routed(spec: str, payload: bytes, before: int) -> None:
    """Amid other messages in a buffer: what stands around a message must not matter."""
    frames, rings, routers = (twins(room)[0] for room in ("frames", "ring", "router"))
    key = _keys(spec)
    channel = key.compiled.find(payload)
    ring, spill = rings.MessageRing(), rings.MessageRing()
    router = routers.Router(key.compiled, spill)
    if channel is not None:
        router.add(channel, ring)
    # A string on its own has no channel, whatever the key.
    other = (b'"{["a":' * 10)[:before]
    decoder = frames.FrameDecoder(router)
    decoder.feed(_frame(other) + _frame(payload) + _frame(other), 1)
    got = [bytes(ring.take()[0]) for _ in range(len(ring))]
    spilt = [bytes(spill.take()[0]) for _ in range(len(spill))]
    expected = ([], [other, payload, other]) if channel is None else ([payload], [other, other])
    assert (got, spilt) == expected, (
        f"the key {spec!r} in {payload!r}: find() says {channel!r}, a router's ring got {got!r}, the rest {spilt!r}"
    )


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 65536:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


MESSAGES = [
    *(
        b"",
        b"1",
        b'"a"',
        b"[]",
        b"{}",
        b"[1,2]",
        b'[["x"],{"a":"y"},3]',
        b'{"a":1}',
        b'{"a":"x"}',
        b'{"b":{"a":[0]},"a":[1]}',
    ),
    *(
        b'{"a":{"a":"x","b":"y"},"b":-1.5e3}',
        b' {\n"data" : [ {"a":"x"} , true ] } ',
        rb'{"\u0061":"\ud83d\ude00","b":"\n"}',
    ),
    b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"0.001","a":"x"},"a":"y"}',
    b'{"data":{"asks":[["1.5","2"],["1.6","3"]],"bids":[],"text":"\\"]}\\\\"},"b":null,"a":"c"}',
    '{"é":"ü","😀":[false,NaN,Infinity],"n":{"a.b":0}}'.encode(),
]
"""What seeds are made of, each with each key of the list."""


def seeds() -> Iterator[bytes]:
    for number in range(len(SPECS)):
        yield from (bytes((0, number)) + message for message in MESSAGES[number % 2 :: 2])
        # Decisions: an object of a few members, then whatever.
        yield (
            bytes((0x04, number, 1, 0, 3, 0, 4))
            + b"x\0"
            + bytes((1, 1, 0, 2, 0, 0, 3, 4))
            + b"y\x90\0"
            + bytes((2, 5))
            + b"z"
        )
    for text in (b"a", b"{a}:{b}", b"data[0].a|a", b'"\\u00e9"', b"{", b"a..b", b"[01]", b"x{{}}{a|b}"):
        yield bytes((0x03, len(text))) + text + MESSAGES[9]
        yield bytes((0x12, 4, 1, 2, 3, 4)) + MESSAGES[10]


WORDS = (
    b'{"a":',
    b'"data":',
    b'"b":"',
    b"[[",
    b"]]",
    b"}}",
    rb"\u00e9",
    rb"\ud83d",
    rb"\\",
    b'\\"',
    b"true",
    b"null",
    b"-1.5e3",
)
TARGET = Target("keys", one_input, seeds, instrument=("jetsocket.hot.keys_scan_py",), words=WORDS, max_len=512)

if __name__ == "__main__":
    try:
        os.environ[key_levels.VARIABLE] = str(key_levels.build())
    except RuntimeError as error:
        sys.exit(str(error))
    sys.exit(main(TARGET))
