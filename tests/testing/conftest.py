from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


class Client:
    """Another implementation's client, with the requests of the protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def recv(self) -> Any:
        return json.loads(await self.connection.recv())

    async def ask(self, method: str, *params: str, id: int = 1) -> Any:
        """Sends a request; its answer, past any data that comes in between."""
        await self.send({"method": method, "params": params, "id": id})
        while "stream" in (answer := await self.recv()):
            pass
        return answer


@asynccontextmanager
async def client(uri: str, **options: Any) -> AsyncIterator[Client]:
    options = {
        "compression": None,
        "proxy": None,
        "ping_interval": None,
        "close_timeout": 1,
        "max_queue": None,
        **options,
    }
    async with connect(uri, **options) as connection:
        yield Client(connection)
