"""The rooms of either twin, for the cases that run on both."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest


class Twin:
    """`twin.keys.ChannelKey` and so on. A compiled module that is missing is an error here, not a reason to skip."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix

    def __getattr__(self, room: str) -> Any:
        return import_module(f"jetsocket.hot.{room}_{self._suffix}")


@pytest.fixture(params=["compiled", "pure"])
def twin(request: pytest.FixtureRequest) -> Twin:
    return Twin({"compiled": "c", "pure": "py"}[request.param])
