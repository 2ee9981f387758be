"""What test_reference_counts.py does with routers, keys and decoders, once and a thousand times."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import pytest

from .conftest import Twin
from .reference_cases import Calls, Case, Odd, fresh, kept
from .wire import BINARY, CONT, PING, TEXT, frame

# Routers and keys. The payloads of these name a channel.

ROUTED = [b'{"s":"chan"}', rb'{"s":"ch\u0061n"}', b'{"s":"nobody\'s"}', b"[]", b""]


def add_and_remove(twin: Twin, payload: bytes) -> Case:
    """Forty of them: the table grows."""
    router = twin.router.Router(twin.keys.ChannelKey("s"))
    names = [f"channel {number}" for number in range(40)]
    ring = twin.ring.MessageRing()

    def act() -> None:
        for name in names:
            router.add(name, ring)
        with pytest.raises(ValueError, match="has a ring already"):
            router.add(names[7], ring)

    def undo() -> None:
        for name in names:
            assert router.remove(name)
        assert not router.remove(names[0])

    return Case({"name": names[7], "ring": ring, "router": router}, act, undo, {"name": 1, "ring": 40})


def route(twin: Twin, payload: bytes) -> Case:
    spill, ring, key = twin.ring.MessageRing(), twin.ring.MessageRing(), twin.keys.ChannelKey("s")
    router = twin.router.Router(key, spill)
    name = fresh("chan")
    waker = Calls()
    router.add(name, ring)

    def act() -> None:
        ring.waker, ring.waiting = waker, True
        router.accept(payload, False, 1)
        router.wake()
        ring.waker = None

    def undo() -> None:
        ring.clear()
        spill.clear()

    watched = {"payload": payload, "name": name, "ring": ring, "spill": spill, "key": key, "waker": waker}
    return Case(watched, act, undo, kept(twin, payload=1))


def remove_what_is_to_be_woken(twin: Twin, payload: bytes) -> Case:
    name, waker = fresh("chan"), Calls(Odd())
    router = twin.router.Router(twin.keys.ChannelKey("s"))

    def act() -> None:
        ring = twin.ring.MessageRing()
        gone = weakref.ref(ring)
        router.add(name, ring)
        ring.waker, ring.waiting = waker, True
        router.accept(payload, False, 1)
        with suppress(Odd):
            router.remove(name)
        with suppress(Odd):
            router.wake()
        # It knows the frames that it went through.
        waker.answer.__traceback__ = None
        assert len(router) == 0
        del ring
        gc.collect(0)
        assert gone() is None
        router.accept(payload, False, 1)

    return Case({"payload": payload, "name": name, "waker": waker, "error": waker.answer, "router": router}, act)


def let_a_router_go(twin: Twin, payload: bytes) -> Case:
    key, ring, spill, name = twin.keys.ChannelKey("s"), twin.ring.MessageRing(), twin.ring.MessageRing(), fresh("ab")

    def act() -> None:
        router = twin.router.Router(key, spill)
        router.add(name, ring)
        router.accept(payload, False, 1)

    def undo() -> None:
        spill.clear()

    return Case({"key": key, "ring": ring, "spill": spill, "name": name}, act, undo)


def find(twin: Twin, payload: bytes) -> Case:
    key, template = twin.keys.ChannelKey("s"), twin.keys.ChannelKey("{s}:{t|s}")

    def act() -> None:
        for each in (key, template):
            each.find(payload)
            each.find_parsed(payload)

    return Case({"payload": payload, "key": key, "template": template}, act)


def make_keys(twin: Twin, payload: bytes) -> Case:
    spec, bad = fresh("{a.b[3]}:{c|d}"), fresh("{a.b[3]")

    def act() -> None:
        assert twin.keys.ChannelKey(spec).spec == spec
        with suppress(ValueError):
            twin.keys.ChannelKey(bad)

    return Case({"spec": spec, "bad": bad}, act)


ROUTERS = [add_and_remove, route, remove_what_is_to_be_woken, let_a_router_go, find, make_keys]

# Decoders. The payloads of these are what a server sends.

SENT = {
    "text": frame(TEXT, b"hello") * 3,
    "binary": frame(BINARY, bytes(300)),
    "large": frame(BINARY, bytes(100_000)),
    "fragments": frame(TEXT, b"he", fin=False) + frame(PING, b"?") + frame(CONT, b"llo"),
    "compressed": frame(TEXT, b"z", rsv=4),
    "half a message": frame(TEXT, b"he", fin=False),
    "half a frame": frame(BINARY, bytes(100_000))[:50_000],
    "not text": frame(TEXT, b"\xff"),
    "reserved": frame(3),
    "nothing": b"",
}


def feed(twin: Twin, payload: bytes) -> Case:
    """A new decoder each time, which is let go with what it was in the middle of."""
    ring, inflate = twin.ring.MessageRing(), Calls(b"inflated")

    def act() -> None:
        decoder = twin.frames.FrameDecoder(ring, inflate=inflate)
        for _ in range(2):
            decoder.feed(payload, 1)

    return Case(
        {"payload": payload, "ring": ring, "inflate": inflate, "answer": inflate.answer},
        act,
        ring.clear,
        kept_answers(twin, payload),
    )


def kept_answers(twin: Twin, payload: bytes) -> dict[str, int]:
    return kept(twin, answer=2) if payload == SENT["compressed"] else {}


def feed_what_blocks(twin: Twin, payload: bytes) -> Case:
    ring = twin.ring.MessageRing(1, overflow="block")

    def act() -> None:
        decoder = twin.frames.FrameDecoder(ring, inflate=bytes.upper)
        with suppress(TypeError):
            decoder.feed(payload * 2, 1)
        for _ in range(5):
            if len(ring):
                ring.take()
            decoder.resume()
        decoder = twin.frames.FrameDecoder(ring)
        decoder.feed(payload, 1)
        decoder.feed(payload, 1)
        ring.clear()

    return Case({"payload": payload, "ring": ring}, act)


def feed_what_raises(twin: Twin, payload: bytes) -> Case:
    ring, inflate = twin.ring.MessageRing(), Calls(Odd())

    def act() -> None:
        decoder = twin.frames.FrameDecoder(ring, inflate=inflate)
        with suppress(Odd):
            decoder.feed(payload, 1)
        inflate.answer.__traceback__ = None
        decoder.get_buffer()
        with pytest.raises(ValueError, match="commit"):
            decoder.commit(-1, 1)

    return Case({"payload": payload, "ring": ring, "inflate": inflate, "error": inflate.answer}, act, ring.clear)


def encode(twin: Twin, payload: bytes) -> Case:
    mask = bytes(bytearray(b"mask"))

    def act() -> None:
        twin.frames_out.encode_frame(2, payload, mask)
        twin.frames_out.apply_mask(payload, mask)
        with pytest.raises(ValueError, match="4 bytes"):
            twin.frames_out.encode_frame(2, payload, payload[:3])

    return Case({"payload": payload, "mask": mask}, act)


DECODERS = [feed, feed_what_blocks, feed_what_raises, encode]
