"""One queue for the messages of many channels: one task for a thousand of them.

The Python twin of `group_c.pyx`, and its specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .key_grammar import NOT_PARSED
from .ring_py import MessageRing

if TYPE_CHECKING:
    from .ring_py import Tally

NOT_FOR_A_MEMBER = "the messages of a GroupMember are taken from its group"


class Share:
    """A channel's part in a group: what its messages came to. It is there as long as one of them is queued."""

    __slots__ = ("channel", "delivered", "dropped", "nbytes", "queued", "tally")

    def __init__(self, channel: str | None) -> None:
        self.channel = channel
        self.delivered = 0
        self.dropped = 0
        self.queued = 0
        self.nbytes = 0
        # Of a member that is no more; what was queued then was counted there as dropped.
        self.tally: Tally | None = None


class GroupRing(MessageRing):
    """A queue for the messages of many channels, in the order in which they came; it is bounded as one MessageRing.

    `member(channel)` gives the ring to route a channel to, which stores here. `take_tagged()` says whose each message
    is; `channel` is that of the message taken last, however it was. What is put into the group itself has none.
    """

    def __init__(self, capacity: int = 0, *, max_bytes: int = 0, overflow: str = "drop_oldest") -> None:
        super().__init__(capacity, max_bytes=max_bytes, overflow=overflow)
        self.channel: str | None = None
        self._own = Share(None)

    def __repr__(self) -> str:
        return f"GroupRing({len(self)} of {self.capacity or 'unbounded'} messages, dropped {self.dropped})"

    def member(self, channel: str) -> GroupMember:
        """A ring for the messages of `channel`, which go to this one."""
        return GroupMember(self, channel)

    def accept(self, payload: bytes, binary: bool, received_ns: int, parsed: Any = NOT_PARSED) -> bool:
        """Queue one message of no channel; False when it is full and blocks."""
        return self.store(self._own, payload, binary, received_ns, parsed)

    def store(self, share: Share, payload: bytes, binary: bool, received_ns: int, parsed: Any) -> bool:
        """Queue one message of a channel; False when it is full and blocks."""
        tag = (parsed, share)
        if not super().accept(payload, binary, received_ns, tag):
            return False
        if self._items and self._items[-1][3] is tag:
            share.queued += 1
            share.nbytes += len(payload)
        else:
            share.dropped += 1
        return True

    def channel_at(self, index: int) -> str | None:
        """Whose the message of this index is, of all that were ever queued (see `head`); None if it is not queued."""
        at = index - self.head
        if not 0 <= at < len(self._items):
            return None
        share: Share = self._items[at][3][1]
        return share.channel

    def _drop_oldest(self) -> None:
        payload, _, _, (_, share) = self._items[0]
        share.dropped += 1
        share.queued -= 1
        share.nbytes -= len(payload)
        super()._drop_oldest()

    def take_tagged(self) -> tuple[str | None, bytes, bool, int]:
        """The oldest message: its channel, its payload, whether it is binary, when it was received (ns).

        IndexError when empty.
        """
        payload, binary, received_ns = self.take()
        return self.channel, payload, binary, received_ns

    def take_parsed(self) -> tuple[bytes, bool, int, Any]:
        """As `take()`, and the parsed payload, `NOT_PARSED` where it was not."""
        payload, binary, received_ns, (parsed, share) = super().take_parsed()
        share.delivered += 1
        share.queued -= 1
        share.nbytes -= len(payload)
        if share.tally is not None:
            share.tally.delivered += 1
            share.tally.dropped -= 1
        self.channel = share.channel
        return payload, binary, received_ns, parsed

    def clear(self) -> int:
        """Drop everything that is queued; returns how many messages that were."""
        for _, _, _, (_, share) in self._items:
            share.dropped += 1
            share.queued -= 1
            share.nbytes = 0
        return super().clear()


class GroupMember(MessageRing):
    """The ring of one channel in a GroupRing: it stores there, and counts what became of this channel's messages.

    `GroupRing.member()` makes it. Its bounds and its consumer are the group's. When it goes, what is queued of it
    stays; for its `tally` that is dropped, until it is delivered after all. To take from it raises TypeError.
    """

    def __init__(self, group: GroupRing, channel: str) -> None:
        if self._initialised:
            raise TypeError("a GroupMember is initialised once")
        if not isinstance(group, GroupRing):
            raise TypeError(f"group must be a GroupRing, got {type(group).__name__}")
        if not isinstance(channel, str):
            raise TypeError(f"channel must be a str, got {type(channel).__name__}")
        self.group = group
        self.channel = channel
        self._share = Share(channel)
        self.waker = self.on_room = self.tally = None
        self._initialised = True

    def __len__(self) -> int:
        return self._share.queued

    def __repr__(self) -> str:
        return f"GroupMember({self.channel!r}, {len(self)} queued, dropped {self.dropped})"

    def __del__(self) -> None:
        share, tally = getattr(self, "_share", None), self.tally
        if share is not None and tally is not None:
            tally.received += self.received
            tally.delivered += share.delivered
            tally.dropped += share.dropped + share.queued
            share.tally = tally

    @property
    def received(self) -> int:
        return self.delivered + self.dropped + len(self)

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for messages of the group."""
        return self.group.waiting

    @waiting.setter
    def waiting(self, value: bool) -> None:
        self.group.waiting = value

    def __getattr__(self, name: str) -> Any:
        # What a ring of its own would have as attributes.
        if name in ("delivered", "dropped", "nbytes"):
            return getattr(self._share, name)
        if name in ("capacity", "max_bytes", "overflow", "refused"):
            return getattr(self.group, name)
        raise AttributeError(f"a GroupMember has no {name!r}")

    @property
    def heard(self) -> MessageRing:
        """The group."""
        return self.group

    def refuses(self, size: int) -> bool:
        """Whether there is no room in the group for a message of `size` bytes."""
        return self.group.refuses(size)

    def accept(self, payload: bytes, binary: bool, received_ns: int, parsed: Any = NOT_PARSED) -> bool:
        """Queue one message in the group; False when that is full and blocks."""
        return self.group.store(self._share, payload, binary, received_ns, parsed)

    def set_bounds(self, capacity: int, max_bytes: int) -> None:
        """The group's."""
        self.group.set_bounds(capacity, max_bytes)

    def stop_blocking(self) -> None:
        """The group's."""
        self.group.stop_blocking()

    def wake(self) -> None:
        """Wake whoever waits for messages of the group."""
        self.group.wake()

    def take_parsed(self) -> tuple[bytes, bool, int, Any]:
        """Raises TypeError."""
        raise TypeError(NOT_FOR_A_MEMBER)

    def clear(self) -> int:
        """Raises TypeError."""
        raise TypeError(NOT_FOR_A_MEMBER)
