"""No client: what msgspec alone takes to decode the messages that a client would be sent."""

from __future__ import annotations

from collections import deque

import msgspec

from benchmarks.meter import Meter, main
from benchmarks.peers.shapes import Combined


async def contend(_: str, meter: Meter) -> int:
    course = meter.course
    block, _chosen = course.make(course.block)
    rounds, rest = divmod(meter.messages, len(block))
    last = block[:rest]
    decode = msgspec.json.Decoder(Combined).decode
    decoded = 0
    meter.start()
    # Consumed by `deque` and called by `map`: no Python in the loop, nothing kept.
    for _round in range(rounds):
        deque(map(decode, block), maxlen=0)
        decoded += len(block)
    deque(map(decode, last), maxlen=0)
    decoded += len(last)
    meter.stop()
    # One more, as the others count the message that ends the flood.
    return decoded + 1


main(contend)
