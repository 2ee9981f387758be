"""FrameDecoder on what a peer must not send: every fault of RFC 6455, judged as early as its bytes allow; and any bytes
at all, cut anywhere, decoded alike by both twins and by a plain parser of the whole."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tracemalloc
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Outcome,
    frame,
    header,
    judge,
    may_become_text,
    run,
    three_ways,
)

BOTH = [Twin("compiled"), Twin("pure")]
FIRST = frame(TEXT, b"before")


def earliest_fault(twin: Twin, data: bytes, **options: int) -> tuple[int, int]:
    """The fault's code, and how many bytes of `data` it took."""
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing(), **options)
    for i in range(len(data)):
        decoder.feed(data[i : i + 1], 1)
        if decoder.fault is not None:
            return decoder.fault.code, i + 1
    raise AssertionError("no fault")


FAULTS = {
    "reserved bit 2": (frame(TEXT, b"x", rsv=2), 1),
    "reserved bit 3": (frame(TEXT, b"x", rsv=1), 1),
    "rsv1 without compression": (frame(TEXT, b"x", rsv=4), 1),
    "all reserved bits": (frame(BINARY, b"x", rsv=7), 1),
    "rsv1 on a ping": (frame(PING, b"x", rsv=4), 1),
    "masked text": (frame(TEXT, b"x", masked=True), 2),
    "masked empty": (frame(BINARY, masked=True), 2),
    "masked ping": (frame(PING, masked=True), 2),
    "masked long": (frame(BINARY, b"x" * 200, masked=True), 2),
    "fragmented ping": (frame(PING, fin=False), 1),
    "fragmented close": (frame(CLOSE, fin=False), 1),
    "long ping": (frame(PING, b"x" * 126), 2),
    "very long pong": (frame(PONG, b"x" * 70_000), 2),
    "long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 2),
    "short ping in a long form": (frame(PING, b"x", width=2), 2),
    "continuation of nothing": (frame(CONT, b"x"), 1),
    "unfinished continuation of nothing": (frame(CONT, b"x", fin=False), 1),
    "continuation of a whole message": (frame(TEXT, b"x") + frame(CONT, b"y"), 4),
    "text within text": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 4),
    "binary within text": (frame(TEXT, b"x", fin=False) + frame(BINARY, b"y", fin=False), 4),
    "rsv1 on a continuation": (frame(TEXT, b"x", fin=False) + frame(CONT, b"y", rsv=4), 4),
    "0 in 16 bits": (frame(TEXT, b"", width=2), 4),
    "125 in 16 bits": (frame(BINARY, b"x" * 125, width=2), 4),
    "125 in 64 bits": (frame(TEXT, b"x" * 125, width=8), 10),
    "65535 in 64 bits": (frame(BINARY, b"x" * 65535, width=8), 10),
    "2**63": (header(0x82, 127, (2**63).to_bytes(8, "big")), 10),
    "2**64 - 1": (header(0x81, 127, b"\xff" * 8), 10),
    "2**64 - 1 in a continuation": (frame(TEXT, b"x", fin=False) + header(0x80, 127, b"\xff" * 8), 13),
}
for reserved in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    FAULTS[f"opcode {reserved}"] = (frame(reserved, b"x"), 1)


@pytest.mark.parametrize("name", FAULTS)
def test_protocol_errors(twin: Twin, name: str) -> None:
    data, needed = FAULTS[name]
    assert earliest_fault(twin, FIRST + data) == (1002, len(FIRST) + needed)
    told = three_ways(twin, FIRST + data)
    assert told.fault == 1002
    assert told.messages[0] == (b"before", False)
    assert told == judge(FIRST + data)


@pytest.mark.parametrize("name", FAULTS)
def test_both_twins_say_the_same_of_it(name: str) -> None:
    data, _ = FAULTS[name]
    faults = []
    for twin in BOTH:
        decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
        assert decoder.feed(data, 1) == []
        faults.append(tuple(decoder.fault))
    assert faults[0] == faults[1]


def test_a_fault_is_set_once_and_all_that_follows_is_ignored(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    assert decoder.feed(frame(PING, b"p") + b"\xff", 1) == [(PING, b"p")]
    fault = decoder.fault
    assert decoder.feed(frame(TEXT, b"x") + frame(PING) + frame(CLOSE), 1) is None
    assert decoder.feed(b"\x83", 1) is None
    assert decoder.feed(bytes(1_000_000), 1) is None
    assert decoder.resume() is None
    assert decoder.fault is fault
    assert not decoder.closed
    assert len(ring) == 0
    assert len(decoder.get_buffer()) <= 512 * 1024


# Limits.


def test_the_limit(twin: Twin) -> None:
    for limit in (1, 5, 125, 126, 200, 65535, 65536, 70_000):
        exact, over = b"x" * limit, b"x" * (limit + 1)
        assert run(twin, [frame(BINARY, exact)], max_message_size=limit) == Outcome([(exact, True)], frames=1)
        told = run(twin, [frame(TEXT, exact) + frame(TEXT, over) + frame(TEXT, b"")], max_message_size=limit)
        assert told == Outcome([(exact, False)], fault=1009, frames=1)


def test_the_limit_counts_all_fragments(twin: Twin) -> None:
    data = frame(TEXT, b"12345", fin=False) + frame(CONT, b"", fin=False) + frame(PING, b"x" * 100)
    assert three_ways(twin, data + frame(CONT, b"67890"), max_message_size=10).messages == [(b"1234567890", False)]
    assert earliest_fault(twin, data + frame(CONT, b"678901"), max_message_size=10) == (1009, len(data) + 2)
    assert three_ways(twin, data + frame(CONT, b"678901"), max_message_size=10).fault == 1009


def test_the_limit_does_not_hold_for_control_frames(twin: Twin) -> None:
    assert three_ways(twin, frame(PING, b"x" * 125), max_message_size=4).fault is None


@pytest.mark.parametrize("size", [2**26 + 1, 2**31, 2**32, 2**32 + 5, 2**40, 2**63 - 1])
def test_a_length_over_the_limit_takes_no_memory(twin: Twin, size: int) -> None:
    data = header(0x81, 127, size.to_bytes(8, "big"))
    tracemalloc.start()
    assert earliest_fault(twin, data) == (1009, 10)
    # In a fragment the sum must not wrap.
    assert earliest_fault(twin, frame(TEXT, b"12345", fin=False) + header(0x80, *data[1:2], data[2:]))[0] == 1009
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("size", [2**40, 2**63 - 1])
def test_a_length_without_a_limit_takes_no_memory_before_its_bytes_come(twin: Twin, size: int) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing(), max_message_size=0)
    tracemalloc.start()
    decoder.feed(header(0x82, 127, size.to_bytes(8, "big")) + b"some", 1)
    assert len(decoder.get_buffer()) < 1_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert decoder.fault is None
    assert decoder.in_message


def test_fragments_without_a_limit_cannot_wrap(twin: Twin) -> None:
    data = frame(BINARY, b"12345", fin=False) + header(0x80, 127, (2**63 - 1).to_bytes(8, "big"))
    assert three_ways(twin, data, max_message_size=0).fault == 1009


# Text.

BAD_TEXT = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\xff",
    b"\xc3(", b"\xe2\x82(", b"\xe2(\xac", b"\xf0\x9f\x98(", b"\xf0\x9f(\x80", b"\xc3\xc3", b"\xe2\x82\xe2",
]  # fmt: skip


def offence(data: bytes) -> int:
    """How many bytes of `data` it takes until no valid text can begin so; 0: one can."""
    return next((end for end in range(1, len(data) + 1) if not may_become_text(data[:end])), 0)


@pytest.mark.parametrize("bad", BAD_TEXT, ids=lambda bad: bad.hex())
def test_invalid_text_fails_at_the_offending_byte(twin: Twin, bad: bytes) -> None:
    for lead in (b"", b"a", "\u20ac".encode(), b"x" * 130):
        payload = lead + bad + b"after"
        data = frame(TEXT, payload)
        head = len(data) - len(payload)
        assert earliest_fault(twin, data) == (1007, head + len(lead) + offence(bad))
        assert three_ways(twin, FIRST + data) == Outcome([(b"before", False)], fault=1007, frames=1)
        # Also in the middle of a frame that never ends, and across fragments.
        assert run(twin, [header(0x81, 127, (2**20).to_bytes(8, "big")) + payload[:-5]]).fault == 1007
        for cut in range(len(payload)):
            pieces = frame(TEXT, payload[:cut], fin=False) + frame(PING) + frame(CONT, payload[cut:])
            assert three_ways(twin, pieces) == judge(pieces)


@pytest.mark.parametrize("unfinished", [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98"])
def test_unfinished_text(twin: Twin, unfinished: bytes) -> None:
    assert three_ways(twin, frame(TEXT, b"ab" + unfinished)).fault == 1007
    assert three_ways(twin, frame(TEXT, unfinished, fin=False) + frame(CONT)).fault == 1007
    assert three_ways(twin, frame(TEXT, unfinished, fin=False) + frame(CONT, b"", fin=False)).fault is None
    # The next message starts from nothing again.
    assert three_ways(twin, frame(BINARY, unfinished) + frame(TEXT, b"\xbf")).fault == 1007


def test_text_of_every_short_sequence(twin: Twin) -> None:
    edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE]
    edges += [0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]
    decoder_of, ring_of = twin.frames.FrameDecoder, twin.ring.MessageRing
    for length in (1, 2, 3):
        for symbols in itertools.product(edges, repeat=length):
            payload = bytes(symbols)
            decoder = decoder_of(ring_of())
            decoder.feed(frame(TEXT, payload), 1)
            try:
                payload.decode()
            except UnicodeDecodeError:
                assert decoder.fault is not None, payload
            else:
                assert decoder.fault is None, payload
            # Unfinished, it fails exactly when nothing can make text of it.
            decoder = decoder_of(ring_of())
            decoder.feed(frame(TEXT, payload, fin=False), 1)
            assert (decoder.fault is not None) == bool(offence(payload)), payload


@given(st.binary(max_size=200), st.integers(0, 140))
@settings(max_examples=300, deadline=None)
def test_text_against_bytes_decode(payload: bytes, shift: int) -> None:
    payload = b"." * shift + payload
    for twin in BOTH:
        told = run(twin, [frame(TEXT, payload)])
        try:
            payload.decode()
        except UnicodeDecodeError:
            assert told.fault == 1007
        else:
            assert told.messages == [(payload, False)]


# Compression.


def to_garbage(data: bytes, limit: int) -> bytes:
    return b"\xff"


def test_a_fault_of_a_compressed_message_ends_it_too(twin: Twin) -> None:
    def inflate(data: bytes, limit: int) -> bytes:
        raise twin.frames.InflateError(1007, "no deflate")

    data = FIRST + frame(TEXT, b"?", rsv=4) + frame(TEXT, b"after") + frame(PING)
    assert three_ways(twin, data, inflate=inflate) == Outcome([(b"before", False)], fault=1007, frames=2)
    data = FIRST + frame(TEXT, b"?", rsv=4, fin=False) + frame(CONT) + frame(TEXT, b"after")
    assert three_ways(twin, data, inflate=inflate) == Outcome([(b"before", False)], fault=1007, frames=3)
    told = three_ways(twin, FIRST + frame(TEXT, b"?", rsv=4) + frame(TEXT, b"after"), inflate=to_garbage)
    assert told == Outcome([(b"before", False)], fault=1007, frames=2)


def test_rsv1_only_on_the_first_frame_of_data(twin: Twin) -> None:
    def inflate(data: bytes, limit: int) -> bytes:
        return data

    for data in (
        frame(PING, b"", rsv=4),
        frame(CLOSE, b"", rsv=4),
        frame(CONT, b"", rsv=4),
        frame(TEXT, b"a", fin=False, rsv=4) + frame(CONT, b"b", rsv=4),
        frame(TEXT, b"a", rsv=6),
        frame(TEXT, b"a", rsv=5),
    ):
        assert three_ways(twin, data, inflate=inflate).fault == 1002


def test_compressed_bytes_over_the_limit_are_not_inflated(twin: Twin) -> None:
    def inflate(data: bytes, limit: int) -> bytes:
        raise AssertionError("inflated")

    assert three_ways(twin, frame(BINARY, b"123456", rsv=4), inflate=inflate, max_message_size=5).fault == 1009


# Memory.

NO_MEMORY = """
import resource
from jetsocket.hot.{frames} import FrameDecoder
from jetsocket.hot.{ring} import MessageRing

decoder = FrameDecoder(MessageRing(), max_message_size=0)
decoder.feed(b"\\x82\\x02ok", 1)
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, resource.RLIM_INFINITY))
chunk = bytes(1 << 20)
decoder.feed(b"\\x82\\x7f" + (1 << 32).to_bytes(8, "big"), 1)
try:
    for _ in range(4096):
        decoder.feed(chunk, 1)
except MemoryError:
    print("MemoryError", decoder.fault, decoder.in_message)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS is honoured by Linux alone")
def test_out_of_memory_raises(twin: Twin) -> None:
    suffix = "c" if twin.kind == "compiled" else "py"
    script = NO_MEMORY.format(frames=f"frames_{suffix}", ring=f"ring_{suffix}")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("MemoryError None True\n", "")


def test_a_compiled_decoder_cannot_be_had_without_its_sink() -> None:
    frames_c, ring_c, sieve_c = (import_module(f"jetsocket.hot.{room}_c") for room in ("frames", "ring", "sieve"))
    with pytest.raises(TypeError):
        frames_c.FrameDecoder.__new__(frames_c.FrameDecoder)
    with pytest.raises(TypeError):
        frames_c.FrameDecoder(None)
    with pytest.raises(TypeError, match="Sink cannot take messages from a compiled decoder"):
        frames_c.FrameDecoder(ring_c.Sink())
    with pytest.raises(TypeError, match="Sink cannot take messages from a compiled decoder"):
        sieve_c.Sieve(ring_c.Sink(), bytes)
