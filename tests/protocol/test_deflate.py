from __future__ import annotations

import random
import sys
import zlib
from contextlib import suppress
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.hot import InflateError
from jetsocket.protocol.deflate import DeflateOffer, DeflateParameters, Deflater, Inflater

LIBRARIES = [zlib]
for name in ("isal.isal_zlib", "zlib_ng.zlib_ng"):
    with suppress(ImportError):
        LIBRARIES.append(import_module(name))

HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 §7.2.3.1


@pytest.fixture(scope="module", params=[*LIBRARIES, None], ids=lambda module: module.__name__ if module else "by size")
def library(request):
    """What inflates: each that is installed, and what is chosen where none is named."""
    return request.param


@pytest.mark.parametrize(
    "offer, header",
    [
        (DeflateOffer(), "permessage-deflate; client_max_window_bits"),
        (
            DeflateOffer(server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=10),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=10; client_max_window_bits"
            ),
        ),
    ],
)
def test_the_offer(offer, header):
    assert offer.header() == header


def test_no_limit(library):
    assert Inflater(zlib_module=library).inflate(HELLO, sys.maxsize) == b"Hello"


@pytest.mark.parametrize("bits", [7, 16, 0, -1])
def test_an_offer_that_cannot_be(bits):
    with pytest.raises(ValueError, match="must be 8 to 15"):
        DeflateOffer(server_max_window_bits=bits)


@pytest.mark.parametrize(
    "answer, expected",
    [
        ([], DeflateParameters()),
        ([("server_no_context_takeover", None)], DeflateParameters(server_no_context_takeover=True)),
        ([("client_no_context_takeover", None)], DeflateParameters(client_no_context_takeover=True)),
        ([("server_max_window_bits", "8")], DeflateParameters(server_max_window_bits=8)),
        ([("client_max_window_bits", "15")], DeflateParameters()),
        (
            [("client_max_window_bits", "9"), ("server_max_window_bits", "10")],
            DeflateParameters(client_max_window_bits=9, server_max_window_bits=10),
        ),
    ],
)
def test_answers(answer, expected):
    assert DeflateOffer().accept(answer) == expected


@pytest.mark.parametrize(
    "answer, text",
    [
        ([("x", None)], "has no parameter 'x'"),
        ([("server_no_context_takeover", "1")], "takes no value, got '1'"),
        ([("server_no_context_takeover", None)] * 2, "server_no_context_takeover is given twice"),
        ([("client_max_window_bits", "9")] * 2, "client_max_window_bits is given twice"),
        ([("client_max_window_bits", None)], "must be 8 to 15, got None"),
        *(
            ([("server_max_window_bits", bad)], "must be 8 to 15")
            for bad in ("7", "16", "08", "", "1 0", "\u0661\u0660", "-9")
        ),
    ],
)
def test_answers_that_are_refused(answer, text):
    with pytest.raises(ValueError, match=text):
        DeflateOffer().accept(answer)


def test_what_was_asked_for_must_be_granted():
    with pytest.raises(ValueError, match="without server_no_context_takeover"):
        DeflateOffer(server_no_context_takeover=True).accept([])
    offer = DeflateOffer(server_max_window_bits=10)
    for answer in ([], [("server_max_window_bits", "11")]):
        with pytest.raises(ValueError, match="10 was asked for"):
            offer.accept(answer)
    assert offer.accept([("server_max_window_bits", "9")]).server_max_window_bits == 9


def test_what_the_client_said_of_itself_holds_without_an_answer():
    assert DeflateOffer(client_no_context_takeover=True).accept([]).client_no_context_takeover


@pytest.mark.parametrize(
    "compressed, payload",
    [
        (HELLO, b"Hello"),
        (b"\x00", b""),
        (b"", b""),
        (bytes.fromhex("000500faff48656c6c6f00"), b"Hello"),  # §7.2.3.3, a block with no compression
        (bytes.fromhex("f348cdc9c9070000"), b"Hello"),  # §7.2.3.4, a final block
        (bytes.fromhex("f248050000 00ffffcac9c90700"), b"Hello"),  # §7.2.3.5, two blocks
    ],
)
def test_the_examples_of_the_rfc(library, compressed, payload):
    inflater = Inflater(zlib_module=library)
    assert inflater.inflate(compressed, 100) == payload
    assert inflater.inflate(HELLO, 100) == b"Hello"


def test_the_context_is_kept(library):
    inflater = Inflater(zlib_module=library)
    assert inflater.inflate(HELLO, 100) == b"Hello"
    assert inflater.inflate(bytes.fromhex("f200110000"), 100) == b"Hello"  # §7.2.3.2, a back reference


def test_the_context_is_dropped(library):
    inflater = Inflater(no_context_takeover=True, zlib_module=library)
    assert inflater.inflate(HELLO, 100) == b"Hello"
    with pytest.raises(InflateError) as caught:
        inflater.inflate(bytes.fromhex("f200110000"), 100)
    assert caught.value.code == 1007


def test_the_window_outlives_a_final_block(library):
    """A sender may end every message with a final block and still refer to the ones before."""
    text = random.Random(1).randbytes(300)
    window, inflater = b"", Inflater(zlib_module=library)
    for _ in range(200):
        deflate = zlib.compressobj(wbits=-15, zdict=window[-32768:]) if window else zlib.compressobj(wbits=-15)
        message = deflate.compress(text) + deflate.flush(zlib.Z_FINISH) + b"\x00"
        assert inflater.inflate(message, 1000) == text
        assert not window or len(message) < 50
        window += text


def test_ordinary_messages_before_a_final_block_are_in_its_window(library):
    text = random.Random(2).randbytes(500)
    deflater, inflater = Deflater(), Inflater(zlib_module=library)
    assert inflater.inflate(deflater.deflate(text), 1000) == text
    deflate = zlib.compressobj(wbits=-15)
    final = deflate.compress(b"x") + deflate.flush(zlib.Z_FINISH)
    assert inflater.inflate(final + b"\x00", 1000) == b"x"
    deflate = zlib.compressobj(wbits=-15, zdict=text + b"x")
    message = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)
    assert len(message) < 50
    assert inflater.inflate(message.removesuffix(b"\x00\x00\xff\xff"), 1000) == text


def test_a_final_block_without_the_octet_that_should_follow(library):
    deflate = zlib.compressobj(wbits=-15)
    inflater = Inflater(zlib_module=library)
    assert inflater.inflate(deflate.compress(b"Hello") + deflate.flush(zlib.Z_FINISH), 100) == b"Hello"
    assert inflater.inflate(HELLO, 100) == b"Hello"


def test_many_final_blocks_are_refused_soon(library):
    with pytest.raises(InflateError, match="over 8 final blocks") as caught:
        Inflater(zlib_module=library).inflate(b"\x03\x00" * 1_000_000, 100)
    assert caught.value.code == 1007


@pytest.mark.parametrize("size", [0, 1, 100, 32768, 100_000])
def test_the_limit_is_exact(library, size):
    data = bytes(size)
    compressed = Deflater().deflate(data)
    assert Inflater(zlib_module=library).inflate(compressed, size) == data
    if size:
        with pytest.raises(InflateError, match=f"inflates to more than {size - 1} bytes") as caught:
            Inflater(zlib_module=library).inflate(compressed, size - 1)
        assert caught.value.code == 1009


def test_no_more_than_the_limit_is_inflated():
    asked = []

    class Counting:
        """zlib that notes how much output it was asked for."""

        error = zlib.error

        @staticmethod
        def decompressobj(wbits):
            context = zlib.decompressobj(wbits=wbits)

            class Context:
                @property
                def eof(self):
                    return context.eof

                def decompress(self, data, limit):
                    asked.append(limit)
                    return context.decompress(data, limit)

            return Context()

    bomb = Deflater(level=9).deflate(bytes(50_000_000))
    assert len(bomb) < 50_000
    with pytest.raises(InflateError):
        Inflater(zlib_module=Counting).inflate(bomb, 1000)
    assert asked == [1001]


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x06", b"\x05\xff\xff", b"\x01\x01\x00\x00\x00a"])
def test_what_is_no_deflate_data(library, data):
    with pytest.raises(InflateError) as caught:
        Inflater(zlib_module=library).inflate(data, 1000)
    assert caught.value.code == 1007


@given(st.lists(st.binary(max_size=300)), st.booleans(), st.sampled_from(range(9, 16)))
def test_what_goes_in_comes_out(library, messages, no_context_takeover, bits):
    parameters = DeflateParameters(no_context_takeover, no_context_takeover, bits, bits)
    deflater, inflater = parameters.deflater(), parameters.inflater(library)
    for message in messages:
        compressed = deflater.deflate(message)
        assert not compressed.endswith(b"\x00\x00\xff\xff")
        assert inflater.inflate(compressed, 300) == message


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_inflated_or_refused(library, messages):
    inflater = Inflater(zlib_module=library)
    for message in messages:
        code = 0
        try:
            assert len(inflater.inflate(message, 1000)) <= 1000
        except InflateError as error:
            code = error.code
        assert code in (0, 1007, 1009)
        if code:
            break


def test_large_messages_keep_no_more_than_the_window_alive(library):
    inflater, deflater = Inflater(zlib_module=library), Deflater()
    text = random.Random(3).randbytes(200_000)
    for _ in range(3):
        assert inflater.inflate(deflater.deflate(text), 200_000) == text


def test_messages_go_uncompressed_where_zlib_has_no_such_window():
    assert DeflateParameters(client_max_window_bits=8).deflater() is None
    with pytest.raises(ValueError, match="9 to 15"):
        Deflater(window_bits=8)
