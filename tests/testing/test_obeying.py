"""Commands are carried out beside one another, until the last line."""

from __future__ import annotations

import asyncio

from jetsocket.testing.obeying import obey_lines


async def test_one_that_waits_does_not_hold_up_the_next_and_ends_with_the_input() -> None:
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    began: asyncio.Queue[str] = asyncio.Queue()
    ended: list[str] = []

    async def obey(command: str) -> None:
        began.put_nowait(command)
        try:
            if command == "wait":
                await asyncio.Event().wait()
        finally:
            ended.append(command)

    for line in (b'"wait"\n', b'"go"\n'):
        lines.put_nowait(line)
    obeying = asyncio.ensure_future(obey_lines(lines.get, obey))
    assert [await asyncio.wait_for(began.get(), 2) for _ in range(2)] == ["wait", "go"]
    assert ended == ["go"]
    lines.put_nowait(b"")
    await asyncio.wait_for(obeying, 2)
    assert ended == ["go", "wait"]
