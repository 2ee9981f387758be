"""Small messages are inflated by one library and large ones by another: nothing of it shows but the time it takes."""

from __future__ import annotations

import json
import random
import zlib
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetsocket.hot import InflateError
from jetsocket.protocol.deflate import Deflater, Inflater, for_large_messages

SEED = 7


def books(*depths: int, seed: int = SEED) -> list[bytes]:
    """Order books of so many levels: about 25 bytes a level, 10 of them compressed."""
    source = random.Random(seed)
    return [
        json.dumps(
            {"bids": [[f"{source.uniform(59e3, 60e3):.2f}", f"{source.expovariate(2):.8f}"] for _ in range(depth)]}
        ).encode()
        for depth in depths
    ]


class Noting:
    """A library that notes which messages it was given, in `inflated` under its `name`."""

    def __init__(self, name: str, library, inflated: list[str]) -> None:
        self.name = name
        self.error = library.error
        self._library = library
        self._inflated = inflated

    def decompressobj(self, **options):
        context = self._library.decompressobj(**options)

        def decompress(data, limit):
            if limit > 1:  # not the tail
                self._inflated.append(self.name)
            return context.decompress(data, limit)

        # No message of these tests has a final block.
        return SimpleNamespace(decompress=decompress, eof=False)


def who_inflates(messages: list[bytes], *, no_context_takeover: bool = False) -> list[str]:
    inflated: list[str] = []
    inflater = Inflater(
        no_context_takeover=no_context_takeover,
        zlib_module=Noting("small", zlib, inflated),
        for_large=Noting("large", for_large_messages(), inflated),
    )
    deflater = Deflater(no_context_takeover=no_context_takeover)
    for message in messages:
        assert inflater.inflate(deflater.deflate(message), 1 << 24) == message
    return inflated


def test_small_messages_stay_with_zlib():
    assert set(who_inflates(books(*[5] * 100))) == {"small"}


def test_large_messages_go_to_the_other_library_at_once():
    assert who_inflates(books(2000, 2000)) == ["large", "large"]


def test_many_of_some_size_go_there_in_time():
    told = who_inflates(books(*[60] * 20))
    assert (told[0], told[-1]) == ("small", "large")
    assert told == sorted(told, reverse=True), "moved once"


def test_small_messages_come_back_in_time():
    told = who_inflates(books(2000, *[5] * 30))
    assert (told[0], told[1], told[-1]) == ("large", "large", "small")
    assert told == sorted(told), "moved once"


def test_messages_of_both_sizes_by_turns_do_not_move_the_context_each_time():
    told = who_inflates(books(*[5, 60] * 50))
    assert sum(one != other for one, other in pairwise(told)) <= 1


def test_without_a_context_each_message_goes_where_it_is_cheapest():
    told = who_inflates(books(5, 2000, 5, 2000), no_context_takeover=True)
    assert told == ["small", "large", "small", "large"]


def test_what_was_sent_before_a_move_is_referred_to_after_it():
    """Nothing of these messages compresses, but each repeats the one before."""
    text = random.Random(SEED).randbytes(3000)
    sizes = [3000, *[100] * 12] * 4
    deflater, inflater = Deflater(), Inflater()
    for size in sizes:
        assert inflater.inflate(deflater.deflate(text[:size]), 3000) == text[:size]
        assert inflater.inflate(deflater.deflate(text[-size:]), 3000) == text[-size:]


def test_the_window_is_whole_after_a_move():
    """Each move is followed at once by a reference about as far back as zlib makes one, 32506 bytes."""
    source = random.Random(SEED)
    far = source.randbytes(200)
    deflater, inflater = Deflater(level=9), Inflater()
    for message in [far, *(source.randbytes(250) for _ in range(128))]:
        assert inflater.inflate(deflater.deflate(message), 250) == message
    large = far + source.randbytes(31_100)
    compressed = deflater.deflate(large)
    assert len(compressed) < 31_200
    assert inflater.inflate(compressed, 31_300) == large
    for _ in range(10):
        message = source.randbytes(100)
        assert inflater.inflate(deflater.deflate(message), 100) == message
    compressed = deflater.deflate(far)
    assert len(compressed) < 20
    assert inflater.inflate(compressed, 200) == far


@pytest.mark.parametrize("size", [16383, 16384, 16385, 32768, 65535, 65536, 65537, 262144])
def test_sizes_at_which_buffers_grow(size: int):
    source = random.Random(size)
    for data in (bytes(size), source.randbytes(size), source.randbytes(size // 64 + 1) * 64):
        deflater, inflater = Deflater(), Inflater()
        for message in (data, b"small", data[:size]):
            compressed = deflater.deflate(message)
            assert inflater.inflate(compressed, len(message)) == message


@pytest.mark.parametrize("small_before", [0, 40])
def test_the_limit_is_exact_after_a_move(small_before: int):
    *small, large = books(*[5] * small_before, 2000)
    deflater = Deflater()
    compressed = [deflater.deflate(message) for message in [*small, large]]
    fits, bursts = Inflater(), Inflater()
    for message in compressed[:-1]:
        assert fits.inflate(message, len(large)) == bursts.inflate(message, len(large))
    assert fits.inflate(compressed[-1], len(large)) == large
    with pytest.raises(InflateError) as caught:
        bursts.inflate(compressed[-1], len(large) - 1)
    assert caught.value.code == 1009


def test_a_large_message_that_breaks_off_is_refused():
    compressed = Deflater().deflate(books(2000)[0])
    for size in (1500, len(compressed) // 2, len(compressed) - 2):
        with pytest.raises(InflateError) as caught:
            Inflater().inflate(compressed[:size], 1 << 24)
        assert caught.value.code == 1007


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=12),
    st.booleans(),
    st.integers(0, 9),
    st.sampled_from(range(9, 16)),
)
def test_whatever_the_sizes_the_messages_are_the_same(drawn, no_context_takeover, level, bits):
    deflater = Deflater(window_bits=bits, no_context_takeover=no_context_takeover, level=level)
    inflater = Inflater(no_context_takeover=no_context_takeover)
    for depth, random_bytes in drawn:
        message = random.Random(depth).randbytes(depth * 10) if random_bytes else books(depth, seed=depth)[0]
        assert inflater.inflate(deflater.deflate(message), len(message)) == message
