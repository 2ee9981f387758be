from __future__ import annotations

from multidict import CIMultiDict

from jetsocket.testing import Connection, Received, Upgrade


def test_a_message_is_decoded_when_it_is_json() -> None:
    assert Received(0.0, 1, '{"a":1}').message == {"a": 1}
    assert Received(0.0, 1, "ping").message is None


def test_a_connection_lists_its_channels_in_their_order() -> None:
    connection = Connection(1, 0.0, Upgrade(0.0, "/", {}, CIMultiDict(), 101))
    connection.subscribed |= {"b": None, "a": None}
    assert connection.channels == ["b", "a"]
