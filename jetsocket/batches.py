"""What goes into one request: as many channels as the exchange allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .reporting import FAILURES
from .requests import FIRST_NUMBER

if TYPE_CHECKING:
    from .channel import Channel
    from .decoding import Serializing
    from .requests import Action
    from .venue import Venue


class Batches:
    """The requests of one venue. What the venue's functions raise passes."""

    def __init__(self, venue: Venue, serialize: Serializing) -> None:
        self._venue = venue
        self._serialize = serialize

    def first_of(self, queue: dict[str, Channel]) -> list[Channel]:
        """What may stand in one message with the first of `queue`."""
        first = next(iter(queue.values()))
        most = min(self._venue.channels_per_message or len(queue), first.most or len(queue))
        together = self._venue.together
        kind = together(first.name) if together is not None else None
        batch: list[Channel] = []
        for channel in queue.values():
            if channel.most == first.most and (together is None or together(channel.name) == kind):
                batch.append(channel)
                if len(batch) == most:
                    break
        return batch

    def failure(self, action: Action, channel: Channel) -> BaseException | None:
        """What the venue's functions raise for that channel alone."""
        try:
            self.messages(action, self.first_of({channel.name: channel}), FIRST_NUMBER)
        except FAILURES as error:  # whatever it is, the channel cannot be asked for
            return error
        return None

    def messages(
        self, action: Action, batch: list[Channel], number: int
    ) -> tuple[list[Channel], list[tuple[bytes, bool]]]:
        """The message or messages for as much of `batch` as the exchange allows characters for."""
        limit = self._venue.characters_per_message
        made = self._made(action, batch, number)
        fits, over = 1, len(batch)
        if not limit or fits == over or max(len(payload) for payload, _ in made) <= limit:
            return batch, made
        made = []
        # The most that fit: `fits` of them do, or are as few as can be, and `over` are too many.
        while over - fits > 1:
            tried = (fits + over) // 2
            messages = self._made(action, batch[:tried], number)
            if max(len(payload) for payload, _ in messages) <= limit:
                fits, made = tried, messages
            else:
                over = tried
        return batch[:fits], made or self._made(action, batch[:fits], number)

    def _made(self, action: Action, batch: list[Channel], number: int) -> list[tuple[bytes, bool]]:
        make = self._venue.subscribe if action == "subscribe" else self._venue.unsubscribe
        assert make is not None
        by_key = action == "unsubscribe" and self._venue.matching == "learned"
        made = make([(channel.key or channel.name) if by_key else channel.name for channel in batch], number)
        messages = [self._serialize(message) for message in (made if isinstance(made, tuple) else (made,))]
        if not messages:
            raise ValueError("it gave no message")
        return messages
