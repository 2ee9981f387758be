"""The rings' fuzzer: what it has found so far, and bugs that it has to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.fuzz_ring import one_input, seeds
from tools.fuzzing.corpus import committed
from tools.fuzzing.drawing import Draw
from tools.fuzzing.ring_play import OPERATIONS, Play, worlds

from .planting import assert_found, needs_atheris, planted


def test_every_seed_passes() -> None:
    for data in [b"", b"\0", *seeds()]:
        one_input(data)


def test_every_input_of_the_corpus_passes() -> None:
    corpus = committed("ring")
    assert len(corpus) > 50
    for file in corpus:
        one_input(file.read_bytes())


def test_the_seeds_use_every_operation() -> None:
    used = set()
    for data in seeds():
        play = Play(worlds()[2], Draw(data))
        while not play.draw.empty:
            used.add(play.play()[0])
    assert used == {operation.__name__ for operation in OPERATIONS}


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_finds_a_callback_that_does_not_come_when_exactly_half_is_free(tmp_path: Path) -> None:
    tree = planted(
        tmp_path / "tree",
        "jetsocket/hot/ring_c.pyx",
        "self.ring.nbytes <= self.ring.max_bytes // 2",
        "self.ring.nbytes < self.ring.max_bytes // 2",
        only="ring_c",
    )
    assert_found("ring", tree, seeds())


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_finds_the_same_in_the_pure_twin(tmp_path: Path) -> None:
    tree = planted(
        tmp_path / "tree",
        "jetsocket/hot/ring_py.py",
        "few = not self.capacity or len(self._items) * 2 <= self.capacity",
        "few = not self.capacity or len(self._items) * 2 < self.capacity",
        only=None,
    )
    assert_found("ring", tree, seeds())


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_with_sanitizers_it_finds_a_message_written_beyond_its_chunk(tmp_path: Path) -> None:
    tree = planted(
        tmp_path / "tree",
        "jetsocket/hot/arena.h",
        "if (chunk->size < needed || chunk->size * 2 < size ||",
        "if (chunk->size * 2 < size ||",
        only="ring_c,router_c",
        build="fuzz_sanitize",
    )
    assert "heap-buffer-overflow" in assert_found("ring", tree, seeds(), "--sanitize")
