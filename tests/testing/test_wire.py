from __future__ import annotations

from typing import get_args

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from jetsocket.testing.wire import OP_BINARY, OP_TEXT, Garbage, close_frame, garbage, server_frame, server_header

VALID = {"text", "json", "binary", "empty"}


def received(data: bytes) -> tuple[list[Frame], ClientProtocol]:
    """What another implementation makes of these bytes."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.receive_data(data)
    return [event for event in client.events_received() if isinstance(event, Frame)], client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_a_frame_of_any_size_is_read_back(size: int) -> None:
    (frame,), _ = received(server_frame(OP_BINARY, b"x" * size))
    assert bytes(frame.data) == b"x" * size


@pytest.mark.parametrize("size, length", [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_the_header_is_as_short_as_can_be(size: int, length: int) -> None:
    assert len(server_header(OP_TEXT, size)) == length


@pytest.mark.parametrize("code, reason", [(1001, "going away"), (4401, "größer"), (1000, "")])
def test_close_frames_carry_code_and_reason(code: int, reason: str) -> None:
    _, client = received(close_frame(code, reason))
    assert client.close_rcvd is not None
    assert (client.close_rcvd.code, client.close_rcvd.reason) == (code, reason)


def test_a_close_frame_may_be_empty() -> None:
    assert close_frame(None) == b"\x88\x00"


@pytest.mark.parametrize("kind", get_args(Garbage))
def test_garbage_breaks_the_connection_or_not_as_documented(kind: Garbage) -> None:
    frames, client = received(garbage(kind))
    if kind in VALID:
        assert len(frames) == 1
        assert client.parser_exc is None
    elif kind == "utf8":  # websockets checks it when the text is asked for
        with pytest.raises(UnicodeDecodeError):
            bytes(frames[0].data).decode()
    else:
        assert client.parser_exc is not None


def test_an_unknown_kind_of_garbage_is_named() -> None:
    with pytest.raises(ValueError, match="no such kind of garbage: 'rubbish'; there are opcode, rsv"):
        garbage("rubbish")  # type: ignore[arg-type]
