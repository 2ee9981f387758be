"""What belongs to no channel: who sees it, a queue of it for who asks for one, and what finds its channel later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from .early import Early
from .hot import MessageRing, MessageStream
from .subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .decoding import Decoding
    from .hot import ChannelKey
    from .routes import Routes

# What sees a message that belongs to no channel: payload, whether it is binary, when it was received (ns).
See = Callable[[bytes, bool, int], None]


def _nothing(payload: bytes, binary: bool, received_ns: int) -> None:
    """Nobody wants to see it."""


class Unrouted:
    """The unroutable messages of one router; `extracting`: it is one for messages that are decoded first."""

    def __init__(self, router: Any, *, extracting: bool) -> None:
        self.early: Early | None = None
        # Set by who sees the rest: what was kept for a channel, and is nobody's.
        self.hand_on: See = _nothing
        self._router = router
        self._extracting = extracting
        self._is_seen = False
        # By the queue of `create()` alone.
        self._is_seen_for_queue = False

    @property
    def count(self) -> int:
        """How many there were."""
        again = 0 if self.early is None else self.early.again
        return cast(int, self._router.unroutable) - again

    def keep_early(self, key: ChannelKey, routes: Routes) -> None:
        """Some channels' keys are not known yet: keep what may be theirs."""
        if self.early is None:
            self.early = Early(key, self._router, routes, self.hand_on)

    def look_early(self) -> None:
        """Some channel may have gone for which something was kept."""
        if self.early is not None:
            self.early.look()

    def end_early(self) -> None:
        """The connection is gone, and with it what its keys mean."""
        if self.early is not None:
            self.early.clear()

    def show(self, see: See, most: int) -> None:
        """Let `see` have all of them; of one read the last `most`, 0 for no limit."""
        self._is_seen = True
        if self._extracting:
            self._router.on_unroutable = see
            return
        spill = MessageRing(most)

        def empty() -> None:
            while len(spill):
                message = spill.take()
                if self.early is None or not self.early.route(*message):
                    see(*message)
            spill.waiting = True
            if self.early is not None:
                # For the queues of what was routed late; this one has nothing left.
                self._router.wake()

        spill.waker = empty
        spill.waiting = True
        self._router.spill = spill

    def create(
        self,
        queue_size: int,
        see: See,
        decoding: Decoding,
        close: Callable[[Subscription[Any]], Awaitable[object]],
    ) -> Subscription[Any]:
        """A queue for them, which `see` has to fill; it is called from now on."""
        if not self._is_seen:
            # All of one read, so that the queue itself counts what there is no room for.
            self.show(see, 0)
            self._is_seen_for_queue = True
        ring = MessageRing(queue_size)
        return Subscription("", MessageStream(ring, decoding.decode, "no channel", json=decoding.is_json), close)

    def end(self) -> None:
        """That queue is no more."""
        if self._is_seen_for_queue:
            self._is_seen = self._is_seen_for_queue = False
            if self._extracting:
                self._router.on_unroutable = None
            else:
                self._router.spill = None
