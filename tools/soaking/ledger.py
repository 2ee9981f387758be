"""What one consumer got: whether each number that is missing lies where it was told that some are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jetsocket.occurrences import Gap

# Problems of one consumer that are told in words; the rest is counted.
_MOST_WORDS = 3
SUMS = ("messages", "undecodable", "within", "outside", "repeated", "miscounted", "misrouted", "unhealed", "overflowed")


class Book:
    """One channel: the number that comes next, 0 before the first; the gaps told since the last message.

    `told`: how many those gaps say are missing, None where one of them cannot know. `general`: how many gaps of the
    whole group had been told at the last message.
    """

    __slots__ = ("first", "gaps", "general", "next", "told")

    def __init__(self) -> None:
        self.first = 0
        self.next = 0
        self.gaps = 0
        self.told: int | None = 0
        self.general = 0


class Ledger:
    """Of a consumer of `channels`. Every message and every gap is entered in the order in which it is taken."""

    def __init__(self, name: str, channels: Iterable[str]) -> None:
        self.name = name
        self.books = {channel: Book() for channel in channels}
        self.messages = 0
        self.undecodable = 0
        self.within = 0
        self.outside = 0
        self.repeated = 0
        self.miscounted = 0
        self.misrouted = 0
        self.unhealed = 0
        self.gaps: Counter[str] = Counter()
        self.overflowed = 0
        self.words: list[str] = []
        # Gaps of the whole group.
        self._general = 0

    @property
    def taken(self) -> int:
        """Messages that were taken from the queue."""
        return self.messages + self.undecodable

    def absorb(self, other: Ledger) -> None:
        """Add its sums to these."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.gaps += other.gaps
        self.words = (self.words + other.words)[:_MOST_WORDS]

    def _say(self, text: str) -> None:
        if len(self.words) < _MOST_WORDS:
            self.words.append(f"{self.name}: {text}")

    def message(self, channel: str, number: int) -> None:
        """A message of `channel` was taken."""
        self.messages += 1
        book = self.books.get(channel)
        if book is None:
            self.misrouted += 1
            self._say(f"got a message of {channel}, which it does not read")
            return
        if number != book.next or book.gaps:
            self._look(channel, book, number)
        book.next = number + 1
        book.general = self._general

    def _look(self, channel: str, book: Book, number: int) -> None:
        """Something is missing before this number, or was told to be."""
        if not book.next:
            book.first = number
        elif number < book.next:
            self.repeated += 1
            self._say(f"{channel}: number {number} came behind {book.next - 1}")
        else:
            self._account(channel, book, number - book.next)
        book.gaps = 0
        book.told = 0

    def _account(self, channel: str, book: Book, missing: int) -> None:
        general = book.general != self._general
        if not missing and (general or book.told is None):
            # Nothing need be missing where a connection was lost, or others of the group have lost something.
            return
        if not general and book.gaps and book.told is not None and book.told != missing:
            self.miscounted += 1
            self._say(f"{channel}: {missing} are missing from {book.next} on, and the gaps told of {book.told}")
        if general or book.gaps:
            self.within += missing
        else:
            self.outside += missing
            self._say(f"{channel}: {missing} are missing from {book.next} on, and no gap was told")

    def gap(self, gap: Gap) -> None:
        """A gap was taken."""
        self.gaps[gap.reason] += 1
        if gap.reason == "overflow":
            self.overflowed += gap.dropped or 0
        book = self.books.get(gap.channel)
        if book is None:
            self._general += 1
            return
        book.gaps += 1
        book.told = None if gap.dropped is None or book.told is None else book.told + gap.dropped

    def wrong_channel(self, channel: str, other: str) -> None:
        """A message that was given as one of `channel` says that it is of another."""
        self.misrouted += 1
        self._say(f"a message of {other} was given as one of {channel}")

    def behind(self, numbers: dict[str, int], left: Iterable[str] = ()) -> list[str]:
        """The channels, but those that have `left`, of which nothing newer than these numbers came."""
        gone = frozenset(left)
        return [name for name, book in self.books.items() if name not in gone and book.next <= numbers[name] + 1]

    def unfinished(self, numbers: dict[str, int], left: Iterable[str] = ()) -> list[str]:
        """The channels of which these newest numbers have neither come, nor were told to be missing."""
        return [
            name
            for name in self.behind({name: number - 1 for name, number in numbers.items()}, left)
            if not (self.books[name].gaps or self.books[name].general != self._general)
        ]

    def finish(self, numbers: dict[str, int], left: Iterable[str] = ()) -> None:
        """Nothing behind these newest numbers will come: account for what is missing at the end."""
        gone = frozenset(left)
        for name, book in self.books.items():
            if name not in gone and book.next and (book.next <= numbers[name] or book.gaps):
                self._look(name, book, numbers[name] + 1)
                book.next = numbers[name] + 1
