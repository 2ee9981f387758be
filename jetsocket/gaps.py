"""What may be missing of a subscription's messages, told to its consumer in the place where it is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from .errors import InvalidStateError
from .occurrences import Gap, GapReason
from .terms import Recover, Terms, overflowed

if TYPE_CHECKING:
    from .hot import MessageStream
    from .subscription import Subscription


class Losses:
    """The gaps of one subscription: those of the connection, of its queue, and of its channels' numbers."""

    def __init__(self, subscription: Subscription[Any], terms: Terms, on_gap: Callable[[Gap], None]) -> None:
        self._subscription = subscription
        self._tells = terms.tells_gaps
        self._raises = terms.overflow == "error"
        self._on_gap = on_gap
        # By channel: the gap that began with the loss of the connection, until the channel is confirmed again.
        self._open: dict[str, Gap] = {}
        self._over = asyncio.Event()
        self._over.set()
        subscription.stream.watch_losses(self._noticed)

    def _noticed(self, reason: str, count: int, since: int, until: int) -> Any:
        """The stream has come to where messages are missing; what its consumer gets there."""
        kind = cast(GapReason, reason)
        gap = Gap(self._subscription.channel, kind, since or None, until or None, None if count < 0 else count)
        if self._tells:
            self._on_gap(gap)
        if reason == "overflow" and self._raises:
            return overflowed(gap.channel, count)
        return gap if self._tells else None

    def disconnected(self, since: int) -> None:
        """The connection is gone; the last data on it came at `since` (ns)."""
        if not self._tells:
            return
        for channel in self._subscription.channels:
            # Lost once more before it was there again: still the same gap.
            if channel not in self._open:
                gap = self._open[channel] = Gap(channel, "reconnect", since)
                self._subscription.stream.mark(gap)
                self._on_gap(gap)
        self._over.clear()

    def restored(self, channel: str) -> None:
        """The server sends the channel again."""
        gap = self._open.pop(channel, None)
        if gap is not None:
            gap.until = time.time_ns()
        if not self._open:
            self._over.set()

    async def over(self) -> None:
        """Until the connection is there again, and the subscription confirmed on it; or until there will be none."""
        await self._over.wait()

    def stop(self) -> None:
        """The subscription has ended."""
        self._over.set()


class Healing:
    """A stream whose gaps are healed before its consumer gets them: `recover(channel, gap)` says what was missed.

    What `recover` raises, the consumer gets in the gap's place, and the gap with the next step. Nothing is lost by it.
    """

    def __init__(self, stream: MessageStream, losses: Losses, recover: Recover) -> None:
        self._stream = stream
        self._losses = losses
        self._recover = recover
        # What was taken from the stream and not given yet, behind an error that is to be raised first.
        self._error: Exception | None = None
        self._rest: list[Any] = []

    async def _heal(self, batch: list[Any]) -> list[Any]:
        """As much of `batch` as comes before a gap that cannot be healed, that one's error where it is the first."""
        for number, item in enumerate(batch):
            if not isinstance(item, Gap):
                continue
            await self._losses.over()
            try:
                item.recovered = await self._recover(item.channel, item)
            except Exception as error:  # the user's function: its consumer is told, in the gap's place
                self._rest = batch[number:] + self._rest
                if number == 0:
                    raise
                self._error = error
                return batch[:number]
        return batch

    def _kept(self) -> list[Any]:
        """What is to be given before anything is taken."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        rest, self._rest = self._rest, []
        return rest

    async def _one(self, coming: Callable[[], Awaitable[Any]]) -> Any:
        kept = self._kept()
        if kept:
            self._rest = kept[1:]
            return kept[0]
        return (await self._heal([await coming()]))[0]

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._one(self._stream.__anext__)

    def recv(self, timeout: float | None = None) -> Awaitable[Any]:
        """As the stream's; the time that `recover` takes is not counted."""
        return self._one(lambda: self._stream.recv(timeout))

    async def recv_batch(self, max_messages: int | None = None, timeout: float | None = None) -> list[Any]:
        """As the stream's."""
        return self._kept() or await self._heal(await self._stream.recv_batch(max_messages, timeout))

    async def batches(self, max_messages: int | None = None) -> AsyncIterator[list[Any]]:
        """As the stream's."""
        source = self._stream.batches(max_messages)
        while True:
            kept = self._kept()
            try:
                yield kept or await self._heal(await source.__anext__())
            except StopAsyncIteration:
                return

    async def messages(self) -> AsyncIterator[Any]:
        """As the stream's."""
        source = self._stream.messages()
        while True:
            try:
                yield await self._one(source.__anext__)
            except StopAsyncIteration:
                return

    def listen(self, *_: object) -> None:
        """A callback cannot wait for what `recover` brings: InvalidStateError."""
        text = "cannot listen: recover= needs a consumer that waits; use `async for`, or events=True without recover"
        raise InvalidStateError("recovering", (), "listen", text)
