"""benchmarks/courses.py: the traffic of each course, and how a client names it."""

from __future__ import annotations

import json
import zlib

import pytest

from benchmarks.courses import (
    COURSES,
    DEFLATE,
    LARGE_1M,
    LARGE_64K,
    TINY,
    TLS,
    TRADES,
    Course,
    asked_for,
    compress,
    flood,
)
from benchmarks.traffic import trades

EVERY = pytest.mark.parametrize("course", COURSES.values(), ids=list(COURSES))


@EVERY
def test_every_message_names_its_channel_first(course: Course) -> None:
    messages, chosen = course.make(20)
    assert course.make(20) == (messages, chosen)
    for message, index in zip(messages, chosen, strict=True):
        assert message.startswith(b'{"stream":"')
        assert json.loads(message)["stream"] == course.channels[index]


@pytest.mark.parametrize("course, size", [(TINY, 30), (LARGE_64K, 65536), (LARGE_1M, 1048576)])
def test_messages_have_the_size_that_the_course_is_for(course: Course, size: int) -> None:
    assert {len(message) for message in course.make(20)[0]} == {size}


@EVERY
def test_what_nobody_reads_stays_within_memory(course: Course) -> None:
    largest = max(map(len, course.make(20)[0]))
    # Of the large messages there are fewer kinds than channels.
    assert min(len(course.channels), course.block) * course.queue_size * largest < 100 * 2**20


@EVERY
def test_address_names_course_and_count(course: Course) -> None:
    uri = course.uri(8080, 123)
    assert uri.startswith("wss://" if course is TLS else "ws://")
    assert asked_for(uri) == (course, 123)


def test_an_address_without_a_course_is_of_the_trades() -> None:
    assert asked_for("ws://127.0.0.1:8080/7") == (TRADES, 7)
    assert asked_for("/7") == (TRADES, 7)


@pytest.mark.parametrize("uri", ["ws://127.0.0.1:8080/", "/tiny", "/huge/7", "/tiny/-7", "/tiny/7/"])
def test_other_addresses_are_errors(uri: str) -> None:
    with pytest.raises(ValueError, match="not an address of the sender"):
        asked_for(uri)


def test_a_compressed_block_can_follow_itself() -> None:
    messages, _ = trades(50)
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    payloads = compress(messages)
    for _ in range(3):
        assert [inflater.decompress(payload + b"\0\0\xff\xff") for payload in payloads] == messages
    assert sum(map(len, payloads)) < sum(map(len, messages)) / 2


def test_compressed_frames_say_so() -> None:
    assert flood(DEFLATE.name).data[0] == 0xC1
    assert flood(TLS.name).data[0] == 0x81
