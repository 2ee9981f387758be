"""What both clients have: an address, a connection that stays, where it stands, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, overload

if TYPE_CHECKING:
    from types import TracebackType

    from .decoding import Serializing
    from .protocol.states import ConnectionState
    from .session import Session


class Client:
    """`session` makes the connections, `serialize` is for what is sent on them."""

    def __init__(self, session: Session, serialize: Serializing) -> None:
        self._session = session
        self._serialize = serialize

    # State.

    @property
    def uri(self) -> str:
        """The address, without user information."""
        return self._session.address.safe

    @property
    def is_connected(self) -> bool:
        """Whether a message can be sent now."""
        return self._session.is_connected

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands; IDLE before `connect()`."""
        return self._session.state

    @property
    def latency_ms(self) -> float | None:
        """The last ping's round trip in milliseconds; None before the first."""
        latency = self._session.latency
        return None if latency is None else latency * 1000

    @overload
    def on(self, event: str, handler: Callable[..., Any]) -> Callable[..., Any]: ...
    @overload
    def on(self, event: str, handler: None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
    def on(self, event: str, handler: Any = None) -> Any:
        """Call `handler` at each `event`; without a handler, be its decorator.

        Events, with what the handler is given: `connected`; `disconnected(error)`, and another connection will be
        made; `reconnecting(attempt)`; `reconnected`; `replaced(fact)`, the client gave the connection up itself, and
        `fact.why` says why; `error(error)`, an attempt that failed and is retried, or the first failure of a function
        of yours; `failed(error)`, lost for good; `closed`. A coroutine function runs as a task. What a handler raises
        is logged. ValueError for any other event.
        """
        return self._session.events.on(event, handler)

    # Life.

    async def connect(self, timeout: float | None = None) -> None:
        """Connect. One attempt; with `timeout`, as many as fit into so many seconds, by the back-off.

        Raises InvalidStateError if connected or closed, ConnectionError and its kinds, TimeoutError.
        """
        await self._session.connect(timeout)
        self._reopen()

    def _reopen(self) -> None:
        """There is a first connection, perhaps after one that was lost for good: what ended with that goes on."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close for ever, within `close_timeout` seconds. Idempotent. Waiting consumers end; queues can be read out."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def ping(self, timeout: float | None = None) -> float:
        """Send a ping and wait for its pong: the round trip in seconds. TimeoutError after `timeout` seconds."""
        return await self._session.ping(timeout)
