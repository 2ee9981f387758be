"""Runs operations of the compiled rooms with every allocation failing in turn: `python -m tests.conformance.scarcity`.

It is to be run with the library of scarcity.c in LD_PRELOAD, whose allocator fails on command, and with
PYTHONMALLOC=malloc, so that Python's own objects come from there too. An operation is begun anew, its first allocation
failing, then its second, and so on until it ends without having met one that fails. It may then succeed or raise
MemoryError, and whichever it does, `check` must find everything as it should be, and find it usable. All of it once
more must keep no memory.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from jetsocket.errors import DecodeError

from .conftest import Twin
from .scarcity_watching import marking, watching
from .wire import BINARY, CONT, PING, TEXT, frame

# An operation has fewer allocations than that.
MOST = 3000
ROUNDS = 3
PAYLOAD = b'{"s":"a","n":%d}' % 10**20
ESCAPED = rb'{"s":"\u0061' + b"b" * 300 + b'"}'


class Attempt(NamedTuple):
    """Something that is done without enough memory, and what must hold afterwards."""

    operation: Callable[[], object]
    check: Callable[[], object]


def balanced(*rings: Any) -> None:
    for ring in rings:
        assert ring.received == ring.delivered + ring.dropped + len(ring), ring


def usable(ring: Any) -> None:
    """Everything that is queued can be taken, and a message goes in and out."""
    balanced(ring)
    while len(ring):
        ring.take()
    assert ring.nbytes == 0
    assert ring.accept(b"after", True, 7)
    assert ring.take() == (b"after", True, 7)
    balanced(ring)


def queueing(twin: Twin) -> Iterator[Attempt]:
    for options in ({}, {"capacity": 3}, {"max_bytes": 100}, {"capacity": 3, "overflow": "block"}):
        for size in (0, 10, 2000, 200_000):
            for queued in (0, 3, 16):
                ring = twin.ring.MessageRing(**options)
                payload = b"x" * size
                for _ in range(queued):
                    ring.accept(PAYLOAD, False, 1)
                yield Attempt(
                    lambda ring=ring, payload=payload: ring.accept(payload, False, 1), lambda r=ring: usable(r)
                )


def taking(twin: Twin) -> Iterator[Attempt]:
    for queued in (1, 20):
        ring = twin.ring.MessageRing()
        for _ in range(queued):
            ring.accept(PAYLOAD * 100, False, 1)
        yield Attempt(ring.take, lambda ring=ring: usable(ring))
    yield Attempt(lambda: [ring.clear() for _ in range(2)], lambda: usable(ring))


def routing(twin: Twin) -> Iterator[Attempt]:
    for payload in (PAYLOAD, ESCAPED, b'{"s":"none"}', b"[]"):
        spill, ring = twin.ring.MessageRing(2), twin.ring.MessageRing(2)
        router = twin.router.Router(twin.keys.ChannelKey("{s}"), spill)
        router.add("a", ring)
        router.add("a" + "b" * 300, ring)

        def check(router: Any = router, ring: Any = ring, spill: Any = spill) -> None:
            balanced(ring, spill)
            assert (router.routed, router.unroutable) == (ring.received, spill.received)
            before = ring.received
            assert router.accept(PAYLOAD, False, 1)
            assert ring.received == before + 1
            usable(ring)
            usable(spill)

        yield Attempt(lambda router=router, payload=payload: router.accept(payload, False, 1), check)


def adding(twin: Twin) -> Iterator[Attempt]:
    """Among others the eighth channel and the ninth, at which the table grows."""
    for channels in (0, 7, 8, 9):
        router = twin.router.Router(twin.keys.ChannelKey("s"))
        rings = [twin.ring.MessageRing() for _ in range(channels + 1)]
        for number in range(channels):
            router.add(f"c{number}", rings[number])

        def check(router: Any = router, rings: list[Any] = rings) -> None:
            last = f"c{len(rings) - 1}"
            assert len(router) == len(rings) - (last not in router)
            if last not in router:
                router.add(last, rings[-1])
            for number, ring in enumerate(rings):
                router.accept(b'{"s":"c%d"}' % number, False, 1)
                assert ring.received == 1
            for number in range(len(rings)):
                assert router.remove(f"c{number}")
            assert len(router) == 0

        yield Attempt(lambda router=router, rings=rings: router.add(f"c{len(rings) - 1}", rings[-1]), check)


def waking(twin: Twin) -> Iterator[Attempt]:
    """Also a channel that is removed while its ring is to be woken."""
    for remove in (False, True):
        router = twin.router.Router(twin.keys.ChannelKey("s"), twin.ring.MessageRing())
        rings = {f"c{number}": twin.ring.MessageRing() for number in range(5)}
        woken: list[int] = []
        for name, ring in rings.items():
            router.add(name, ring)
            ring.waker = lambda woken=woken: woken.append(1)
            ring.waiting = True
            router.accept(f'{{"s":"{name}"}}'.encode(), False, 1)

        def operation(router: Any = router, remove: bool = remove) -> None:
            if remove:
                router.remove("c2")
            router.wake()

        def check(router: Any = router, rings: dict[str, Any] = rings) -> None:
            if "c2" not in router:
                del rings["c2"]
            for _ in range(50):
                for name, ring in rings.items():
                    ring.waiting = True
                    assert router.accept(f'{{"s":"{name}"}}'.encode(), False, 1)
            router.wake()
            balanced(*rings.values())
            assert all(not ring.waiting for ring in rings.values())

        yield Attempt(operation, check)


def never(payload: bytes) -> bool:
    return False


def inflate(data: bytes, limit: int) -> bytes:
    return data * 3


def decoding_frames(twin: Twin) -> Iterator[Attempt]:
    """The message that comes while there is no memory may be lost; none is delivered that was not sent."""
    whole = {b"1", PAYLOAD, b"half and half", b"zzz", b"z" * 70_000}
    for data in (
        frame(TEXT, PAYLOAD) * 3,
        frame(TEXT, b"1") + frame(PING, b"?") + frame(TEXT, PAYLOAD),
        frame(TEXT, b"half", fin=False) + frame(CONT, b" and ", fin=False) + frame(PING) + frame(CONT, b"half"),
        frame(BINARY, b"z", rsv=4) + frame(TEXT, PAYLOAD),
        frame(BINARY, b"z" * 70_000),
        frame(BINARY, b"z" * 35_000, fin=False) + frame(CONT, b"z" * 35_000),
    ):
        ring = twin.ring.MessageRing()
        router = twin.router.Router(twin.keys.ChannelKey("s"), ring)
        sieve = twin.sieve.Sieve(router, never)
        decoder = twin.frames.FrameDecoder(sieve, inflate=inflate)

        def operation(decoder: Any = decoder, data: bytes = data) -> None:
            for start in range(0, len(data), 30_011):
                decoder.feed(data[start : start + 30_011], 1)

        def check(ring: Any = ring, decoder: Any = decoder) -> None:
            balanced(ring)
            assert decoder.fault is None
            while len(ring):
                payload = ring.take()[0]
                assert payload in whole, payload
            usable(ring)

        yield Attempt(operation, check)


def making(twin: Twin) -> Iterator[Attempt]:
    def nothing() -> None:
        """What was half made is gone."""

    ring, key = twin.ring.MessageRing(), twin.keys.ChannelKey("s")
    makes: list[Callable[[], object]] = [
        lambda: twin.ring.MessageRing(5, max_bytes=9, overflow="block"),
        lambda: twin.router.Router(key, ring),
        lambda: twin.frames.FrameDecoder(ring, inflate=inflate),
        lambda: twin.sieve.Sieve(ring, bytes),
        lambda: twin.stream.MessageStream(ring, bytes, "a"),
        lambda: twin.group.GroupRing(5).member("a"),
        lambda: twin.group_stream.GroupStream(twin.group.GroupRing(), bytes),
        lambda: twin.latest.LatestRing(key=key),
        lambda: twin.frames_out.encode_frame(1, PAYLOAD * 1000, b"1234"),
        lambda: twin.frames_out.apply_mask(PAYLOAD * 1000, b"1234"),
        lambda: key.find(ESCAPED),
        lambda: repr(ring) + repr(key),
    ]
    # Its grammar is Python with generators. From 3.12 on CPython crashes where there is no memory for their frames.
    if sys.version_info < (3, 12):
        makes.append(lambda: twin.keys.ChannelKey('{a.b[3].c|"x.y"}:{d}'))
    for make in makes:
        yield Attempt(make, nothing)


def delivering(twin: Twin) -> Iterator[Attempt]:
    # All in C, and float raises: of a Python function CPython may forget the exception, without memory for its frame.
    for decode in (bytes, str, bytearray, float):
        for way in ("one", "message", "batch", "recv", "recv_batch", "waiting"):
            ring = twin.ring.MessageRing()
            stream = twin.stream.MessageStream(ring, decode, "name")
            if way != "waiting":
                for _ in range(20):
                    ring.accept(PAYLOAD, False, 1)

            def operation(stream: Any = stream, way: str = way) -> None:
                with suppress(StopIteration, DecodeError):
                    driven(stream, way)

            def check(ring: Any = ring, stream: Any = stream) -> None:
                assert not stream.ended
                usable(ring)
                stream.end(ConnectionResetError())
                balanced(ring)

            yield Attempt(operation, check)


def grouping(twin: Twin) -> Iterator[Attempt]:
    for queued in (0, 3, 16):
        for act in ("member", "put", "take", "clear", "go"):
            group = twin.group.GroupRing(5 if queued == 3 else 0)
            members = [group.member("a"), group.member("b")]
            for number in range(queued):
                members[number % 2].accept(PAYLOAD, False, 1)

            def operation(group: Any = group, members: list[Any] = members, act: str = act) -> None:
                if act == "member":
                    members.append(group.member("c"))
                elif act == "put":
                    members[0].accept(PAYLOAD * 100, False, 1)
                elif act == "go":
                    members.pop()
                elif act == "clear":
                    group.clear()
                elif len(group):
                    group.take_tagged()

            def check(group: Any = group, members: list[Any] = members) -> None:
                balanced(group, *members)
                assert members[0].accept(b"other", True, 7)
                while len(group):
                    assert group.take_tagged()[0] in ("a", "b")
                balanced(group, *members)
                assert (group.nbytes, len(members[0])) == (0, 0)
                usable(group)

            yield Attempt(operation, check)


def conflating(twin: Twin) -> Iterator[Attempt]:
    for options in ({}, {"capacity": 3}, {"max_bytes": 100}):
        for payload in (PAYLOAD, PAYLOAD * 50, ESCAPED, b"no key"):
            for queued in (0, 3, 8, 16):
                ring = twin.latest.LatestRing(key=twin.keys.ChannelKey("s"), **options)
                for number in range(queued):
                    ring.accept(b'{"s":"%c"}' % (97 + number), False, 1)
                yield Attempt(
                    lambda ring=ring, payload=payload: ring.accept(payload, False, 1), lambda r=ring: usable(r)
                )
                yield Attempt(
                    lambda ring=ring: ring.take() if len(ring) else ring.clear(), lambda ring=ring: usable(ring)
                )


def driven(stream: Any, way: str) -> None:
    """One step of `stream` as a task would drive it; no loop runs, so a wait ends in RuntimeError."""
    if way == "message":
        step = stream.messages().__anext__()
    elif way == "batch":
        step = stream.batches(10).__anext__()
    elif way == "recv":
        step = stream.recv()
    elif way == "recv_batch":
        step = stream.recv_batch(15)
    else:
        step = stream.__anext__()
    coroutine = step.__await__() if hasattr(step, "__await__") else step
    try:
        coroutine.send(None)
    except RuntimeError as error:
        if "no running event loop" not in str(error):
            raise
    finally:
        coroutine.close()


SCENES = [queueing, taking, routing, adding, waking, decoding_frames, making, grouping, conflating, delivering]
SCENES += [watching, marking]


def counter(name: str) -> Any:
    return ctypes.c_long.in_dll(ctypes.CDLL(None), f"scarcity_{name}")


def is_memory_error(error: BaseException) -> bool:
    """Also CPython 3.11's own fault: where it cannot keep the frame of a traceback, it forgets the exception."""
    return isinstance(error, MemoryError) or (isinstance(error, SystemError) and "exception" in str(error))


def starve(attempts: Callable[[], Iterator[Attempt]], lasting: int) -> int:
    """Every allocation of every attempt fails in turn, and the `lasting` - 1 after it; returns how many did."""
    left, met = counter("left"), counter("met")
    counter("length").value = lasting
    total = 0
    for at in range(len(list(attempts()))):
        for nth in range(MOST):
            operation, check = next(islice(attempts(), at, None))
            failed: BaseException | None = None
            met.value = 0
            left.value = nth
            try:
                operation()
            except BaseException as error:  # noqa: BLE001  # judged below, when there is memory again
                failed = error
            left.value = -1
            hit = met.value
            if failed is not None and not is_memory_error(failed):
                raise failed
            del failed
            check()
            total += hit
            if not hit:
                break
        else:
            raise AssertionError(f"more than {MOST} allocations")
    return total


def main() -> None:
    """Prints how many allocations failed, of each scene, and by how many blocks each repetition grew."""
    twin = Twin("compiled")
    live = counter("live")
    for scene in SCENES:
        for lasting in (1, 3, 30):
            growth = []
            for _ in range(ROUNDS):
                before = live.value
                failed = starve(lambda scene=scene: scene(twin), lasting)
                gc.collect()
                growth.append(live.value - before)
            # What is kept for good is kept by the first time.
            print(scene.__name__, lasting, failed, *growth[1:], flush=True)


if __name__ == "__main__":
    main()
