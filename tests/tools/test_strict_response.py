"""tools/strict_response.py: what is an upgrade and what is none."""

from __future__ import annotations

import pytest

from tools.fuzzing.answer_drawing import ACCEPT, STATUS, drawn_answer
from tools.fuzzing.drawing import Draw
from tools.fuzzing.strict_response import Offer, Opened, extensions, opened

SOUND = STATUS[0] + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT.encode()
OFFER = Offer(ACCEPT, ("a", "b"), compression=True, bits=10)
DEFLATE = b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="


def test_a_sound_answer() -> None:
    assert opened(SOUND + b"\r\n\r\n\x81\0", OFFER) == Opened(None, None, b"\x81\0", True)
    assert drawn_answer(Draw(b"")) == SOUND + b"\r\n\r\n"


@pytest.mark.parametrize(
    "more, subprotocol, deflate",
    [
        (b"\r\nSec-WebSocket-Protocol: b", "b", None),
        (DEFLATE + b"9", None, (False, False, 9, 15)),
        (DEFLATE + b'"1\\0" ; client_no_context_takeover', None, (False, True, 10, 15)),
        (b"\r\nSec-WebSocket-Extensions: ,", None, None),
    ],
)
def test_what_was_agreed_on(more: bytes, subprotocol: str | None, deflate: tuple[bool, bool, int, int] | None) -> None:
    found = opened(SOUND + more + b"\r\n\r\n", OFFER)
    assert found is not None
    assert (found.subprotocol, found.deflate) == (subprotocol, deflate)


def test_answers_that_are_written_oddly_are_upgrades_beyond_doubt_no_more() -> None:
    odd = (
        b"HTTP/1.1 100 Continue\r\n\r\n" + SOUND + b"\r\n\r\n",
        SOUND.replace(b"\r\n", b"\n") + b"\n\n",
        SOUND.replace(b": Upgrade", b": a,\r\n\t Upgrade") + b"\r\n\r\n",
        SOUND + b"\r\nX: \x01\r\n\r\n",
    )
    for answer in odd:
        assert opened(answer, OFFER) == Opened(None, None, b"", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        SOUND + b"\r\n",
        SOUND.replace(b"1.1", b"1.0") + b"\r\n\r\n",
        SOUND.replace(b"1.1", b"2.0") + b"\r\n\r\n",
        SOUND.replace(b"101", b"200") + b"\r\n\r\n",
        SOUND.replace(b"websocket", b"websockets") + b"\r\n\r\n",
        SOUND.replace(b": Upgrade", b": close") + b"\r\n\r\n",
        SOUND + b"x\r\n\r\n",
        SOUND + b"\r\nSec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n",
        SOUND + b"\r\nSec-WebSocket-Protocol: c\r\n\r\n",
        SOUND + b"\r\nX: a\rb\r\n\r\n",
        SOUND + b"\r\nX : a\r\n\r\n",
        SOUND + DEFLATE + b"11\r\n\r\n",
        SOUND + DEFLATE + b"09\r\n\r\n",
        SOUND + DEFLATE + b"9; server_max_window_bits=9\r\n\r\n",
        SOUND + DEFLATE + b"9, permessage-deflate\r\n\r\n",
        SOUND + b"\r\nSec-WebSocket-Extensions: x\r\n\r\n",
    ],
)
def test_answers_that_are_no_upgrade(answer: bytes) -> None:
    assert opened(answer, OFFER) is None


@pytest.mark.parametrize(
    "value, expected",
    [
        ("", []),
        (' a ;b , ,c; d = e ;f="g"', [("a", [("b", None)]), ("c", [("d", "e"), ("f", "g")])]),
        ("a b", None),
        ("a;", None),
        ('a;b=""', None),
        ('a;b="c d"', None),
        ("a;b=", None),
    ],
)
def test_extensions(value: str, expected: object) -> None:
    assert extensions(value) == expected
