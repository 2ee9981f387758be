"""What may be missing of a subscription's messages, told to its consumer in the place where it is missing."""

from __future__ import annotations

import asyncio
import builtins
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self, cast

from .errors import InvalidStateError, TimeoutError
from .hot.stream_marks_py import NOTHING
from .occurrences import Gap, GapReason
from .terms import Recover, Terms, overflowed

if TYPE_CHECKING:
    from .hot import MessageStream
    from .subscription import Subscription


# Behind these nothing comes before the channel is confirmed again.
OF_THE_SERVER = ("reconnect", "resubscribe")


class Gaps(list[Gap]):
    """Several of them in one place: only a Healing is given that."""


class Losses:
    """The gaps of one subscription: those of the connection, of its queue, and of its channels' numbers.

    `rings`: by channel, what its messages go to.
    """

    def __init__(
        self, subscription: Subscription[Any], terms: Terms, on_gap: Callable[[Gap], None], rings: dict[str, Any]
    ) -> None:
        # Not the subscription itself: its stream calls this, and so its queue would stay until the collector runs.
        self._name = subscription.channel
        self._tells = terms.tells_gaps
        self._raises = terms.overflow == "error"
        # What a group's consumer has missed is to be recovered channel by channel.
        self._splits = terms.recover is not None and subscription.channels != (self._name,)
        self._on_gap = on_gap
        # Also of channels that have left a group: some of their messages may be queued.
        self._rings = rings
        self._present = dict.fromkeys(rings)
        # By channel: what its ring had dropped when that was looked at last.
        self._dropped = dict.fromkeys(rings, 0)
        # By channel: the gap that began with the loss of the connection, or of the channel, until it is confirmed
        # again, and how many messages it had brought by then.
        self._open: dict[str, tuple[Gap, int]] = {}
        self._hopeless = False
        self._news = asyncio.Event()
        subscription.stream.watch_losses(self._noticed)

    def _noticed(self, reason: str, count: int, since: int, until: int, channel: str | None = None) -> Any:
        """The stream has come to where messages are missing; what its consumer gets there."""
        kind = cast(GapReason, reason)
        gap = Gap(channel or self._name, kind, since or None, until or None, None if count < 0 else count)
        if channel is None and self._splits and not (reason == "overflow" and self._raises):
            return self._split(gap)
        if self._tells:
            self._on_gap(gap)
        if reason == "overflow" and self._raises:
            return overflowed(gap.channel, count)
        return gap if self._tells else NOTHING

    def _split(self, whole: Gap) -> Gaps:
        """For a gap of a group those of its channels that it concerns: all, where nobody knows which."""
        gaps = Gaps()
        for channel, ring in self._rings.items() if whole.reason == "overflow" else ():
            count = ring.dropped - self._dropped[channel]
            self._dropped[channel] = ring.dropped
            if count:
                gaps.append(Gap(channel, whole.reason, whole.since, whole.until, count))
        if not gaps:
            dropped = None if whole.reason == "overflow" else whole.dropped
            gaps += [Gap(channel, whole.reason, whole.since, whole.until, dropped) for channel in self._present]
        for gap in gaps:
            self._on_gap(gap)
        return gaps

    def interrupted(self, subscription: Subscription[Any], channel: str, reason: GapReason, since: int) -> None:
        """The server sends `channel` no longer, and is to send it again; what was there came before `since` (ns)."""
        if not self._tells:
            return
        received = self._rings[channel].received
        if channel in self._open:
            before, known = self._open[channel]
            if received == known:
                # Lost once more before it was there again: still the same gap.
                return
            before.until = since
            self._news.set()
        gap = Gap(channel, reason, since)
        self._open[channel] = (gap, received)
        subscription.stream.mark(gap)
        self._on_gap(gap)

    def restored(self, channel: str) -> None:
        """The server sends the channel again."""
        if channel in self._open:
            gap, _ = self._open.pop(channel)
            gap.until = time.time_ns()
            self._news.set()

    def left(self, channel: str) -> None:
        """The channel will not come again; others of the subscription do."""
        self._open.pop(channel, None)
        self._present.pop(channel, None)
        self._news.set()

    def stop(self) -> None:
        """Nothing will come any more."""
        self._hopeless = True
        self._news.set()

    def go_on(self) -> None:
        """After `stop()`: it may come after all."""
        self._hopeless = False

    async def over(self, gap: Gap) -> bool:
        """Until data may flow again behind `gap`; False where none of its channel will."""
        while not self._hopeless and self._is_open(gap):
            self._news.clear()
            await self._news.wait()
        return gap.reason not in OF_THE_SERVER or gap.until is not None

    def _is_open(self, gap: Gap) -> bool:
        if gap.channel not in self._open:
            return False
        # Where the channel was lost once more, there were data behind it.
        return gap.reason not in OF_THE_SERVER or self._open[gap.channel][0] is gap


class Healing:
    """A stream whose gaps are healed before its consumer gets them: `recover(channel, gap)` says what was missed.

    What `recover` raises, the consumer gets in the gap's place, and the gap with the next step. Nothing is lost by it,
    nor by cancelling who waits for it: then the gap is to be healed by the next step. A gap behind which nothing comes
    any more is not healed. A batch ends before a gap.
    """

    def __init__(self, stream: MessageStream, losses: Losses, recover: Recover) -> None:
        self.stream = stream
        self._losses = losses
        self._recover = recover
        # What was taken from the stream and not given yet. Several tasks may wait; one at a time heals.
        self._rest: deque[Any] = deque()
        self._lock = asyncio.Lock()
        self._failed: Gap | None = None

    async def _given(
        self,
        take: Callable[[], Awaitable[list[Any]]],
        most: int = 1,
        timeout: float | None = None,
        operation: str = "recv",
    ) -> list[Any]:
        """At most `most`, at least one, of what there is; `take` gets more."""
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        while True:
            if not self._rest:
                taken = await take()
                if not self._rest and not any(isinstance(item, (Gap, Gaps)) for item in taken):
                    return taken
                # Behind what another task has left there meanwhile.
                for item in taken:
                    self._rest.extend(item if isinstance(item, Gaps) else (item,))
            try:
                async with asyncio.timeout_at(deadline):
                    await self._lock.acquire()
            except builtins.TimeoutError:
                raise TimeoutError(timeout, operation) from None
            try:
                if self._rest:
                    await self._heal_first(deadline, timeout, operation)
                    return self._up_to_gap(most)
            finally:
                self._lock.release()

    async def _heal_first(self, deadline: float | None, timeout: float | None, operation: str) -> None:
        gap = self._rest[0]
        if not isinstance(gap, Gap) or gap is self._failed:
            return
        try:
            async with asyncio.timeout_at(deadline):
                goes_on = await self._losses.over(gap)
        except builtins.TimeoutError:
            raise TimeoutError(timeout, operation) from None
        if goes_on:
            try:
                gap.recovered = await self._recover(gap.channel, gap)
            except Exception:  # the user's function: its consumer is told, in the gap's place
                self._failed = gap
                raise

    def _up_to_gap(self, most: int) -> list[Any]:
        self._failed = None
        batch = [self._rest.popleft()]
        while self._rest and len(batch) < most and not isinstance(self._rest[0], Gap):
            batch.append(self._rest.popleft())
        return batch

    async def _one(
        self, coming: Callable[[], Awaitable[Any]], timeout: float | None = None, operation: str = "recv"
    ) -> Any:
        async def take() -> list[Any]:
            return [await coming()]

        return (await self._given(take, 1, timeout, operation))[0]

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._one(self.stream.__anext__)

    def recv(self, timeout: float | None = None) -> Awaitable[Any]:
        """As the stream's; the time that `recover` takes is not counted."""
        return self._one(lambda: self.stream.recv(timeout), timeout)

    def recv_batch(self, max_messages: int | None = None, timeout: float | None = None) -> Awaitable[list[Any]]:
        """As the stream's."""
        most = max_messages or sys.maxsize
        return self._given(lambda: self.stream.recv_batch(max_messages, timeout), most, timeout, "recv_batch")

    def batches(self, max_messages: int | None = None) -> AsyncIterator[list[Any]]:
        """As the stream's."""
        source = self.stream.batches(max_messages)
        return _Steps(lambda: self._given(source.__anext__, max_messages or sys.maxsize))

    def messages(self) -> AsyncIterator[Any]:
        """As the stream's."""
        source = self.stream.messages()
        return _Steps(lambda: self._one(source.__anext__))

    def listen(self, *_: object) -> None:
        """A callback cannot wait for what `recover` brings: InvalidStateError."""
        text = "cannot listen: recover= needs a consumer that waits; use `async for`, or events=True without recover"
        raise InvalidStateError("recovering", (), "listen", text)


class _Steps:
    """An iterator that goes on behind a step that raised, which a generator does not."""

    def __init__(self, step: Callable[[], Awaitable[Any]]) -> None:
        self._step = step

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._step()
