"""benchmarks/traffic.py: the messages that every benchmark uses."""

from __future__ import annotations

import json
from collections import Counter, deque

from benchmarks.traffic import CHANNELS, block, frame, kept, trades


def test_the_same_in_every_run() -> None:
    assert trades(100) == trades(100)
    assert trades(100) != trades(100, seed=2)


def test_messages_are_trades_of_about_170_bytes() -> None:
    messages, chosen = trades(1000)
    for message, index in zip(messages, chosen, strict=True):
        assert json.loads(message)["stream"] == CHANNELS[index]
    assert 160 <= sum(map(len, messages)) / len(messages) <= 180


def test_few_channels_are_busy_and_all_are_used() -> None:
    counts = Counter(trades(20_000)[1])
    assert len(counts) == len(CHANNELS)
    assert counts[0] > 10 * counts[50]


def test_block_ends_where_its_frames_end() -> None:
    data, ends, _ = block(10)
    messages, _ = trades(10)
    starts = [0, *ends]
    assert [data[start:end] for start, end in zip(starts, ends, strict=False)] == [frame(text) for text in messages]
    assert ends[-1] == len(data)


def test_kept_is_what_bounded_queues_hold() -> None:
    chosen = block(500)[2]
    queues: dict[int, deque[None]] = {index: deque(maxlen=7) for index in range(len(CHANNELS))}
    for number in range(1234):
        queues[chosen[number % len(chosen)]].append(None)
    assert kept(chosen, 1234, 7) == sum(map(len, queues.values())) + 1
    assert kept(chosen, 1234, 0) == 1234 + 1
