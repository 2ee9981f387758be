"""A server that says goodbye to a consumer that is busy elsewhere."""

from __future__ import annotations

import asyncio

from jetsocket import WebSocket
from jetsocket.link import LINGER

from .conftest import Serve
from .peers import Conversation, close_frame, text, told


async def test_what_stands_before_the_close_frame_is_kept_for_as_long_as_it_takes(scripted: Serve) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.accept(then=b"".join(text(str(number)) for number in range(10)) + close_frame(1000))
        await conversation.ended()

    server = await scripted(script)
    ws = WebSocket(server.uri, reconnect=False, buffer=2, deserializer=int)
    failed = told(ws, "failed")
    await ws.connect()
    # Longer than a connection is kept that has nothing more to say.
    await asyncio.sleep(1.5 * LINGER)
    assert failed.empty()
    assert [number async for number in ws] == list(range(10))
    await failed.get()
    await ws.close()
