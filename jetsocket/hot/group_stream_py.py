"""The consuming side of a queue for many channels: the Python twin of `group_stream_c.pyx`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .group_py import GroupRing
from .key_grammar import NOT_PARSED
from .stream_py import Message, MessageStream

if TYPE_CHECKING:
    from collections.abc import Callable


class GroupMessage(Message):
    """One message of a group, and its `channel`."""

    __slots__ = ("channel",)

    def __init__(self, data: bytes, binary: bool, received_ns: int, stream: GroupStream, channel: str | None) -> None:
        super().__init__(data, binary, received_ns, stream)
        self.channel = channel

    def decode(self) -> Any:
        """The message as plain iteration would have given it beside its channel. Raises DecodeError."""
        return cast("GroupStream", self._stream).decode_payload(self.data, self.channel)


class GroupStream(MessageStream):
    """The consuming side of a GroupRing: a MessageStream, but that it gives `(channel, what was decoded)`.

    `messages()` gives each Message with its channel, a GroupMessage. A DecodeError names the message's channel.

    What stands for losses is made by `make(kind, count, since_ns, until_ns, channel)`: of a break in the numbers of a
    channel that is known, the one that the next message belongs to; None of an overflow.
    """

    ring: GroupRing

    def __init__(
        self, ring: GroupRing, decode: Callable[[bytes], Any], name: str | None = None, *, json: bool = False
    ) -> None:
        if not isinstance(ring, GroupRing):
            raise TypeError(f"ring must be a GroupRing, got {type(ring).__name__}")
        super().__init__(ring, decode, name, json=json)

    def decode_payload(self, payload: bytes, channel: str | None = None) -> Any:
        """`payload`, of a message of `channel`, in the type that this stream delivers. Raises DecodeError."""
        return super()._decoded(payload, self.name if channel is None else channel)

    def _decoded(self, payload: bytes, name: str | None, parsed: Any = NOT_PARSED) -> Any:
        # Before the decoder, which is foreign code, may take from the ring.
        channel = self.ring.channel
        return channel, super()._decoded(payload, name if channel is None else channel, parsed)

    def _next_message(self) -> Any:
        message = super()._next_message()
        if message.__class__ is not Message:
            return message
        return GroupMessage(message.data, message.binary, message.received_ns, self, self.ring.channel)
