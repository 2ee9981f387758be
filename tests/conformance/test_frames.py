"""FrameDecoder on what a well-behaved peer does: messages, fragments, control frames, compression."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from .conftest import Twin
from .wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Outcome, drained, frame, run, three_ways

SIZES = [0, 1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 124, 125, 126, 127, 128, 255, 256, 257]


def pattern(size: int) -> bytes:
    return bytes(i * 37 & 0xFF for i in range(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_one_message(twin: Twin, size: int, opcode: int) -> None:
    payload = b"x" * size if opcode == TEXT else pattern(size)
    assert three_ways(twin, frame(opcode, payload)) == Outcome([(payload, opcode == BINARY)], frames=1)


@pytest.mark.parametrize("size", [65535, 65536, 65537, 300_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_large_messages(twin: Twin, size: int, opcode: int) -> None:
    payload = b"x" * size if opcode == TEXT else pattern(size)
    data = frame(opcode, payload)
    expected = Outcome([(payload, opcode == BINARY)], frames=1)
    assert run(twin, [data]) == expected
    assert run(twin, [data[i : i + 1009] for i in range(0, len(data), 1009)]) == expected
    assert run(twin, [data + data]).messages == 2 * expected.messages


def test_many_messages_in_one_read(twin: Twin) -> None:
    payloads = [b"%d" % i for i in range(5000)]
    told = run(twin, [b"".join(frame(TEXT, payload) for payload in payloads)])
    assert told == Outcome([(payload, False) for payload in payloads], frames=5000)


def test_nothing(twin: Twin) -> None:
    assert run(twin, []) == run(twin, [b"", b""]) == Outcome()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments(twin: Twin, opcode: int) -> None:
    data = frame(opcode, b"one ", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, b"two ", fin=False)
    data += frame(CONT, b"three") + frame(opcode, b"four")
    expected = [(b"one two three", opcode == BINARY), (b"four", opcode == BINARY)]
    assert three_ways(twin, data) == Outcome(expected, frames=5)


def test_fragments_of_nothing(twin: Twin) -> None:
    data = frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT)
    assert three_ways(twin, data) == Outcome([(b"", False)], frames=3)


def test_large_fragments(twin: Twin) -> None:
    parts = [pattern(size) for size in (100, 70_000, 0, 200_000, 3)]
    frames = [frame(CONT if i else BINARY, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)]
    data = b"".join(frames)
    for step in (1013, 65536, len(data)):
        told = run(twin, [data[i : i + step] for i in range(0, len(data), step)])
        assert told == Outcome([(b"".join(parts), True)], frames=5)


def test_control_frames_between_fragments(twin: Twin) -> None:
    data = frame(PING, b"0") + frame(TEXT, b"a\xe2", fin=False) + frame(PING, b"1") + frame(PONG, b"")
    data += frame(CONT, b"\x82", fin=False) + frame(PING, b"2" * 125) + frame(CONT, b"\xac") + frame(PONG, b"3")
    expected = [(PING, b"0"), (PING, b"1"), (PONG, b""), (PING, b"2" * 125), (PONG, b"3")]
    assert three_ways(twin, data) == Outcome([("a\u20ac".encode(), False)], expected, frames=8)


def test_control_frames_hold_any_bytes(twin: Twin) -> None:
    payload = bytes(range(131, 256))
    assert three_ways(twin, frame(PING, payload)) == Outcome([], [(PING, payload)], frames=1)


def test_events_are_control_tuples(twin: Twin) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
    assert decoder.feed(frame(TEXT, b"x"), 1) is None
    (event,) = decoder.feed(frame(PING, b"y"), 1)
    assert (event.opcode, event.payload) == (PING, b"y")
    assert type(event).__name__ == "Control"


def test_close_ends_it(twin: Twin) -> None:
    data = frame(TEXT, b"last") + frame(CLOSE, b"\x03\xe8bye") + b"\xff\xff\xff garbage" + frame(TEXT, b"never")
    assert three_ways(twin, data) == Outcome([(b"last", False)], [(CLOSE, b"\x03\xe8bye")], closed=True, frames=2)


def test_close_between_fragments(twin: Twin) -> None:
    told = three_ways(twin, frame(TEXT, b"half", fin=False) + frame(CLOSE) + frame(CONT, b"rest"))
    assert told == Outcome([], [(CLOSE, b"")], closed=True, in_message=True, frames=2)


def test_in_message(twin: Twin) -> None:
    data = frame(TEXT, b"ab", fin=False) + frame(PING, b"p") + frame(CONT, b"cd")
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing())
    assert not decoder.in_message
    for i in range(len(data)):
        decoder.feed(data[i : i + 1], 1)
        assert decoder.in_message == (i + 1 < len(data))


def test_counters_and_times(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    data = frame(TEXT, b"abc")
    decoder.feed(data[:2], 10)
    decoder.feed(data[2:] + data, 20)
    decoder.feed(data, 2**62)
    assert [ring.take() for _ in range(3)] == [(b"abc", False, 20), (b"abc", False, 20), (b"abc", False, 2**62)]
    assert (decoder.bytes_received, decoder.frames_received) == (3 * len(data), 3)


def test_utf8_in_every_place(twin: Twin) -> None:
    text = "a\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0010ffff".encode()
    for at in range(len(text) + 1):
        fragments = frame(TEXT, text[:at], fin=False) + frame(PING) + frame(CONT, text[at:])
        assert three_ways(twin, fragments).messages == [(text, False)]
    for shift in range(70):
        payload = b"." * shift + text + b"." * 70
        assert run(twin, [frame(TEXT, payload)]).messages == [(payload, False)]


# Compression.


def always(answer: Any) -> Any:
    def inflate(data: bytes, limit: int) -> Any:
        return answer

    return inflate


def test_compressed_messages(twin: Twin) -> None:
    seen = []

    def inflate(data: bytes, limit: int) -> bytes:
        assert type(data) is bytes
        seen.append(limit)
        return zlib.decompress(data, -15)

    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"squeezed " * 50) + packer.flush()
    data = frame(TEXT, packed, rsv=4) + frame(BINARY, packed[:5], rsv=4, fin=False) + frame(PING)
    data += frame(CONT, packed[5:9], fin=False) + frame(CONT, packed[9:]) + frame(TEXT, b"plain")
    told = three_ways(twin, data, inflate=inflate, max_message_size=1000)
    expected = [(b"squeezed " * 50, False), (b"squeezed " * 50, True), (b"plain", False)]
    assert told == Outcome(expected, [(PING, b"")], frames=6)
    assert set(seen) == {1000}


def test_no_limit_for_inflate_is_no_small_number(twin: Twin) -> None:
    limits = []
    inflate: Any = lambda data, limit: limits.append(limit) or data  # noqa: E731
    run(twin, [frame(BINARY, b"x", rsv=4)], inflate=inflate, max_message_size=0)
    assert limits == [2**63 - 1]


def test_inflated_text_is_checked(twin: Twin) -> None:
    for payload, code in ((b"\xff", 1007), (b"ab\xe2\x82", 1007), ("\u20ac".encode(), None)):
        assert three_ways(twin, frame(TEXT, b"?", rsv=4), inflate=always(payload)).fault == code
        # Binary may be anything.
        assert run(twin, [frame(BINARY, b"?", rsv=4)], inflate=always(payload)).messages == [(payload, True)]


def test_inflate_error_is_a_fault(twin: Twin) -> None:
    def inflate(data: bytes, limit: int) -> bytes:
        raise twin.frames.InflateError(1009, "too much")

    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring, inflate=inflate)
    data = frame(PING) + frame(TEXT, b"a") + frame(TEXT, b"?", rsv=4) + frame(TEXT, b"b")
    assert decoder.feed(data, 1) == [(PING, b"")]
    assert decoder.fault == (1009, "too much")
    assert drained(ring) == [(b"a", False)]


@pytest.mark.parametrize("answer", [None, "text", 5])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_inflate_must_give_bytes(twin: Twin, answer: Any, opcode: int) -> None:
    decoder = twin.frames.FrameDecoder(twin.ring.MessageRing(), inflate=always(answer))
    with pytest.raises(TypeError):
        decoder.feed(frame(opcode, b"?", rsv=4), 1)


def test_whatever_else_inflate_raises_passes_and_the_message_is_gone(twin: Twin) -> None:
    calls = []

    def inflate(data: bytes, limit: int) -> bytes:
        calls.append(data)
        if len(calls) == 1:
            raise ZeroDivisionError
        return data

    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring, inflate=inflate)
    with pytest.raises(ZeroDivisionError):
        decoder.feed(frame(TEXT, b"1", rsv=4) + frame(TEXT, b"2", rsv=4), 1)
    decoder.feed(frame(TEXT, b"3"), 1)
    assert drained(ring) == [(b"2", False), (b"3", False)]


def test_arguments(twin: Twin) -> None:
    ring = twin.ring.MessageRing()
    with pytest.raises(ValueError, match="max_message_size must be non-negative, got -1"):
        twin.frames.FrameDecoder(ring, max_message_size=-1)
    with pytest.raises(TypeError):
        twin.frames.FrameDecoder(ring, 5)
    with pytest.raises(TypeError):
        twin.frames.FrameDecoder(ring).feed(None, 1)
