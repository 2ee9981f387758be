"""The two twins, and the two ways of the pure one, give the same answer for any bytes; and none is read that is not
there."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import random
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetsocket.hot import keys_py
from jetsocket.hot.key_grammar import plan_of
from jetsocket.hot.keys_scan_py import scan

from .json_texts import FRAGMENTS, messages, mutations, specs

PLAIN_SPECS = [
    "a",
    "a.a",
    "[0]",
    "[1].a",
    "a|[0]",
    "{a}{a[0]}",
    "{a.a|a}x",
    r'"a\"a"',
    '"\\\\"',
    "a[0]|a[1]|a",
    "a.b|a.a",
]


def compiled_key(spec: str) -> keys_py.ChannelKey:
    key: keys_py.ChannelKey = import_module("jetsocket.hot.keys_c").ChannelKey(spec)
    return key


def assert_agreement(spec: str, payload: bytes) -> None:
    expected = scan(plan_of(spec), payload)
    assert keys_py.ChannelKey(spec).find(payload) == expected
    assert compiled_key(spec).find(payload) == expected


@given(spec=specs, payload=st.one_of(mutations(), mutations(), messages(), st.binary(max_size=200)))
@settings(max_examples=400, deadline=None)
def test_any_bytes(spec: str, payload: bytes) -> None:
    assert_agreement(spec, payload)


@given(spec=specs, payload=mutations())
@settings(max_examples=100, deadline=None)
def test_every_beginning_of_a_text(spec: str, payload: bytes) -> None:
    plan, pure, compiled = plan_of(spec), keys_py.ChannelKey(spec), compiled_key(spec)
    for end in range(len(payload)):
        expected = scan(plan, payload[:end])
        assert pure.find(payload[:end]) == compiled.find(payload[:end]) == expected


def test_every_short_text() -> None:
    keys = [(keys_py.ChannelKey(spec).find, compiled_key(spec).find) for spec in ("a", "[0]", "{a.a|a}x")]
    for length in range(6):
        for symbols in itertools.product(b'{}[]:,"\\a0', repeat=length):
            payload = bytes(symbols)
            for pure, compiled in keys:
                assert pure(payload) == compiled(payload)


def test_every_short_ending() -> None:
    """What follows an opened object or string, up to four bytes."""
    for beginning in (b'{"a":', b'[{"a":"', b'{"":[', b'{"a', b'[[[],"\\'):
        keys = [(keys_py.ChannelKey(spec).find, compiled_key(spec).find) for spec in ("a", "[0].a", "{a[0]|a}")]
        for symbols in itertools.product(b'{}[]:,"\\a1- .', repeat=4):
            payload = beginning + bytes(symbols)
            for pure, compiled in keys:
                assert pure(payload) == compiled(payload)


@pytest.mark.parametrize("seed", range(4))
def test_heaps_of_fragments(seed: int) -> None:
    fragments = [*FRAGMENTS, b"{", b"}", b"[", b"]", b",", b'"', b'"b":', b'","', b'"a":"', b"true", b"-1.5e3", b'""']
    keys = [(plan_of(spec), keys_py.ChannelKey(spec), compiled_key(spec)) for spec in PLAIN_SPECS]
    chosen = random.Random(seed)
    for _ in range(1500):
        beginning = chosen.choice([b"", b'{"a":', b'[{"a":[', b'{"b":{'])
        payload = beginning + b"".join(chosen.choices(fragments, k=chosen.randrange(1, 16)))
        for plan, pure, compiled in keys:
            assert pure.find(payload) == compiled.find(payload) == scan(plan, payload), (pure, payload)


def test_every_byte_in_every_place() -> None:
    for spec, payload in (
        ("a", b'{"b":1,"a":"xy"}'),
        ("[1]", b"[null,-1.5e3 ]"),
        ("{a}|{b}", rb'{"a":"\u00e9","b":1}'),
    ):
        for at in range(len(payload)):
            for byte in range(256):
                assert_agreement(spec, payload[:at] + bytes([byte]) + payload[at + 1 :])


@pytest.fixture
def guarded() -> Iterator[int]:
    """The address of a page that cannot be read, behind pages that can."""
    libc = ctypes.CDLL(None)
    pages = mmap.mmap(-1, 5 * mmap.PAGESIZE)
    buffer = ctypes.c_char.from_buffer(pages)
    guard = ctypes.addressof(buffer) + 4 * mmap.PAGESIZE
    assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    yield guard
    assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(mmap.PAGESIZE), 3) == 0
    del buffer
    pages.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory protection is set through Linux's C library")
@pytest.mark.skipif(
    bytes.__basicsize__ != 33, reason="bytes objects are built as a 64-bit CPython with its lock has them"
)
def test_nothing_is_read_beyond_the_message(guarded: int) -> None:
    """Bytes objects are built by hand, so that they end where the readable memory ends, without the usual zero."""
    header_size = bytes.__basicsize__ - 1
    whole = b'{"p":["' + b"y" * 90 + rb'",{"\"":[]}],"q":-1.5e3,"\u0062":"\n","a":"' + "é😀".encode() * 20 + b'"}'
    keys = [compiled_key(spec) for spec in ("a", "b", "{a}{b}", "p[1].x|a", "c", "[0]", "q", "p.x", "n" * 20)]
    endings = [*(whole[:end] for end in range(len(whole) + 1)), *(whole[start:] for start in range(len(whole)))]
    endings += [b'{"' + b"n" * count for count in range(40)]
    endings += [b"[1", b"[-", b"[tru", b"[1e", b'["\\', b'["\\u00', b"\xef\xbb"]
    for payload in endings:
        header = ctypes.string_at(id(payload), header_size)
        address = guarded - len(payload) - header_size
        ctypes.memmove(address, header + payload, header_size + len(payload))
        ctypes.c_ssize_t.from_address(address).value = 1 << 20  # references enough that it is never freed
        at_the_edge = ctypes.cast(address, ctypes.py_object).value
        for key in keys:
            assert key.find(at_the_edge) == key.find(payload)
        del at_the_edge
