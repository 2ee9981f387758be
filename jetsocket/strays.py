"""What belongs to no channel: application pongs, what answers requests, and the rest, for whoever wants to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .options import check_count
from .reporting import FAILURES

if TYPE_CHECKING:
    from .errors import JetSocketError
    from .registry import Registry
    from .subscription import Subscription


class Strays:
    """Of one Multiplex. `pong_matcher`: see `HeartbeatConfig`; `on_pong()` is called for what it takes for a pong.

    `on_trouble(error)` is told what `pong_matcher` raises. `answers(payload)` is asked
    whether the rest is meant for those who asked the server for something.
    """

    def __init__(
        self,
        pong_matcher: Callable[[bytes], bool] | None,
        on_pong: Callable[[], object],
        on_trouble: Callable[[BaseException], object],
    ) -> None:
        self._is_pong = pong_matcher
        self._on_pong = on_pong
        self._on_trouble = on_trouble
        self._subscription: Subscription[Any] | None = None

    def attach(self, registry: Registry, answers: Callable[[bytes], bool]) -> None:
        """Before the first message comes."""
        self._registry = registry
        self._answers = answers
        registry.unrouted.hand_on = self._pass_on

    def take(self, payload: bytes, binary: bool, received_ns: int) -> None:
        """A message came."""
        try:
            if self._is_pong is not None and self._is_pong(payload):
                self._on_pong()
                return
        except FAILURES as error:  # the user's function: no connection is lost by it
            self._on_trouble(error)
        if self._answers(payload):
            return
        early = self._registry.unrouted.early
        if early is None or not early.keep(payload, binary, received_ns):
            self._pass_on(payload, binary, received_ns)

    def _pass_on(self, payload: bytes, binary: bool, received_ns: int) -> None:
        subscription = self._subscription
        if subscription is not None:
            subscription.ring.accept(payload, binary, received_ns)
            subscription.ring.wake()

    def queue(self, queue_size: int, over: bool) -> Subscription[Any]:
        """The one for whatever else comes, until it is closed. `over`: nothing will."""
        if self._subscription is None:
            check_count("queue_size", queue_size)
            subscription = self._registry.create_unrouted(queue_size, self.take, self._close)
            if over:
                subscription.stream.end(None)
                return subscription
            self._subscription = subscription
        return self._subscription

    async def _close(self, subscription: Subscription[Any]) -> None:
        subscription.stream.end(None)
        if subscription is self._subscription:
            self._subscription = None
            self._registry.end_unrouted()

    def reopen(self) -> None:
        """There is a connection again."""
        if self._subscription is not None:
            self._subscription.stream.reopen()

    def end(self, error: JetSocketError | None) -> None:
        """No connection will come; None: never again."""
        if self._subscription is not None:
            self._subscription.stream.end(error)
            if error is None:
                self._subscription = None
