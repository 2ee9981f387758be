"""GroupStream: `(channel, message)` in the order in which they came, by every way of taking."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from jetsocket.errors import DecodeError

from .conftest import Twin
from .streams import LONG, settled

PAYLOADS = [("a", b"1"), ("b", b"2"), ("a", b"3"), ("\N{EURO SIGN}", b"4")]


class Group:
    """A group's stream, and its members by their channels."""

    def __init__(self, twin: Twin, decode: Any = bytes, **options: Any) -> None:
        self.ring = twin.group.GroupRing()
        self.stream = twin.group_stream.GroupStream(self.ring, decode, "the group", **options)
        self.members: dict[str, Any] = {}

    def push(self, *messages: tuple[str, bytes]) -> None:
        for number, (channel, payload) in enumerate(messages):
            if channel not in self.members:
                self.members[channel] = self.ring.member(channel)
            self.members[channel].accept(payload, False, number)
        self.ring.wake()


async def by_iteration(stream: Any, count: int) -> list[Any]:
    return [await anext(stream) for _ in range(count)]


async def by_recv(stream: Any, count: int) -> list[Any]:
    return [await stream.recv() for _ in range(count)]


async def by_recv_in_time(stream: Any, count: int) -> list[Any]:
    return [await stream.recv(LONG) for _ in range(count)]


async def by_batch(stream: Any, count: int) -> list[Any]:
    return [one for _ in range(count) for one in await stream.recv_batch(1)]


async def by_batches(stream: Any, count: int) -> list[Any]:
    got: list[Any] = []
    async for batch in stream.batches(3):
        got += batch
        if len(got) == count:
            break
    return got


async def by_messages(stream: Any, count: int) -> list[Any]:
    iterator = stream.messages()
    messages = [await anext(iterator) for _ in range(count)]
    return [(message.channel, message.decode()) for message in messages]


async def by_listening(stream: Any, count: int) -> list[Any]:
    got: list[Any] = []
    errors: list[BaseException] = []
    enough = asyncio.Event()

    def listener(one: Any) -> None:
        got.append(one)
        if len(got) == count:
            enough.set()

    stream.listen(listener, errors.append, lambda: None)
    await enough.wait()
    stream.stop_listening()
    assert not errors
    return got


WAYS = [by_iteration, by_recv, by_recv_in_time, by_batch, by_batches, by_messages, by_listening]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@ways
@pytest.mark.parametrize("decode", [bytes, str, json.loads], ids=["bytes", "str", "callable"])
async def test_each_message_comes_with_its_channel(twin: Twin, way: Any, decode: Any) -> None:
    group = Group(twin, decode, json=decode is json.loads)
    group.push(*PAYLOADS)
    expected = [(channel, decode(payload) if decode is not str else payload.decode()) for channel, payload in PAYLOADS]
    got = await way(group.stream, len(PAYLOADS))
    assert got == expected
    assert all(isinstance(one, tuple) for one in got)


@ways
async def test_who_waits_is_woken_by_any_member(twin: Twin, way: Any) -> None:
    group = Group(twin)
    task = asyncio.ensure_future(way(group.stream, 2))
    for payload in PAYLOADS[:2]:
        await settled()
        assert group.ring.waiting
        group.push(payload)
    assert await asyncio.wait_for(task, LONG) == PAYLOADS[:2]


async def test_one_message_and_all_that_is_known_of_it(twin: Twin) -> None:
    group = Group(twin, json.loads)
    member = group.ring.member("a")
    member.accept(b'{"p":1}', True, 17)
    message = await anext(group.stream.messages())
    assert isinstance(message, twin.stream.Message)
    assert isinstance(message, twin.group_stream.GroupMessage)
    assert (message.channel, message.data, message.binary, message.received_ns) == ("a", b'{"p":1}', True, 17)
    assert message.decode() == {"p": 1}
    made = twin.group_stream.GroupMessage(b"x", False, 1, group.stream, "b")
    with pytest.raises(DecodeError, match="a message of 'b'"):
        made.decode()


@pytest.mark.parametrize(
    ("decode", "payload"), [(str, b"\xff"), (json.loads, b"{")], ids=["text that is none", "json that is none"]
)
async def test_an_error_names_the_channel(twin: Twin, decode: Any, payload: bytes) -> None:
    group = Group(twin, decode)
    group.push(("a", b"1"), ("b", payload), ("c", b"3"))
    assert (await group.stream.recv())[0] == "a"
    with pytest.raises(DecodeError, match="cannot decode a message of 'b'") as caught:
        await group.stream.recv()
    assert (caught.value.channel, caught.value.raw) == ("b", payload)
    assert (await group.stream.recv())[0] == "c"


async def test_an_error_ends_a_batch_before_it(twin: Twin) -> None:
    group = Group(twin, str)
    group.push(("a", b"1"), ("b", b"\xff"), ("c", b"3"))
    assert await group.stream.recv_batch() == [("a", "1")]
    with pytest.raises(DecodeError) as caught:
        await group.stream.recv_batch()
    assert caught.value.channel == "b"
    assert await group.stream.recv_batch() == [("c", "3")]


async def test_what_was_put_into_the_group_itself_has_no_channel(twin: Twin) -> None:
    group = Group(twin, str)
    group.ring.accept(b"1", False, 1)
    group.ring.accept(b"\xff", False, 1)
    assert await group.stream.recv() == (None, "1")
    with pytest.raises(DecodeError, match="a message of 'the group'"):
        await group.stream.recv()


async def test_a_decoder_that_takes_from_the_group_itself(twin: Twin) -> None:
    """What it takes is not delivered, and is not mistaken for the message that it was called for."""
    taken: list[Any] = []

    def decode(payload: bytes) -> bytes:
        if payload == b"1":
            taken.append(group.ring.take_tagged()[:2])
        return payload

    group = Group(twin, decode)
    group.push(*PAYLOADS)
    assert await group.stream.recv_batch() == [PAYLOADS[0], *PAYLOADS[2:]]
    assert taken == [PAYLOADS[1]]


async def test_room_that_is_used_at_once_does_not_change_whose_a_message_is(twin: Twin) -> None:
    ring = twin.group.GroupRing(2, overflow="block")
    stream = twin.group_stream.GroupStream(ring, bytes)
    first, second = ring.member("a"), ring.member("b")
    taken: list[Any] = []
    ring.on_room = lambda: taken.append(ring.take_tagged()[:2])
    first.accept(b"1", False, 1)
    second.accept(b"2", False, 1)
    assert not second.accept(b"3", False, 1)
    assert await stream.recv() == ("a", b"1")
    assert taken == [("b", b"2")]


async def test_it_ends_as_any_stream(twin: Twin) -> None:
    group = Group(twin)
    group.push(*PAYLOADS)
    group.stream.end()
    assert [one async for one in group.stream] == PAYLOADS


def test_only_a_group_gives_channels(twin: Twin) -> None:
    with pytest.raises(TypeError, match="ring must be a GroupRing, got MessageRing"):
        twin.group_stream.GroupStream(twin.ring.MessageRing(), bytes)


async def test_a_plain_stream_of_a_group_gives_the_messages_alone(twin: Twin) -> None:
    group = Group(twin)
    plain = twin.stream.MessageStream(group.ring, bytes)
    group.push(*PAYLOADS)
    assert await plain.recv_batch() == [payload for _, payload in PAYLOADS]


def test_a_payload_is_decoded_by_hand(twin: Twin) -> None:
    group = Group(twin, str)
    assert group.stream.decode_payload(b"x") == "x"
    with pytest.raises(DecodeError, match="a message of 'the group'"):
        group.stream.decode_payload(b"\xff")
    with pytest.raises(DecodeError, match="a message of 'a'"):
        group.stream.decode_payload(b"\xff", "a")


@ways
async def test_what_was_parsed_for_its_channel(twin: Twin, way: Any) -> None:
    """Beyond its regular expressions the pure twin parses the message to find the channel, and delivers that."""
    group = Group(twin, json.loads, json=True)
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    for channel in "ab":
        router.add(channel, group.ring.member(channel))
    messages = [("a", {"x": [[[[[number]]]]], "s": "a"}) for number in range(2)] + [
        ("b", {"x": [[[[[{}]]]]], "s": "b"})
    ]
    for _, message in messages:
        assert router.accept(json.dumps(message).encode(), False, 1)
    assert await way(group.stream, 3) == messages


# Marks.


async def with_mark(twin: Twin, way: Any) -> list[Any]:
    group = Group(twin)
    group.push(*PAYLOADS[:2])
    group.stream.mark("a mark")
    group.push(*PAYLOADS[2:])
    return list(await way(group.stream, 5))


@pytest.mark.parametrize("way", [by_iteration, by_recv, by_recv_in_time, by_batch, by_batches, by_listening])
async def test_a_mark_comes_in_its_place_and_has_no_channel(twin: Twin, way: Any) -> None:
    assert await with_mark(twin, way) == [*PAYLOADS[:2], "a mark", *PAYLOADS[2:]]


async def test_a_mark_among_messages(twin: Twin) -> None:
    group = Group(twin)
    group.push(PAYLOADS[0])
    group.stream.mark("a mark")
    group.push(PAYLOADS[1])
    iterator = group.stream.messages()
    first, mark, second = [await anext(iterator) for _ in range(3)]
    assert [(one.channel, one.data) for one in (first, second)] == PAYLOADS[:2]
    assert mark == "a mark"


async def test_what_a_group_lost_is_told_once(twin: Twin) -> None:
    ring = twin.group.GroupRing(2)
    stream = twin.group_stream.GroupStream(ring, bytes)
    stream.watch_losses(lambda *facts: facts)
    first, second = ring.member("a"), ring.member("b")
    for number in range(4):
        (second if number % 2 else first).accept(b"%d" % number, False, number)
    assert await stream.recv_batch() == [("overflow", 2, 0, 2, None), ("a", b"2"), ("b", b"3")]


async def test_a_break_is_told_with_its_channel(twin: Twin) -> None:
    ring = twin.group.GroupRing()
    stream = twin.group_stream.GroupStream(ring, str)
    stream.watch_losses(lambda *facts: facts)
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    for channel in "ab":
        router.add(channel, ring.member(channel), twin.watch.Watch(sequence=twin.watch.Sequence("n")))
    messages = [("a", 1), ("b", 1), ("a", 2), ("b", 4), ("a", 3)]
    for number, (channel, n) in enumerate(messages):
        router.accept(b'{"s":"%s","n":%d}' % (channel.encode(), n), False, number)
    got = await stream.recv_batch()
    assert [one[0] for one in got] == ["a", "b", "a", "sequence", "b", "a"]
    assert got[3] == ("sequence", 2, 1, 3, "b")
