"""What a ring is to do, said with a plain list."""

from __future__ import annotations

from typing import Any

Item = tuple[bytes, bool, int]


class Model:
    """What a ring is to do, with a plain list."""

    def __init__(self, capacity: int, max_bytes: int, overflow: str) -> None:
        self.capacity, self.max_bytes, self.overflow = capacity or 10**9, max_bytes or 10**9, overflow
        self.items: list[Item] = []
        self.received = self.delivered = self.dropped = 0

    def fits(self, size: int) -> bool:
        total = sum(len(item[0]) for item in self.items)
        return len(self.items) < self.capacity and total + size <= self.max_bytes

    def accept(self, item: Item) -> bool:
        size = len(item[0])
        if not self.fits(size):
            if self.overflow == "block" and self.items:
                return False
            if self.overflow == "drop_newest" or (self.overflow == "drop_oldest" and size > self.max_bytes):
                self.received += 1
                self.dropped += 1
                return True
            while self.overflow == "drop_oldest" and not self.fits(size):
                del self.items[0]
                self.dropped += 1
        self.items.append(item)
        self.received += 1
        return True

    def take(self) -> Item:
        self.delivered += 1
        return self.items.pop(0)

    def clear(self) -> int:
        count = len(self.items)
        self.dropped += count
        self.items.clear()
        return count


def assert_like(ring: Any, model: Model) -> None:
    assert len(ring) == len(model.items)
    assert ring.nbytes == sum(len(item[0]) for item in model.items)
    assert (ring.received, ring.delivered, ring.dropped) == (model.received, model.delivered, model.dropped)
    assert ring.received == ring.delivered + ring.dropped + len(ring)
