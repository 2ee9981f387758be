"""Fuzzes what stands between the socket and a consumer: any order of calls to rings, a sieve, a router, a stream.

    python -m tools.fuzz_ring --minutes 5        (see `tools/fuzzing/runner.py`)

The compiled classes, the pure ones and a model with plain lists (`ring_model.py`) are taken through the same calls, and
must answer alike at each: what is given or raised, what is counted, who is called back. The compiled rings must also
hold no more memory than their messages account for.

An input is, byte by byte (zero where there are no more):

    options     bits 0 and 1: where messages go    0: ring 0    1: a Sieve before it    2: a Router    3: both
                bit 2: a MessageStream takes from ring 0     bit 3: a tally for every ring
                bits 4 to 7: all set, bursts are of many messages
    three rings, two bytes each: capacity and policy, max_bytes
    operations  until the bytes end: bits 0 to 3 say which, one of OPERATIONS, bits 4 and 5 which ring, bits 6 and 7
                are for the operation, as are the bytes that follow
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from .fuzzing.drawing import Draw
from .fuzzing.ring_play import Play, worlds
from .fuzzing.runner import Target, main


def check_memory(play: Play) -> None:
    """What the compiled rings hold, against what is queued in them.

    A message may leave as much unused at the end of a chunk as it has bytes; the oldest chunk, the newest and the spare
    one may be empty; and a queue's marks stay until it is empty.
    """
    for ring in play.rings:
        queued = ring.nbytes + 16 * len(ring)
        most = 2 * queued + 3 * 65_536 + 8 * max(play.peak, 4096)
        assert ring.nbytes <= ring.allocated <= most, (ring, ring.nbytes, ring.allocated, most)


def one_input(data: bytes) -> None:
    plays = [Play(world, Draw(data)) for world in worlds()]
    compiled = plays[0]
    done = []
    while not compiled.draw.empty:
        one, two, three = (play.play() for play in plays)
        done.append(one[0])
        if not one == two == three:
            raise AssertionError(f"after {done}:\ncompiled {one!r}\npure     {two!r}\nmodel    {three!r}")
        check_memory(compiled)
    one, two, three = (play.end() for play in plays)
    assert one == two == three, f"in the end, after {done}:\ncompiled {one!r}\npure     {two!r}\nmodel    {three!r}"


def seeds() -> Iterable[bytes]:
    """Each kind of world, with its own operations."""
    offer, put, burst, some, drain, clear, expect, wake = 0, 2, 3, 4 + 64, 5, 6, 7 + 64, 8
    first = [12, 3, 12 + 16, 4, 13, 3, 12, 3, expect, offer, 20, 3, offer, 33, 4, wake, put, 200, put + 16, 47]
    second = [burst, 10, 40, burst + 128, 3, 9, some, drain, 30, 14, 0, 14, 15, 14, 35, 15, 29, *[put, 4] * 6]
    third = [some, some, clear, 11 + 16, 9, 10, 14 + 192, 1, 14, 0, put, 7, 14, 2]
    for options in range(16):
        for policy in range(3):
            yield bytes([options, policy + 9, 5, policy + 6, 0, policy, 3, *first, *second, *third])
    # Many marks, large chunks, round and round.
    many, large = bytes([0xF0, 0, 0, 0, 0, 0, 0]), bytes([0xF0, 27, 0, 0, 0, 0, 0])
    yield many + bytes([burst, 3, 255, burst, 3, 255, drain, 200, burst, 0, 255, drain + 64, 255])
    yield large + bytes([burst, 205, 20, drain, 5, burst, 201, 30, drain, 20, burst, 191, 200])


TARGET = Target(
    "ring",
    one_input,
    seeds,
    instrument=("jetsocket.hot.ring_py",),
    max_len=192,
)


if __name__ == "__main__":
    sys.exit(main(TARGET))
