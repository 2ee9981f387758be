"""The contract tests of the hot rooms run on both twins. A compiled twin that is missing fails them: they would
otherwise pass without having looked at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

import pytest
import uvloop

ROOMS = (
    "frames",
    "frames_out",
    "group",
    "group_stream",
    "keys",
    "latest",
    "ring",
    "router",
    "sieve",
    "stream",
    "waiting",
    "watch",
)


class Twin:
    """The rooms of one twin: `twin.keys` is jetsocket.hot.keys_c or jetsocket.hot.keys_py."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __getattr__(self, room: str) -> ModuleType:
        if room not in ROOMS:
            raise AttributeError(f"no room is called {room!r}")
        return import_module(f"jetsocket.hot.{room}_{'c' if self.kind == 'compiled' else 'py'}")

    def __repr__(self) -> str:
        return f"Twin({self.kind!r})"


@pytest.fixture(scope="session", params=["compiled", "pure"])
def twin(request: pytest.FixtureRequest) -> Twin:
    return Twin(request.param)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
