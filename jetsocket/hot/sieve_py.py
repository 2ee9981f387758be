"""What stands before a queue and keeps out of it what is no message: the Python twin of `sieve_c.pyx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ring_py import Sink

if TYPE_CHECKING:
    from collections.abc import Callable


class Sieve(Sink):
    """Keeps out of `sink` what `matches(payload)` says is no message, such as an exchange's answers to its own pings.

    `matched` counts those. A `matches` that raises lets the message through; `error` holds what it raised last. What is
    no Exception, such as KeyboardInterrupt, is raised by `wake()`.
    """

    _initialised = False

    def __init__(self, sink: Sink, matches: Callable[[bytes], object]) -> None:
        if self._initialised:
            raise TypeError("a Sieve is initialised once")
        self._initialised = True
        self.sink = sink
        self.matches = matches
        self.matched = 0
        self.error: Exception | None = None
        self._raised: BaseException | None = None

    def accept(self, payload: bytes, binary: bool, received_ns: int) -> bool:
        """Pass the message on unless it matches."""
        try:
            found = bool(self.matches(payload))
        except Exception as error:  # noqa: BLE001  # foreign code; no message is lost by it
            self.error = error
            found = False
        except BaseException as error:  # noqa: BLE001  # raised by wake()
            self._raised = error
            found = False
        if found:
            self.matched += 1
            return True
        return self.sink.accept(payload, binary, received_ns)

    def wake(self) -> None:
        """Wake whoever waits behind."""
        raised, self._raised = self._raised, None
        try:
            self.sink.wake()
        finally:
            if raised is not None:
                raise raised
