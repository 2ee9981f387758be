"""What data frames carry is looked for by both twins. A compiled twin that is missing fails these tests."""

from __future__ import annotations

from importlib import import_module

import pytest

from .samples import Find


@pytest.fixture(scope="session", params=["keys_c", "keys_py"])
def find(request: pytest.FixtureRequest) -> Find:
    """`find(spec, raw)`: the channel that a message carries."""
    channel_key = import_module(f"jetsocket.hot.{request.param}").ChannelKey
    return lambda spec, raw: channel_key(spec).find(raw)
