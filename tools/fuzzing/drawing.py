"""What a fuzzer's bytes decide: numbers and choices are drawn from them one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Each draw takes a byte; where the bytes have run out it is zero, so that what repeats until zero ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def empty(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def below(self, count: int) -> int:
        """0 to `count` - 1; `count` is at most 256."""
        return self.byte() % count

    def chosen(self, choices: Sequence[T]) -> T:
        return choices[self.byte() % len(choices)]

    def number(self) -> int:
        """0 to 65535, of two bytes."""
        return self.byte() << 8 | self.byte()

    def taken(self, count: int) -> bytes:
        """The next `count` bytes, fewer where there are no more."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        return self.taken(len(self._data))


def cut(data: bytes, sizes: bytes) -> Iterator[bytes]:
    """`data` in pieces of as many bytes as `sizes` says (0: 256), again and again; whole where `sizes` is empty.

    Of more than a thousand bytes they are so many times longer that there are a thousand at most.
    """
    times = 1 + len(data) // 1024
    at, turn = 0, 0
    while at < len(data):
        size = (sizes[turn % len(sizes)] or 256) * times if sizes else len(data)
        yield data[at : at + size]
        at += size
        turn += 1
