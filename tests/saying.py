"""Holds an error's sentence against what it must say."""

from __future__ import annotations

import re
from typing import Any

import pytest

import jetsocket
from jetsocket import WebSocket


def check_says(error: BaseException, sentence: str) -> None:
    """`<time>` in `sentence` stands for any duration, `<any>` for anything at all."""
    pattern = re.escape(sentence).replace("<time>", r"\d+\.\d m?s").replace("<any>", ".+")
    assert re.fullmatch(pattern, str(error)), str(error)


async def failure_of(uri: str, **options: Any) -> Any:
    """What `connect()` raises."""
    with pytest.raises(jetsocket.JetSocketError) as caught:
        await WebSocket(uri, **options).connect()
    return caught.value


async def end_of(ws: WebSocket[Any]) -> Any:
    """What `recv()` raises in the end."""
    try:
        while True:
            await ws.recv(5)
    except jetsocket.JetSocketError as error:
        return error
