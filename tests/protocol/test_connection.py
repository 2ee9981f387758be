from __future__ import annotations

import pytest

from jetsocket.errors import InvalidStateError
from jetsocket.hot import OP_BINARY, OP_CLOSE, OP_CONT, OP_PING, OP_PONG, OP_TEXT, FrameDecoder, MessageRing
from jetsocket.protocol.connection import (
    CloseReceived,
    Connection,
    Ended,
    Failed,
    Pong,
    State,
    Write,
    close_payload,
    is_close_code,
    parse_close,
    random_masks,
)
from jetsocket.protocol.deflate import DeflateParameters, Deflater


@pytest.fixture
def ring():
    return MessageRing()


@pytest.fixture
def connection(ring):
    return Connection(FrameDecoder(ring))


def feed(connection, reads):
    return [event for data in reads for event in connection.feed(data, 1) or ()]


def test_data_messages_make_no_events(connection, ring, server_frame, pieces):
    reads = pieces(server_frame(OP_TEXT, b"hello"), server_frame(OP_BINARY, b"\x00"))
    assert feed(connection, reads) == []
    assert ring.take() == (b"hello", False, 1)


def test_receive_returns_none_on_the_hot_path(connection, ring, server_frame):
    data = server_frame(OP_TEXT, b"hello")
    connection.decoder.get_buffer()[: len(data)] = data
    assert connection.receive(len(data), 5) is None
    assert ring.take() == (b"hello", False, 5)


def test_receive_returns_events(connection, server_frame):
    data = server_frame(OP_PONG, b"1")
    connection.decoder.get_buffer()[: len(data)] = data
    assert connection.receive(len(data), 5) == [Pong(b"1")]


def test_a_ping_is_answered_with_its_payload(connection, ring, server_frame, client_frames, pieces):
    events = feed(connection, pieces(server_frame(OP_PING, b"abc"), server_frame(OP_TEXT, b"next")))
    assert [type(event) for event in events] == [Write]
    assert client_frames(events[0].data) == [(OP_PONG, False, b"abc")]


def test_answers_come_first_and_in_one_write(connection, server_frame, client_frames):
    events = connection.feed(server_frame(OP_PONG, b"x") + server_frame(OP_PING, b"1") + server_frame(OP_PING, b"2"), 1)
    assert events[1:] == [Pong(b"x")]
    assert client_frames(events[0].data) == [(OP_PONG, False, b"1"), (OP_PONG, False, b"2")]


def test_a_ping_within_a_fragmented_message(connection, ring, server_frame, client_frames, pieces):
    data = server_frame(OP_TEXT, b"he", fin=False) + server_frame(OP_PING) + server_frame(OP_CONT, b"y")
    (event,) = feed(connection, pieces(data))
    assert client_frames(event.data) == [(OP_PONG, False, b"")]
    assert ring.take() == (b"hey", False, 1)


# The closing handshake.


def test_the_server_closes(connection, ring, server_frame, client_frames, pieces):
    events = feed(connection, pieces(server_frame(OP_CLOSE, b"\x03\xe9bye"), server_frame(OP_TEXT, b"too late")))
    assert events[1:] == [CloseReceived(1001, "bye")]
    assert client_frames(events[0].data) == [(OP_CLOSE, False, b"\x03\xe9")]
    assert connection.state is State.CLOSING
    assert (connection.close_code, connection.close_reason, connection.closed_by) == (1001, "bye", "server")
    assert connection.close_sent
    assert connection.close_received
    assert len(ring) == 0
    assert connection.eof() == Ended(True, 1001, "bye", False)
    assert connection.state is State.CLOSED


def test_the_server_closes_without_a_code(connection, server_frame, client_frames, pieces):
    events = feed(connection, pieces(server_frame(OP_CLOSE)))
    assert events[1:] == [CloseReceived(1005, "")]
    assert client_frames(events[0].data) == [(OP_CLOSE, False, b"")]
    assert connection.eof() == Ended(True, 1005, "", False)


def test_the_client_closes(connection, ring, server_frame, client_frames, pieces):
    assert client_frames(connection.close(1000, "done")) == [(OP_CLOSE, False, b"\x03\xe8done")]
    assert connection.state is State.CLOSING
    # What the server had sent before it saw the close frame is still delivered.
    events = feed(connection, pieces(server_frame(OP_TEXT, b"on its way") + server_frame(OP_CLOSE, b"\x03\xe8")))
    assert events == [CloseReceived(1000, "")]
    assert ring.take() == (b"on its way", False, 1)
    assert (connection.close_code, connection.close_reason, connection.closed_by) == (1000, "done", "client")
    assert connection.eof() == Ended(True, 1000, "done", False)


def test_both_close_at_once(connection, server_frame):
    connection.close(1000)
    assert connection.feed(server_frame(OP_CLOSE, b"\x03\xe9"), 1) == [CloseReceived(1001, "")]
    assert (connection.close_code, connection.closed_by) == (1000, "client")


def test_pings_are_answered_until_the_server_closes(connection, server_frame, client_frames):
    connection.close()
    (event,) = connection.feed(server_frame(OP_PING, b"x"), 1)
    assert client_frames(event.data) == [(OP_PONG, False, b"x")]
    assert connection.feed(server_frame(OP_CLOSE, b"\x03\xe8") + server_frame(OP_PING, b"y"), 1) == [
        CloseReceived(1000, "")
    ]


def test_a_second_close_sends_nothing(connection, server_frame):
    connection.close(1000)
    assert connection.close(1001) == b""
    assert connection.close_code == 1000
    other = Connection(FrameDecoder(MessageRing()))
    other.feed(server_frame(OP_CLOSE), 1)
    assert other.close() == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, -1])
def test_a_code_that_must_not_be_sent(connection, code):
    with pytest.raises(ValueError, match=rf"^close code must be 1000 to 1003, .* got {code}$"):
        connection.close(code)
    assert connection.state is State.OPEN


def test_a_reason_that_is_too_long(connection):
    with pytest.raises(ValueError, match=r"^close reason must be at most 123 bytes of UTF-8, got 124$"):
        connection.close(1000, "é" * 62)
    assert connection.state is State.OPEN
    assert connection.close(1000, "é" * 61 + "e")


def test_close_codes_on_the_wire():
    legal = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]
    assert [code for code in range(65536) if is_close_code(code)] == legal


@pytest.mark.parametrize(
    "payload, event",
    [
        (b"", CloseReceived(1005, "")),
        (b"\x03\xe8", CloseReceived(1000, "")),
        (b"\x13\x87" + "é".encode(), CloseReceived(4999, "é")),
        (b"\x03", Failed(1002, "a close frame with a payload of one byte")),
        (b"\x03\xed", Failed(1002, "a close frame with the invalid code 1005")),
        (b"\x00\x00", Failed(1002, "a close frame with the invalid code 0")),
        (b"\x13\x88", Failed(1002, "a close frame with the invalid code 5000")),
        (b"\x03\xe8\xff", Failed(1007, "a close frame with a reason that is not UTF-8")),
        (b"\x03\xe8\xc3", Failed(1007, "a close frame with a reason that is not UTF-8")),
    ],
)
def test_parse_close(payload, event):
    assert parse_close(payload) == event


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_close_payload_is_what_parse_close_reads(code):
    assert parse_close(close_payload(code, "reason é")) == CloseReceived(code, "reason é")


# Failures.


@pytest.mark.parametrize("payload, code", [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x03\xe8\xff", 1007)])
def test_a_bad_close_frame_fails_the_connection(connection, server_frame, client_frames, pieces, payload, code):
    write, failed = feed(connection, pieces(server_frame(OP_CLOSE, payload)))
    assert isinstance(failed, Failed)
    assert failed.code == code
    ((opcode, _, sent),) = client_frames(write.data)
    assert (opcode, sent[:2]) == (OP_CLOSE, code.to_bytes(2, "big"))
    assert not connection.close_received
    assert connection.eof() == Ended(False, code, failed.reason, False)


def test_a_fault_of_the_decoder_fails_the_connection(connection, ring, server_frame, client_frames, pieces):
    reads = pieces(server_frame(OP_TEXT, b"good") + b"\x83\x00", server_frame(OP_TEXT, b"ignored"))
    write, failed = feed(connection, reads)
    fault = connection.decoder.fault
    assert failed == Failed(fault.code, fault.reason)
    assert failed.code == 1002
    assert client_frames(write.data) == [(OP_CLOSE, False, b"\x03\xea" + failed.reason.encode())]
    assert ring.take() == (b"good", False, 1)
    assert len(ring) == 0
    assert (connection.failed, connection.state, connection.closed_by) == (True, State.CLOSING, None)


def test_a_ping_before_the_fault_is_answered_first(connection, server_frame, client_frames):
    write, failed = connection.feed(server_frame(OP_PING, b"1") + b"\x83\x00", 1)
    assert [opcode for opcode, _, _ in client_frames(write.data)] == [OP_PONG, OP_CLOSE]
    assert failed.code == 1002


def test_a_fault_is_told_once(connection):
    assert connection.feed(b"\x83\x00", 1)
    assert not connection.feed(b"\x83\x00", 1)


def test_a_fault_after_our_close_sends_no_second_close_frame(connection):
    connection.close(1000)
    (event,) = connection.feed(b"\x83\x00", 1)
    assert isinstance(event, Failed)
    assert connection.eof().clean is False


def test_a_message_over_the_limit_is_answered_with_1009(server_frame, client_frames, pieces):
    connection = Connection(FrameDecoder(MessageRing(), max_message_size=10))
    write, failed = feed(connection, pieces(server_frame(OP_BINARY, b"x" * 11)))
    assert failed.code == 1009
    assert client_frames(write.data)[0][2][:2] == b"\x03\xf1"


def test_eof_without_a_close_frame(connection):
    assert connection.eof() == Ended(False, 1006, "", False)
    assert connection.eof() == Ended(False, 1006, "", False)
    assert (connection.close_code, connection.closed_by) == (1006, None)


def test_eof_amid_a_message(connection, server_frame):
    connection.feed(server_frame(OP_TEXT, b"hal", fin=False), 1)
    assert connection.eof().in_message


def test_eof_before_the_answer_to_our_close(connection):
    connection.close(1000, "done")
    assert connection.eof() == Ended(False, 1006, "", False)
    assert connection.closed_by == "client"


def test_after_eof_nothing_happens(connection, server_frame):
    connection.eof()
    assert not connection.feed(server_frame(OP_PING), 1)


# Sending.


@pytest.mark.parametrize(
    "data, binary, expected",
    [
        ("é", False, (OP_TEXT, False, "é".encode())),
        (b"text", False, (OP_TEXT, False, b"text")),
        (b"\x00\xff", True, (OP_BINARY, False, b"\x00\xff")),
        (b"", True, (OP_BINARY, False, b"")),
        (b"x" * 126, True, (OP_BINARY, False, b"x" * 126)),
        (b"x" * 70000, True, (OP_BINARY, False, b"x" * 70000)),
    ],
)
def test_messages(connection, client_frames, data, binary, expected):
    frame = connection.message(data, binary)
    assert client_frames(frame) == [expected]
    assert (connection.messages_sent, connection.bytes_sent) == (1, len(frame))


def test_text_that_utf8_cannot_encode(connection):
    with pytest.raises(UnicodeEncodeError):
        connection.message("\ud800", False)
    assert connection.messages_sent == 0


def test_pings_and_pongs(connection, client_frames):
    assert client_frames(connection.ping(b"x" * 125)) == [(OP_PING, False, b"x" * 125)]
    assert client_frames(connection.pong()) == [(OP_PONG, False, b"")]
    with pytest.raises(ValueError, match="at most 125 bytes, got 126"):
        connection.ping(b"x" * 126)
    assert connection.messages_sent == 0


@pytest.mark.parametrize(
    "call, operation",
    [
        (lambda connection: connection.message(b"", True), "send"),
        (lambda connection: connection.ping(), "ping"),
        (lambda connection: connection.pong(), "send a pong"),
    ],
)
@pytest.mark.parametrize("end", ["ours", "theirs", "eof"])
def test_nothing_is_sent_after_the_end(connection, server_frame, call, operation, end):
    if end == "ours":
        connection.close()
    elif end == "theirs":
        connection.feed(server_frame(OP_CLOSE), 1)
    else:
        connection.eof()
    with pytest.raises(InvalidStateError, match=rf"^cannot {operation}: the state is clos(ing|ed), must be open$"):
        call(connection)


def test_every_frame_has_its_own_mask_from_the_source():
    masks = iter([b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"])
    connection = Connection(FrameDecoder(MessageRing()), mask_source=lambda: next(masks))
    assert connection.message(b"\x00" * 4, True) == b"\x82\x84\x01\x02\x03\x04\x01\x02\x03\x04"
    assert connection.ping() == b"\x89\x80\x05\x06\x07\x08"


def test_random_masks_are_four_bytes_and_differ():
    masks = random_masks()
    drawn = [next(masks) for _ in range(1000)]
    assert {len(mask) for mask in drawn} == {4}
    assert len(set(drawn)) > 990


def test_messages_from_the_threshold_on_are_compressed(client_frames):
    connection = Connection(FrameDecoder(MessageRing()), deflater=Deflater(), compression_threshold=100)
    short, long = "a" * 99, "a" * 100
    assert client_frames(connection.message(short, False)) == [(OP_TEXT, False, short.encode())]
    inflater = DeflateParameters().inflater()
    for _ in range(2):
        ((opcode, rsv1, payload),) = client_frames(connection.message(long, False))
        assert (opcode, rsv1) == (OP_TEXT, True)
        assert len(payload) < 20
        assert inflater.inflate(payload, 1000) == long.encode()
    assert client_frames(connection.ping(b"x" * 110)) == [(OP_PING, False, b"x" * 110)]


def test_compressed_messages_are_delivered_inflated(ring, server_frame, pieces):
    parameters = DeflateParameters()
    connection = Connection(FrameDecoder(ring, inflate=parameters.inflater().inflate))
    deflater = Deflater()
    frames = [server_frame(OP_TEXT, deflater.deflate(b"hello " * 9), rsv1=True) for _ in range(2)]
    assert feed(connection, pieces(frames[0], frames[1])) == []
    assert ring.take() == (b"hello " * 9, False, 1)


def test_a_compressed_message_over_the_limit(ring, server_frame, client_frames, pieces):
    connection = Connection(FrameDecoder(ring, max_message_size=50_000, inflate=DeflateParameters().inflater().inflate))
    bomb = Deflater().deflate(bytes(50_001))
    assert len(bomb) < 100
    write, failed = feed(connection, pieces(server_frame(OP_BINARY, bomb, rsv1=True)))
    assert failed.code == 1009
    assert client_frames(write.data)[0][2][:2] == b"\x03\xf1"


def test_a_blocked_sink_is_resumed(server_frame, client_frames):
    ring = MessageRing(1, overflow="block")
    connection = Connection(FrameDecoder(ring))
    data = server_frame(OP_TEXT, b"1") + server_frame(OP_TEXT, b"2") + server_frame(OP_PING, b"x")
    assert not connection.feed(data, 1)
    assert connection.decoder.blocked
    assert ring.take()[0] == b"1"
    (event,) = connection.resume()
    assert client_frames(event.data) == [(OP_PONG, False, b"x")]
    assert ring.take()[0] == b"2"
    assert not connection.decoder.blocked
