"""What a transport reads into: a decoder's buffer, which grows, shrinks, and is replaced."""

from __future__ import annotations

import pytest

from .conftest import Twin
from .wire import BINARY, TEXT, drained, frame

PAYLOAD = bytes(range(100))


def test_buffer_and_commit(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    data = frame(BINARY, PAYLOAD)
    for at in range(0, len(data), 7):
        piece = data[at : at + 7]
        space = decoder.get_buffer(-1)
        assert isinstance(space, memoryview)
        assert not space.readonly
        assert len(space) >= 16384
        space[: len(piece)] = piece
        decoder.commit(len(piece), 1)
    assert drained(ring) == [(PAYLOAD, True)]


def test_commit_of_bad_counts(twin: Twin) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
    size = len(decoder.get_buffer())
    for count in (-1, size + 1, 2**62, -(2**62)):
        with pytest.raises(ValueError, match=r"commit\(\) of"):
            decoder.commit(count, 1)
    with pytest.raises(TypeError):
        decoder.commit(None, 1)
    assert decoder.bytes_received == 0
    assert decoder.commit(0, 1) is None
    decoder.feed(frame(BINARY, bytes(1000))[:500], 1)
    with pytest.raises(ValueError, match=r"commit\(\) of"):
        decoder.commit(size, 1)


def test_a_full_buffer_can_be_committed_again_and_again(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    rest = memoryview(frame(TEXT, b"x" * 100) * 20_000)
    while rest:
        space = decoder.get_buffer()
        count = min(len(space), len(rest))
        space[:count] = rest[:count]
        rest = rest[count:]
        assert decoder.commit(count, 1) is None
        assert len(space) <= 512 * 1024
    assert drained(ring) == [(b"x" * 100, False)] * 20_000


def test_an_old_view_outlives_growth(twin: Twin) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
    old = decoder.get_buffer()
    old[:3] = b"old"
    data = frame(BINARY, bytes(4_000_000))
    decoder.feed(data[:-1], 1)
    new = decoder.get_buffer()
    old[:] = b"\xff" * len(old)
    new[:1] = b"\0"
    decoder.commit(1, 1)
    assert decoder.fault is None
    assert not decoder.in_message
    del decoder
    old[0] = new[0] = 7
    assert (old[0], new[0]) == (7, 7)


def test_the_buffer_grows_for_a_large_frame_and_shrinks_again(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    payload = bytes(10_000_000)
    data = frame(BINARY, payload)
    largest = 0
    for at in range(0, len(data), 60_000):
        decoder.feed(data[at : at + 60_000], 1)
        largest = max(largest, decoder.get_buffer().nbytes)
    assert ring.take()[0] == payload
    assert largest < 4 * len(payload)
    for _ in range(20):
        decoder.feed(frame(TEXT, b"small"), 1)
    assert len(decoder.get_buffer()) <= 256 * 1024


def test_a_full_read_asks_for_larger_ones(twin: Twin) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
    sizes = []
    for _ in range(4):
        space = decoder.get_buffer()
        sizes.append(len(space))
        space[:] = frame(BINARY, b"") * (len(space) // 2)
        assert decoder.commit(len(space), 1) is None
    assert sizes == [65536, 131072, 262144, 262144]


def test_it_does_not_shrink_while_a_message_is_being_assembled(twin: Twin) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
    decoder.feed(frame(BINARY, bytes(1_000_000), fin=False), 1)
    large = len(decoder.get_buffer())
    assert large > 1_000_000
    for _ in range(20):
        assert len(decoder.get_buffer()) == large
    decoder.feed(frame(0, b""), 1)
    for _ in range(20):
        decoder.get_buffer()
    assert len(decoder.get_buffer()) <= 256 * 1024
