"""One hostile attempt between two good ones: what it costs, what it is told as, and that the multiplex recovers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import jetsocket
from jetsocket import ConnectionState, Multiplex

from ..conftest import Serve
from ..peers import Conversation, Script, ScriptedServer, multiplex, text, told

# Seconds that anything may take which takes none on an idle machine.
SOON = 20.0
_NEXT = re.compile(r",? \(?attempt 1, next in \d+\.\d s\)?$")


async def serve_once(peer: Conversation) -> None:
    """Opens, answers the subscription with a message, and hangs up."""
    await peer.accept()
    await peer.read_frame()
    await peer.send(text('{"stream":"a"}'))


async def serve_on(peer: Conversation) -> None:
    """The same, and stays."""
    await serve_once(peer)
    await peer.answer_close()


def rest_of(hostile: Script) -> Script:
    """`hostile` once the upgrade request is read, and then waits until the client is gone: by itself, not by the end
    of the stream."""

    async def script(peer: Conversation) -> None:
        await peer.read_request()
        await hostile(peer)
        await peer.ended()

    return script


def sending(data: bytes) -> Script:
    """Answers the upgrade with these bytes, and waits until the client is gone."""
    return rest_of(lambda peer: peer.send(data))


async def meet(server: ScriptedServer, uri: str | None = None, **options: Any) -> Any:
    """A Multiplex at `server`, which plays `serve_once`, something hostile and `serve_on`: the error of the second.

    Asserts what holds for every error of an attempt, and that messages come again after it.
    """
    async with multiplex(uri or server.uri, **options) as mux:
        errors, failed = told(mux, "error"), told(mux, "failed")
        subscription = await mux.subscribe("a")
        assert await subscription.recv(SOON) == {"stream": "a"}
        error = await _first(errors, failed)
        _check_facts(error)
        if error.retryable:
            assert (error.attempt, error.retry_in is not None) == (1, True)
            error.reworded(_NEXT.sub("", str(error)))
        else:
            await _revive(mux, error, subscription)
        assert await subscription.recv(SOON) == {"stream": "a"}
    return error


async def _first(*queues: asyncio.Queue[Any]) -> Any:
    """Whatever comes first."""
    waiting = [asyncio.ensure_future(queue.get()) for queue in queues]
    done, others = await asyncio.wait(waiting, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    assert done, "the hostile attempt led to no error"
    return done.pop().result()


def _check_facts(error: Any) -> None:
    assert isinstance(error, (jetsocket.ConnectionError, jetsocket.TimeoutError))
    assert error.phase in ("tls", "upgrade")
    assert 0 <= error.elapsed < SOON
    assert error.uri
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


async def _revive(mux: Multiplex[Any], error: jetsocket.JetSocketError, subscription: Any) -> None:
    """Nothing is tried again after a final error, until the user asks for it."""
    with pytest.raises(type(error)) as caught:
        await subscription.recv(SOON)
    assert caught.value is error
    assert mux.state is ConnectionState.FAILED
    await mux.connect()


async def meet_each(
    scripted: Serve, hostile: Callable[[int], Script], positions: Iterable[int], **options: Any
) -> dict[int, Any]:
    """`meet` with `hostile(position)` for each position, all at the same time; the errors by position."""
    ssl = options.pop("server_ssl", None)

    async def one(position: int) -> Any:
        server = await scripted(serve_once, hostile(position), serve_on, ssl=ssl)
        return await meet(server, **options)

    async with asyncio.TaskGroup() as group:
        meetings = {position: group.create_task(one(position)) for position in positions}
    return {position: meeting.result() for position, meeting in meetings.items()}
