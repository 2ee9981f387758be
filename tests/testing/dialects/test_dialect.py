from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from jetsocket.testing import Dialect, Limits, VenueExchange
from jetsocket.testing.dialects.dialect import Ask, Message, milliseconds, texts, timestamp

from .conftest import user_of

if TYPE_CHECKING:
    from jetsocket.testing.dialects.peer import VenuePeer


class Plain(Dialect):
    """One of a user's own: the name of a channel subscribes to it."""

    name = "plain"
    paths = ("/plain",)
    limits = Limits(channels=2)

    def read(self, text: str, peer: VenuePeer) -> Ask:  # noqa: ARG002
        return Ask("subscribe", (text,), None, text)

    def answer(self, ask: Ask, peer: VenuePeer) -> list[Message]:
        peer.join(ask.channels[0])
        return [f"ok {ask.text}"]

    def data(self, channel: str, sequence: int, peer: VenuePeer) -> Message:  # noqa: ARG002
        return [channel, sequence]


async def test_a_dialect_of_one_s_own() -> None:
    async with VenueExchange(Plain()) as exchange, user_of(exchange) as user:
        assert await user.ask("é") == "ok é"
        exchange.publish("é", 2)
        assert [await user.hear(), await user.hear()] == [["é", 1], ["é", 2]]
        assert exchange.revoke("é") == 1
        assert exchange.publish("é") == 0
        with pytest.raises(ValueError, match="plain has no notice"):
            exchange.notice("maintenance")
        with pytest.raises(ValueError, match="plain sends no heartbeats"):
            exchange.heartbeat()
        for channel in ("a", "b", "c"):
            await user.say(channel)
        await user.ended()
        assert [violation.limit for violation in exchange.violations] == ["channels"]


@pytest.mark.parametrize(("value", "expected"), [(["a", "b"], ("a", "b")), ([], ()), (["a", 1], None), ("ab", None)])
def test_a_list_of_texts_is_that_and_nothing_else(value: Any, expected: Any) -> None:
    assert texts(value) == expected


def test_times_are_of_now() -> None:
    written = timestamp()
    assert written.endswith("Z")
    assert len(written) == len("2026-04-07T14:30:00.000000Z")
    assert abs(datetime.fromisoformat(written).timestamp() * 1000 - milliseconds()) < 10_000
