"""Asking for channels and leaving them where no server confirms: what was sent on a connection is subscribed to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import SubscriptionError
from .reporting import FAILURES, report

if TYPE_CHECKING:
    from .decoding import Serializing
    from .errors import JetSocketError
    from .link import Link
    from .routes import Routes

logger = logging.getLogger("jetsocket.subscriptions")

# The message for one channel; None: nothing is sent.
MakeMessage = Callable[[str], Any] | None


class Asking:
    """The subscribe and unsubscribe messages of one Multiplex, for the channels of `routes`.

    `confirmed(channel)` is told what was asked for, `drop(channel, error)` what cannot be.
    """

    def __init__(
        self,
        routes: Routes,
        subscribe_msg: MakeMessage,
        unsubscribe_msg: MakeMessage,
        serialize: Serializing,
        *,
        confirmed: Callable[[str], object],
        drop: Callable[[str, JetSocketError], object],
    ) -> None:
        self._routes = routes
        self._subscribe_msg = subscribe_msg
        self._unsubscribe_msg = unsubscribe_msg
        self._serialize = serialize
        self._confirmed = confirmed
        self._drop = drop

    def _write(self, link: Link, message: Any) -> None:
        payload, binary = self._serialize(message)
        link.write(link.connection.message(payload, binary))

    def ask(self, channel: str, link: Link) -> bool:
        """Send the subscribe message on `link`, once. False: it was sent before, or there is none."""
        route = self._routes.get(channel)
        if route is None or route.asked_on is link:
            return False
        if self._subscribe_msg is not None:
            self._write(link, self._subscribe_msg(channel))
        route.asked_on = link
        self._confirmed(channel)
        return self._subscribe_msg is not None

    def ask_all(self, link: Link) -> int:
        """Ask for everything on a new connection; the number of messages sent.

        On one that the server has closed by now nothing is asked for: another will follow. A subscription whose message
        cannot be made ends with a SubscriptionError; the others do not notice.
        """
        if not link.is_open:
            return 0
        asked = 0
        for channel, _ in self._routes:
            try:
                asked += self.ask(channel, link)
            except FAILURES as error:  # the user's function: this channel ends by it, no other
                text = f"cannot subscribe again to {channel!r}: subscribe_msg failed"
                report(logger, logging.ERROR, error, text)
                refused = SubscriptionError(f"{text}: {error}", channel=channel)
                refused.__cause__ = error
                self._drop(channel, refused)
        return asked

    def leave(self, channel: str, link: Link | None, asked_on: object) -> bool:
        """Send the unsubscribe message, if it was asked for on `link` and nobody reads it any more; True if sent."""
        if link is None or not link.is_open or asked_on is not link or channel in self._routes:
            return False
        if self._unsubscribe_msg is None:
            return False
        self._write(link, self._unsubscribe_msg(channel))
        return True

    def ask_anew(self, channel: str, link: Link) -> bool:
        """It is stale: leave it and ask for it again; False where nothing asks."""
        route = self._routes.get(channel)
        if route is None or route.asked_on is not link or self._subscribe_msg is None:
            return False
        if self._unsubscribe_msg is not None:
            self._write(link, self._unsubscribe_msg(channel))
        self._write(link, self._subscribe_msg(channel))
        return True
