"""Router: each message to the ring of its channel, as `json` and a dict would have it."""

from __future__ import annotations

import gc
import json
import random
import weakref
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Twin
from .wire import TEXT, frame

BOTH = [Twin("compiled"), Twin("pure")]

ODD_NAMES = [
    "", "a", "b", "aa", "ab", "\0", "\0\0", "x" * 15, "x" * 16, "x" * 17, "x" * 31, "x" * 32, "x" * 33, "y" * 10_000,
    "é", "e\u0301", "\u20ac", "\U0001f600", "\ud800", "\udc00", "\udc00\ud800", 'qu"ote', "back\\slash", "new\nline",
    "0", "1", "-0", "1.0", "null", "true", " a", "a ", "A",
]  # fmt: skip


def message(channel: Any, number: int = 0, *, escaped: bool = True) -> bytes:
    return json.dumps({"n": number, "s": channel}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


def router_of(twin: Twin, **options: Any) -> Any:
    return twin.router.Router(twin.keys.ChannelKey("s"), **options)


def contents(ring: Any) -> list[int]:
    return [json.loads(ring.take()[0])["n"] for _ in range(len(ring))]


def test_routing(twin: Twin) -> None:
    router, rings = router_of(twin), {name: twin.ring.MessageRing() for name in ("a", "b")}
    for name, ring in rings.items():
        router.add(name, ring)
    for number, name in enumerate(["a", "b", "a", "c", "b", None, ["a"], {}, 5, True]):
        assert router.accept(message(name, number), number == 4, number) is True
    assert rings["a"].take() == (message("a", 0), False, 0)
    assert (contents(rings["a"]), rings["b"].take()[2], rings["b"].take()[1]) == ([2], 1, True)
    assert (router.routed, router.unroutable) == (4, 6)


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
@pytest.mark.parametrize("ending", ['","n":1}', '"', "", "x", '\\"'])
def test_what_a_message_begins_with_is_routed_as_the_key_has_it(twin: Twin, name: str, ending: str) -> None:
    """The name stands there as it is, also where no JSON can have it so."""
    router = router_of(twin)
    rings = {other: twin.ring.MessageRing() for other in ODD_NAMES}
    for other, ring in rings.items():
        router.add(other, ring)
    payload = b'{"s":"' + (name + ending).encode("utf-8", "surrogatepass")
    router.accept(payload, False, 1)
    channel = twin.keys.ChannelKey("s").find(payload)
    assert [other for other, ring in rings.items() if len(ring)] == [channel] * (channel in rings)


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names(twin: Twin, name: str) -> None:
    router = router_of(twin)
    rings = {other: twin.ring.MessageRing() for other in ODD_NAMES}
    for other, ring in rings.items():
        router.add(other, ring)
    assert name in router
    assert len(router) == len(ODD_NAMES)
    router.accept(message(name, 1), False, 1)
    if name.isprintable() and name.isascii():
        router.accept(message(name, 2, escaped=False), False, 1)
    assert contents(rings[name])[0] == 1
    assert all(len(ring) == 0 for ring in rings.values())
    assert router.unroutable == 0
    assert router.remove(name) is True
    assert name not in router
    router.accept(message(name, 3), False, 1)
    assert (len(rings[name]), router.unroutable) == (0, 1)


def test_a_number_is_its_literal_text(twin: Twin) -> None:
    router, ring = router_of(twin), twin.ring.MessageRing()
    router.add("1.50", ring)
    router.accept(b'{"n":1,"s":1.50}', False, 1)
    router.accept(b'{"n":2,"s":1.5}', False, 1)
    assert contents(ring) == [1]


def test_adding_and_removing(twin: Twin) -> None:
    router, ring = router_of(twin), twin.ring.MessageRing()
    router.add("a", ring)
    with pytest.raises(ValueError, match="channel 'a' has a ring already"):
        router.add("a", twin.ring.MessageRing())
    assert router.remove("b") is False
    assert router.remove("a") is True
    assert router.remove("a") is False
    assert len(router) == 0
    router.add("a", ring)
    router.accept(message("a"), False, 1)
    assert len(ring) == 1
    # One ring may serve several channels.
    router.add("b", ring)
    router.accept(message("b"), False, 1)
    assert len(ring) == 2


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_channels_against_a_dict(twin: Twin, seed: int) -> None:
    rng = random.Random(seed)
    router = router_of(twin)
    names = [f"{rng.choice(['trade', 'book', 'x' * 40])}.{i}" for i in range(3000 if seed < 2 else 40)]
    model: dict[str, tuple[Any, list[int]]] = {}
    routed = unroutable = 0
    for number in range(20_000):
        name = rng.choice(names)
        what = rng.random()
        growing = number // 4000 % 2 == 0
        if what < (0.5 if growing else 0.1):
            if name in model:
                with pytest.raises(ValueError):
                    router.add(name, model[name][0])
            else:
                model[name] = (twin.ring.MessageRing(), [])
                router.add(name, model[name][0])
        elif what < 0.6:
            gone = model.pop(name, None)
            assert router.remove(name) is (gone is not None)
            if gone is not None:
                assert contents(gone[0]) == gone[1]
        else:
            router.accept(message(name, number), False, number)
            if name in model:
                model[name][1].append(number)
                routed += 1
            else:
                unroutable += 1
    assert len(router) == len(model)
    assert (router.routed, router.unroutable) == (routed, unroutable)
    for name in names:
        assert (name in router) == (name in model)
    for ring, expected in model.values():
        assert contents(ring) == expected


channels = st.text(alphabet="ab\0é\U0001f600\ud800", max_size=3)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["add", "remove", "say", "say"]), channels),
            st.tuples(
                st.just("odd"), st.sampled_from([b"", b"{", b"[]", b"null", b'{"s":["a"]}', b'{"s":"a', b"\xff"])
            ),
        ),
        max_size=60,
    ),
    spilling=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_operations_against_a_dict(steps: list[tuple[str, Any]], spilling: bool) -> None:
    for twin in BOTH:
        spill = twin.ring.MessageRing() if spilling else None
        router = router_of(twin, spill=spill)
        model: dict[str, tuple[Any, list[bytes]]] = {}
        spilt = []
        for what, name in steps:
            if what == "add" and name not in model:
                model[name] = (twin.ring.MessageRing(), [])
                router.add(name, model[name][0])
            elif what == "remove":
                assert router.remove(name) is (model.pop(name, None) is not None)
            elif what in ("say", "odd"):
                payload = message(name) if what == "say" else name
                assert router.accept(payload, False, 1) is True
                (model[name][1] if what == "say" and name in model else spilt).append(payload)
        for ring, expected in model.values():
            assert [ring.take()[0] for _ in range(len(ring))] == expected
        if spill is not None:
            assert [spill.take()[0] for _ in range(len(spill))] == spilt
        assert router.unroutable == len(spilt)


def test_spill(twin: Twin) -> None:
    spill, ring = twin.ring.MessageRing(2), twin.ring.MessageRing()
    router = router_of(twin, spill=spill)
    assert router.spill is spill
    calls: list[str] = []
    spill.waker = lambda: calls.append("spill")
    spill.waiting = True
    router.add("a", ring)
    router.accept(message("a"), False, 1)
    router.wake()
    assert calls == []
    for number in range(3):
        router.accept(message("b", number), True, number)
    router.wake()
    router.wake()
    assert calls == ["spill"]
    assert spill.dropped == 1
    assert spill.take() == (message("b", 1), True, 1)
    assert router.unroutable == 3


def test_a_ring_is_woken_once_a_read(twin: Twin) -> None:
    router = router_of(twin)
    decoder = twin.frames.FrameDecoder(router)
    calls: list[str] = []
    rings = {}
    for name in "abcdefghijklmnopqrstuvwxyz":
        ring = rings[name] = twin.ring.MessageRing()
        ring.waker = lambda name=name: calls.append(name)
        ring.waiting = name != "z"
        router.add(name, ring)
    decoder.feed(b"".join(frame(TEXT, message(name)) for name in "zebra" * 3), 1)
    assert sorted(calls) == ["a", "b", "e", "r"]
    assert not rings["a"].waiting
    assert rings["c"].waiting
    decoder.feed(frame(TEXT, message("a")), 1)
    assert len(calls) == 4
    rings["a"].waiting = True
    decoder.feed(frame(TEXT, message("a")) + frame(TEXT, message("c")), 1)
    assert calls[4:] == ["a", "c"]


def test_a_dropped_message_wakes_nobody(twin: Twin) -> None:
    router, ring = router_of(twin), twin.ring.MessageRing(max_bytes=5)
    calls: list[int] = []
    ring.waker = lambda: calls.append(1)
    ring.waiting = True
    router.add("a", ring)
    router.accept(message("a"), False, 1)
    router.wake()
    assert (calls, ring.waiting, ring.dropped, router.routed) == ([], True, 1, 1)


def test_a_ring_removed_while_its_consumer_waits_is_still_woken(twin: Twin) -> None:
    router, ring = router_of(twin), twin.ring.MessageRing()
    calls: list[int] = []
    ring.waker = lambda: calls.append(len(ring))
    ring.waiting = True
    router.add("a", ring)
    router.accept(message("a"), False, 1)
    router.remove("a")
    router.wake()
    assert calls == [1]
    router.accept(message("a"), False, 1)
    router.wake()
    assert calls == [1]


def test_a_removed_ring_is_not_touched_again(twin: Twin) -> None:
    router = router_of(twin)
    for name in ("a", "b"):
        ring = twin.ring.MessageRing()
        ring.waiting = True
        router.add(name, ring)
    router.accept(message("a"), False, 1)
    gone = weakref.ref(ring)
    router.accept(message("b"), False, 1)
    router.remove("b")
    router.wake()
    del ring
    gc.collect()
    assert gone() is None
    for _ in range(100):
        router.accept(message("b"), False, 1)
    router.wake()


def test_a_waker_may_change_the_router(twin: Twin) -> None:
    router = router_of(twin)
    rings = {name: twin.ring.MessageRing() for name in "abc"}
    calls: list[str] = []

    def waker(name: str) -> None:
        calls.append(name)
        router.remove("c")
        router.add(f"more {len(calls)}", twin.ring.MessageRing())
        router.accept(message("a"), False, 1)

    for name, ring in rings.items():
        ring.waker = lambda name=name: waker(name)
        ring.waiting = True
        router.add(name, ring)
        router.accept(message(name), False, 1)
    router.wake()
    router.wake()
    assert sorted(calls) == ["a", "b", "c"]
    assert len(router) == 5


def test_a_ring_that_blocks_refuses(twin: Twin) -> None:
    router, ring = router_of(twin), twin.ring.MessageRing(1, overflow="block")
    router.add("a", ring)
    assert router.accept(message("a", 1), False, 1) is True
    assert router.accept(message("a", 2), False, 1) is False
    assert router.accept(message("b"), False, 1) is True
    assert (router.routed, router.unroutable) == (1, 1)
    decoder = twin.frames.FrameDecoder(router)
    decoder.feed(frame(TEXT, message("a", 3)) + frame(TEXT, message("b")), 1)
    assert decoder.blocked
    assert contents(ring) == [1]
    decoder.resume()
    assert not decoder.blocked
    assert contents(ring) == [3]
    assert (router.routed, router.unroutable) == (2, 2)


def test_conservation(twin: Twin) -> None:
    rng = random.Random(5)
    router = router_of(twin, spill=twin.ring.MessageRing(3))
    rings = [twin.ring.MessageRing(rng.choice([0, 3, 10])) for _ in range(20)]
    for number, ring in enumerate(rings):
        router.add(str(number), ring)
    decoder = twin.frames.FrameDecoder(router)
    for _ in range(200):
        decoder.feed(b"".join(frame(TEXT, message(str(rng.randrange(25)))) for _ in range(rng.randrange(30))), 1)
        for ring in rings:
            if len(ring) and rng.random() < 0.3:
                ring.take()
        assert router.routed == sum(ring.received for ring in rings)
        assert router.routed == sum(ring.delivered + ring.dropped + len(ring) for ring in rings)
        assert decoder.frames_received == router.routed + router.unroutable


def test_the_compiled_router_refuses_what_is_no_name_and_no_ring() -> None:
    router, ring = router_of(BOTH[0]), BOTH[0].ring.MessageRing()
    for bad in (None, 5, b"a"):
        with pytest.raises(TypeError):
            router.add(bad, ring)
        with pytest.raises(TypeError):
            router.remove(bad)
    for bad in (None, BOTH[1].ring.MessageRing()):
        with pytest.raises(TypeError):
            router.add("a", bad)
    with pytest.raises(TypeError):
        router.accept(None, False, 1)
    with pytest.raises(TypeError, match="a Router is initialised once"):
        router.__init__(router.key)
    assert (len(router), router.routed, router.unroutable) == (0, 0, 0)


def test_a_compiled_router_without_its_key() -> None:
    router_c = import_module("jetsocket.hot.router_c")
    with pytest.raises(TypeError):
        router_c.Router(None)
    bare = router_c.Router.__new__(router_c.Router)
    with pytest.raises(NotImplementedError):
        bare.accept(b"{}", False, 1)
    bare.wake()
    for use in (lambda: bare.add("a", import_module("jetsocket.hot.ring_c").MessageRing()), lambda: bare.remove("a")):
        with pytest.raises((TypeError, AttributeError)):
            use()
