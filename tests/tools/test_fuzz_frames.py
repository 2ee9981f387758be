"""The frame decoder's fuzzer: what it is judged by, what it has found so far, and bugs that it has to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.wire import judge
from tools.fuzz_frames import FILLER, FILLS, WORDS, Decoding, one_input, seeds
from tools.fuzzing.corpus import committed
from tools.fuzzing.frame_oracle import Reader

from .planting import assert_found, needs_atheris, planted


def test_every_seed_passes() -> None:
    for data in [b"", b"\0", b"\x80", *seeds()]:
        one_input(data)


def test_every_input_of_the_corpus_passes() -> None:
    corpus = committed("frames")
    assert len(corpus) > 50
    for file in corpus:
        one_input(file.read_bytes())


def test_the_pieces_of_an_input_are_its_stream() -> None:
    decoding = Decoding(bytes([0, 2, 3, 4, 1, 0]) + b"abcdefg")
    assert FILLS[4] == 1
    assert decoding.pieces == [b"abc" + FILLER, b"d", b"efg"]
    assert decoding.stream == b"abc" + FILLER + b"defg"
    assert Decoding(bytes([64, 1, 2, 0]) + b"abc").pieces == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "data", [*WORDS, b"\x81\x03ab\xc3", b"\x01\x01\xe2\x80\x01\x82", b"\x82\x80", b"\x89\x7e\0\x7e"]
)
def test_the_oracle_agrees_with_the_one_of_the_conformance_tests(data: bytes) -> None:
    for stream in (data, b"\x81\x04" + data[:4].ljust(4, b"x"), b"\x01\x02" + data[:2] + b"\x80\x02" + data[2:4]):
        one, other = Reader(stream, 2**63, None).read(), judge(stream, 0)
        assert vars(one) == vars(other), stream


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_finds_a_character_that_utf8_does_not_have(tmp_path: Path) -> None:
    tree = planted(
        tmp_path / "tree",
        "jetsocket/hot/utf8.h",
        "(lead == 0xF4 && second > 0x8F) ? 0 : 4",
        "(lead == 0xF4 && second > 0x9F) ? 0 : 4",
        only="frames_c",
    )
    assert_found("frames", tree, seeds())


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_finds_a_limit_that_fragments_escape_in_the_pure_twin(tmp_path: Path) -> None:
    tree = planted(
        tmp_path / "tree",
        "jetsocket/hot/frames_py.py",
        "if len(self._parts) + length > self._limit:",
        "if length > self._limit:",
        only=None,
    )
    assert_found("frames", tree, seeds())
