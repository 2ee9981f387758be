"""Objects made twice, by half, or copied; impossible numbers; no memory, no time: an error, and never a message that
was not sent, or memory that is not ours."""

from __future__ import annotations

import copy
import gc
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Twin
from .wire import BINARY, TEXT, frame


def drain(ring: Any) -> list[bytes]:
    return [ring.take()[0] for _ in range(len(ring))]


# Objects that are made twice, or by half, or copied.


def test_what_holds_messages_is_initialised_once(twin: Twin) -> None:
    ring, other = twin.ring.MessageRing(5), twin.ring.MessageRing()
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    router.add("a", ring)
    sieve = twin.sieve.Sieve(router, lambda payload: payload == b"pong")
    sieve.accept(b'{"s":"a"}', False, 1)
    for made, arguments in (
        (ring, (1,)),
        (router, (twin.keys.ChannelKey("x"),)),
        (sieve, (other, bool)),
        (sieve, (sieve, bool)),
    ):
        with pytest.raises(TypeError, match="is initialised once"):
            made.__init__(*arguments)
    sieve.accept(b'{"s":"a"}', False, 1)
    sieve.accept(b"pong", False, 1)
    assert (len(ring), ring.capacity, len(other), router.routed, sieve.matched) == (2, 5, 0, 2, 1)


def test_a_ring_that_was_refused_its_arguments_can_be_given_better_ones(twin: Twin) -> None:
    ring = twin.ring.MessageRing.__new__(twin.ring.MessageRing)
    with pytest.raises(ValueError, match="capacity"):
        ring.__init__(-1)
    ring.__init__(1)
    ring.accept(b"a", False, 1)
    ring.accept(b"b", False, 1)
    assert drain(ring) == [b"b"]


def test_compiled_objects_without_their_arguments() -> None:
    compiled = Twin("compiled")
    sieve = compiled.sieve.Sieve.__new__(compiled.sieve.Sieve)
    sieve.wake()
    with pytest.raises(NotImplementedError):
        sieve.accept(b"x", False, 1)
    with pytest.raises(TypeError):
        compiled.frames.FrameDecoder(sieve)
    with pytest.raises(TypeError):
        sieve.__init__(sieve, bool)
    kinds = (compiled.frames.FrameDecoder, compiled.keys.ChannelKey, compiled.stream.MessageStream)
    for kind in (*kinds, compiled.watch.Sequence):
        with pytest.raises(TypeError):
            kind.__new__(kind)


def test_compiled_objects_with_memory_of_their_own_are_not_copied() -> None:
    compiled = Twin("compiled")
    ring = compiled.ring.MessageRing()
    router = compiled.router.Router(compiled.keys.ChannelKey("s"), ring)
    stream = compiled.stream.MessageStream(ring, bytes)
    decoder = compiled.frames.FrameDecoder(router)
    sequence = compiled.watch.Sequence("n")
    watch = compiled.watch.Watch(sequence=sequence)
    sieve = compiled.sieve.Sieve(router, bool)
    for thing in (ring, router, sieve, stream, decoder, compiled.ring.Sink(), sequence, watch):
        for copying in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                copying(thing)


@pytest.mark.parametrize("nbytes", [-1, -(2**63), 2**62, 2**63 - 1, 2**63, -(2**70), 2**70])
def test_impossible_counts_are_refused(twin: Twin, nbytes: int) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    decoder.feed(frame(TEXT, b"half")[:3], 1)
    with pytest.raises((ValueError, OverflowError)):
        decoder.commit(nbytes, 1)
    decoder.feed(frame(TEXT, b"half")[3:], 1)
    assert drain(ring) == [b"half"]


@pytest.mark.parametrize("bound", [2**31, 2**32, 2**62, 2**63 - 1])
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block"])
def test_enormous_bounds_are_no_bounds(twin: Twin, bound: int, overflow: str) -> None:
    ring = twin.ring.MessageRing(bound, max_bytes=bound, overflow=overflow)
    for number in range(100):
        assert ring.accept(b"%d" % number, False, 1)
    assert (len(ring), ring.capacity, ring.max_bytes) == (100, bound, bound)


def test_a_view_of_the_buffer_outlives_the_decoder(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    views = [decoder.get_buffer()]
    decoder.feed(frame(BINARY, b"x" * 3_000_000), 1)
    views.append(decoder.get_buffer())
    for view in views:
        view[:] = b"\xff" * len(view)
    assert drain(ring) == [b"x" * 3_000_000]
    decoder.feed(frame(TEXT, b"fine"), 1)
    del decoder
    gc.collect()
    for view in views:
        view[:] = bytes(len(view))
    assert drain(ring) == [b"fine"]


# No memory, no time.


NO_MEMORY = """
import resource, sys
from importlib import import_module
from pathlib import Path

ring = import_module(f"jetsocket.hot.ring_{sys.argv[1]}").MessageRing()
decoder = import_module(f"jetsocket.hot.frames_{sys.argv[1]}").FrameDecoder(ring, max_message_size=0)
size = 1 << 20
head = (size).to_bytes(8, "big")
count = 0
text = "\\N{EURO SIGN}".encode() * size
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 100 * size, resource.RLIM_INFINITY))
try:
    while True:
        # Cut amid a character: what was checked of a fragment that is offered again must not be checked twice.
        piece = text[count * size % 3 :][:size]
        decoder.feed((b"\\x00" if count else b"\\x01") + b"\\x7f" + head + piece, 1)
        count += 1
except MemoryError:
    count += 1
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
decoder.commit(0, 1)
whole = text * (count // 3 + 1)
rest = -count * size % 3
decoder.feed(b"\\x80" + bytes([rest]) + whole[count * size :][:rest], 1)
assert decoder.fault is None, decoder.fault
payload = ring.take()[0]
assert payload == whole[: count * size + rest], (count, len(payload))
assert count > 10
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space, as Linux does")
def test_no_memory_for_a_fragment_leaves_no_gap(twin: Twin) -> None:
    if "asan" in Path("/proc/self/maps").read_text():
        pytest.skip("AddressSanitizer needs an address space without a limit")
    arguments = [sys.executable, "-c", NO_MEMORY, "c" if twin.kind == "compiled" else "py"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def crafted_names(count: int) -> list[str]:
    """Names that all have the same hash under the constants that wyhash-like functions are published with: the last
    word cancels the state that the first two words lead to."""
    everything = 2**64 - 1
    first, second = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
    for number in range(10**6):
        prefix = b"prefix%010d" % number
        low, high = struct.unpack("<QQ", prefix)
        product = (low ^ second) * (high ^ first ^ 32)
        last = struct.pack("<Q", (product ^ product >> 64) & everything)
        if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in last):
            return [(prefix + b"%08d" % i + last).decode() for i in range(count)]
    raise AssertionError("no such name")


def test_names_made_to_collide_do_not(twin: Twin) -> None:
    def seconds(names: list[str]) -> float:
        router, ring = twin.router.Router(twin.keys.ChannelKey("s")), twin.ring.MessageRing(10)
        for name in names:
            router.add(name, ring)
        messages = [b'{"s":"%s"}' % name.encode() for name in names[-1000:]]
        took = []
        for _ in range(3):
            begun = time.perf_counter()
            for message in messages:
                router.accept(message, False, 1)
            took.append(time.perf_counter() - begun)
        assert router.routed == 3000
        return min(took)

    # Without a seed it is hundreds of times as long.
    assert seconds(crafted_names(4000)) < 20 * seconds([f"harmless{i:024}" for i in range(4000)])
