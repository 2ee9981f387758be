"""Text messages must be UTF-8 (RFC 6455 section 5.6, RFC 3629): that is found alike many bytes at a time and one by
one, wherever a character lies and wherever a frame is cut."""

from __future__ import annotations

import itertools
import random

import pytest

from .conftest import Twin
from .wire import CONT, TEXT, frame, is_text

# The ends of each range that RFC 3629's grammar names, and their neighbours.
ENDS = bytes.fromhex("00 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
CHARACTERS = "a\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"


def accepted(twin: Twin, *frames: bytes) -> bool:
    ring = twin.ring.MessageRing()
    decoder = twin.frames.FrameDecoder(ring)
    for one in frames:
        decoder.feed(one, 1)
    assert (decoder.fault is None) == (len(ring) == 1)
    return len(ring) == 1


def test_any_two_bytes_across_the_end_of_a_vector(twin: Twin) -> None:
    before, after = "é".encode() * 31 + b"a", b"." * 65
    for pair in map(bytes, itertools.product(range(256), repeat=2)):
        assert accepted(twin, frame(TEXT, before + pair + after)) == is_text(pair), pair.hex()


@pytest.mark.parametrize("lead", [0x7F, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xBF])
def test_what_follows_a_lead_byte_at_any_place_of_a_vector(twin: Twin, lead: int) -> None:
    for number, tail in enumerate(itertools.product(ENDS, repeat=3)):
        odd = bytes((lead, *tail))
        payload = b"." * (number % 67) + odd + "ü.".encode() * 43
        assert accepted(twin, frame(TEXT, payload)) == is_text(odd), odd.hex()


def test_text_that_ends_within_a_character(twin: Twin) -> None:
    for length in range(60, 70):
        for character in CHARACTERS:
            whole = b"." * length + character.encode()
            for missing in range(1, len(character.encode())):
                assert not accepted(twin, frame(TEXT, whole[:-missing]))
            assert accepted(twin, frame(TEXT, whole))


def test_a_long_text_is_cut_anywhere(twin: Twin) -> None:
    text = "".join(random.Random(7).choices(CHARACTERS, k=120)).encode()
    for cut in range(len(text) + 1):
        assert accepted(twin, frame(TEXT, text[:cut], fin=False), frame(CONT, text[cut:]))


def test_one_damaged_byte_in_a_long_text(twin: Twin) -> None:
    chance = random.Random(11)
    found = 0
    for _ in range(20_000):
        text = bytearray("".join(chance.choices(CHARACTERS, k=chance.randrange(20, 90))).encode())
        text[chance.randrange(len(text))] = chance.choice(ENDS)
        cut = chance.randrange(len(text))
        valid = is_text(bytes(text))
        found += not valid
        assert accepted(twin, frame(TEXT, bytes(text))) == valid, text.hex()
        assert accepted(twin, frame(TEXT, bytes(text[:cut]), fin=False), frame(CONT, bytes(text[cut:]))) == valid
    assert 5_000 < found < 20_000
